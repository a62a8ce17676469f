"""API keys: made, found, changed, revoked. Toolkits' workers, apps, administrators' and people's scripts show one.

Looking one up is on the path of every request, so what was read is kept in memory for two seconds, and no longer: then
a revocation bites, whichever process it was made in. Only keys that exist are kept, by digest, and not more than a
bounded number of them. That a key was used is noted once a minute at most, behind the caller's back.

Below: store, audit, `key_text`, `key_rules`. Above: the surfaces, by way of the app; the command line.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from gateway.access.key_rules import Rights, name_for, owner_for, tenant_called
from gateway.access.key_text import digest_of, is_key, new_key, prefix_of
from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import KeyChangeError, KeyRefusedError, StoreUnavailableError, WrongKeyKindError
from gateway.key_types import ApiKey, KeyKind, Permission
from gateway.secret import Secret
from gateway.store.key_rows import ApiKeyRows
from gateway.types import AuditEvent, Principal

log = logging.getLogger(__name__)

KEPT_FOR = 2.0  # seconds
MOST_KEPT = 10_000
_COARSE = timedelta(minutes=1)
_USUAL = frozenset[str]({Permission.CALL, Permission.CONNECT})
_WHOSE = {
    KeyKind.TOOLKIT: "a toolkit's",
    KeyKind.APP: "an app's",
    KeyKind.ADMIN: "an administrator's",
    KeyKind.PERSON: "a person's",
}


class Keys:
    """All API keys of the gateway. `timer` counts seconds, as `time.monotonic` does."""

    def __init__(
        self, rows: ApiKeyRows, audit: AuditLog, clock: Clock, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._rows = rows
        self._audit = audit
        self._clock = clock
        self._timer = timer
        self._kept: dict[bytes, tuple[float, ApiKey]] = {}
        self._reading: dict[bytes, asyncio.Task[ApiKey | None]] = {}
        self._noting: dict[str, asyncio.Task[None]] = {}

    async def find(self, text: str, kind: KeyKind) -> ApiKey | KeyRefusedError:
        """The key that a program showed, if it lets a program of this kind in; else why not, in a sentence."""
        key = await self._find(text) if is_key(text) else None
        if key is None:
            return KeyRefusedError(
                f"This is no key of this gateway. Send a whole one; make it with: atp-gateway keys create {kind} NAME"
            )
        if key.revoked_at is not None:
            return KeyRefusedError(
                f"This key was revoked. Make a new one with: atp-gateway keys create {key.kind} NAME"
            )
        if key.kind is not kind:
            return WrongKeyKindError(
                f"This is {_WHOSE[key.kind]} key, and {_WHOSE[kind]} is needed here. Make one with: atp-gateway keys "
                f"create {kind} NAME"
            )
        return key

    async def create(
        self,
        kind: KeyKind,
        name: str,
        *,
        by: Principal,
        tenant: str = "default",
        rights: Rights | None = None,
        owner: Principal | None = None,
    ) -> tuple[ApiKey, Secret]:
        """A new key, and its text, which nobody can ever ask for again. KeyChangeError where it cannot be like this.

        An app of which nothing else is said may call tools and have its users connect accounts, in all toolkits. A
        person's key, and no other, has an `owner`, whose tenant is the key's.
        """
        wanted, text = (rights or Rights()).checked(kind), new_key(kind)
        owner = owner_for(kind, owner)
        key = ApiKey(
            id=secrets.token_hex(16),
            kind=kind,
            name=name_for(kind, name),
            tenant=tenant_called(owner.tenant if owner else tenant),
            prefix=prefix_of(text.reveal()),
            created_at=self._clock.now(),
            may=_USUAL if kind is KeyKind.APP and not wanted.may else frozenset(),
            toolkits=frozenset() if wanted.toolkits else None,
            subject=owner.subject if owner else None,
            issuer=owner.issuer if owner else None,
            groups=owner.groups if owner else frozenset(),
        )
        key = wanted.given_to(key)
        await self._rows.insert(key, digest_of(text.reveal()), self._event(by, "key.created", key, "done"))
        return key, text

    async def list_all(self) -> list[ApiKey]:
        """All keys, the oldest first; revoked ones too."""
        return await self._rows.list_all()

    async def called(self, name: str) -> ApiKey:
        """The key with this id or prefix, or the key whose text this is. KeyChangeError if that is none, or several."""
        if is_key(name):
            found = [key for key in [await self._rows.find(digest_of(name))] if key]
        else:
            found = await self._rows.list_called(name)
        if len(found) > 1:
            raise KeyChangeError("Several keys begin like that. Name one by its id: atp-gateway keys list --json")
        if not found:
            raise KeyChangeError("There is no such key. See: atp-gateway keys list")
        return found[0]

    async def revoke(self, key: ApiKey, *, by: Principal) -> ApiKey:
        """Let the key open nothing any more, within KEPT_FOR seconds wherever it is shown."""
        now = self._clock.now()
        await self._rows.revoke(key.id, now, self._event(by, "key.revoked", key, "done"))
        self._kept.clear()
        return key if key.revoked_at else replace(key, revoked_at=now)

    async def allow(self, key: ApiKey, rights: Rights, *, by: Principal) -> ApiKey:
        """Grant more to a key. KeyChangeError where that is not for its kind, or it is revoked."""
        wanted = rights.checked(key.kind)
        return await self._change(key, wanted.given_to, f"allowed {wanted.in_words()}", by)

    async def deny(self, key: ApiKey, rights: Rights, *, by: Principal) -> ApiKey:
        """Take something away from a key. KeyChangeError as for `allow`."""
        unwanted = rights.checked(key.kind)
        return await self._change(key, unwanted.taken_from, f"denied {unwanted.in_words()}", by)

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._noting.values())

    async def _change(self, key: ApiKey, edit: Callable[[ApiKey], ApiKey], how: str, by: Principal) -> ApiKey:
        changed = await self._rows.change(key.id, edit, self._event(by, "key.changed", key, how))
        if changed is None:
            raise KeyChangeError("This key was revoked, so nothing of it can be changed. Make a new one.")
        self._kept.clear()
        return changed

    async def _find(self, text: str) -> ApiKey | None:
        # By digest: what the time of a comparison could tell of one says nothing about the key.
        digest, now = digest_of(text), self._timer()
        until, kept = self._kept.get(digest, (0.0, None))
        if kept is not None and now < until:
            return kept
        reading = self._reading.get(digest)
        if reading is None:  # of a key's twenty streams, which are looked at in the same moment, one asks
            reading = self._reading[digest] = asyncio.create_task(self._read(digest, now))
            reading.add_done_callback(lambda task: self._read_ended(digest, task))
        return await asyncio.shield(reading)

    async def _read(self, digest: bytes, now: float) -> ApiKey | None:
        key = await self._rows.find(digest)
        self._kept.pop(digest, None)
        if key is not None:
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[digest] = now + KEPT_FOR, key
            self._note_use(key)
        return key

    def _read_ended(self, digest: bytes, task: asyncio.Task[ApiKey | None]) -> None:
        del self._reading[digest]
        if not task.cancelled():
            task.exception()  # seen, so that a failure that nobody waits for any more is not reported as forgotten

    def _note_use(self, key: ApiKey) -> None:
        now = self._clock.now()
        noted = key.id in self._noting or (key.last_used_at and now < key.last_used_at + _COARSE)
        if not (noted or key.revoked_at):
            task = self._noting[key.id] = asyncio.create_task(self._note(key))
            task.add_done_callback(lambda _: self._noting.pop(key.id, None))

    async def _note(self, key: ApiKey) -> None:
        try:
            await self._rows.note_use(key.id, self._clock.now(), _COARSE)
        except StoreUnavailableError:
            log.debug("the use of a key could not be noted")

    def _event(self, by: Principal, action: str, key: ApiKey, outcome: str) -> AuditEvent:
        return self._audit.event(by, action, outcome, client=f"{key.kind} {key.name}", reference=key.id)

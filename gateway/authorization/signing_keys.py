"""The keys that access tokens are signed with: ES256, sealed by the vault, a new one every 30 days.

The next key is published a day before it signs, so that whoever keeps our JWKS for a while has it in time; a former one
stays for a day after, though no token that it signed lives longer than minutes. Several processes make the next key at
most once. Opened keys are kept in memory, the list of them is read again every minute. Which key began and ended when
is on record, by its id, which is in each token's header and in the JWKS.

Below: vault, audit, the store's rows, joserfc. Above: access_tokens, the surface. Source: RFC 7517, RFC 7518.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from joserfc.jwk import ECKey

from gateway.audit import AuditLog
from gateway.authorization_types import SigningKey
from gateway.clock import Clock
from gateway.store.signing_key_rows import SigningKeyRows
from gateway.types import AuditEvent, Principal
from gateway.vault.vault import Vault, own_binding

ALGORITHM = "ES256"
SIGNS_FOR = timedelta(days=30)
PUBLISHED_BEFORE = timedelta(days=1)
KEPT_AFTER = timedelta(days=1)
_ITSELF = Principal("atp-gateway", "authorization server")
_READ_EVERY = 60.0  # seconds
_READ_AT_MOST_EVERY = 2.0


class SigningKeys:
    """`timer` counts seconds, as `time.monotonic` does."""

    def __init__(
        self,
        rows: SigningKeyRows,
        vault: Vault,
        audit: AuditLog,
        clock: Clock,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._timer = timer
        self._listed: list[SigningKey] = []
        self._read_at = float("-inf")
        self._opened: dict[str, ECKey] = {}
        self._reading = asyncio.Lock()

    async def signing(self) -> ECKey:
        """The key that signs now, with its id."""
        listed = await self._list()
        now = self._clock.now()  # not before: the first key may have been made just then
        signs = [key for key in listed if key.signs_from <= now] or listed[:1]  # another machine's clock may be ahead
        return await self._open(signs[-1])

    async def find(self, key_id: str) -> ECKey | None:
        """A key that may have signed a token of ours. One that nobody has heard of is looked for once more."""
        for listed in (await self._list(), await self._list(at_most_old=_READ_AT_MOST_EVERY)):
            if found := next((key for key in listed if key.id == key_id), None):
                return await self._open(found)
        return None

    async def published(self) -> dict[str, Any]:
        """The JWK Set: public halves of what signs, will sign, and signed lately."""
        keys = [await self._open(key) for key in await self._list()]
        return {"keys": [key.as_dict(private=False) for key in keys]}

    async def _list(self, at_most_old: float = _READ_EVERY) -> list[SigningKey]:
        """The keys, the oldest first. At least one of them signs."""
        if self._timer() - self._read_at < at_most_old and not self._is_next_due(self._listed):
            return self._listed
        async with self._reading:
            if self._timer() - self._read_at >= at_most_old or self._is_next_due(self._listed):
                listed = await self._rows.list_all()
                if self._is_next_due(listed):
                    made = await self._make_next(listed)
                    await self._rows.insert(made, self._event("signing_key.made", made.id))
                    listed = await self._rows.list_all()
                self._listed, self._read_at = await self._without_old(listed), self._timer()
            return self._listed

    def _is_next_due(self, listed: list[SigningKey]) -> bool:
        return not listed or self._clock.now() >= listed[-1].signs_from + SIGNS_FOR - PUBLISHED_BEFORE

    async def _make_next(self, listed: list[SigningKey]) -> SigningKey:
        now = self._clock.now()
        key_id = secrets.token_urlsafe(12)
        made = ECKey.generate_key("P-256", {"kid": key_id, "use": "sig", "alg": ALGORITHM}, private=True)
        private = json.dumps(made.as_dict(private=True)).encode()
        return SigningKey(
            key_id,
            listed[-1].generation + 1 if listed else 1,
            _next_begins(listed, now),
            now,
            await self._vault.seal(private, own_binding("signing_keys", key_id, "key")),
        )

    async def _open(self, key: SigningKey) -> ECKey:
        if key.id not in self._opened:
            private = await self._vault.open(key.sealed, own_binding("signing_keys", key.id, "key"))
            self._opened[key.id] = ECKey.import_key(json.loads(private))
        return self._opened[key.id]

    async def _without_old(self, listed: list[SigningKey]) -> list[SigningKey]:
        """All but those whose successor has signed for long; they are destroyed."""
        now = self._clock.now()
        old = [key.id for key, next_ in pairwise(listed) if next_.signs_from + KEPT_AFTER < now]
        if old:
            await self._rows.drop(old, lambda key_id: self._event("signing_key.destroyed", key_id))
            for key_id in old:
                self._opened.pop(key_id, None)
        return [key for key in listed if key.id not in old]

    def _event(self, action: str, key_id: str) -> AuditEvent:
        return self._audit.event(_ITSELF, action, "done", reference=key_id)


def _next_begins(listed: list[SigningKey], now: datetime) -> datetime:
    """At once for the first; else when the present one has signed for long, and the next one has been seen."""
    return max(listed[-1].signs_from + SIGNS_FOR, now + PUBLISHED_BEFORE) if listed else now

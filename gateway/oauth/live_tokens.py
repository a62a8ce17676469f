"""Opened credentials, for as long as using them needs no second look: the fast path of every call.

In memory only, at most `HELD_FOR` and never past the moment a refresh is due; another process's change is seen at the
latest when that time is over. Whoever changes a connection in this process calls `forget`, and a reader that began
before the change cannot put the former credential back.

Below: the vocabulary. Above: grants (which forgets), broker (which remembers).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from gateway.clock import Clock
from gateway.types import Connection, Credential, CredentialKind, Principal, Requirement, TokenSet

HELD_FOR = timedelta(seconds=30)

MOST_NAMES = 16
"""In how many ways one person's accounts at one provider may be named at a time."""

Key = tuple[str, str, str, str, CredentialKind]


@dataclass(slots=True)
class _Live:
    """`tokens` keeps the Secrets alive that the log's redactor looks for; `met` are needs already found covered."""

    credential: Credential
    tokens: TokenSet
    until: datetime
    met: set[frozenset[str]] = field(default_factory=set)


class LiveTokens:
    """Credentials by person, provider and kind, and by the account that the call named: None for the default."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live: dict[Key, dict[str | None, _Live]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._subscribers: list[Callable[[Principal], None]] = []
        self.changes = 0
        """Grows with every `forget`. Read it before the row, and hand it to `remember`."""

    def find(self, principal: Principal, requirement: Requirement, account: str | None = None) -> Credential | None:
        """The credential, if this very need was found covered a moment ago."""
        held = self._live.get(_key(principal, requirement.provider, requirement.kind))
        live = held.get(account) if held else None
        if live is None or requirement.scopes not in live.met or self._clock.now() >= live.until:
            return None
        return live.credential

    def remember(
        self,
        connection: Connection,
        tokens: TokenSet,
        met: frozenset[str],
        *,
        until: datetime | None,
        seen: int,
        account: str | None = None,
    ) -> Credential:
        """Make the credential of an opened connection, and keep it until then, unless something changed meanwhile.

        `met` are scopes that it is known to cover; `seen` is what `changes` was before the row was read; `account` is
        what the call named.
        """
        latest = self._clock.now() + HELD_FOR
        credential = to_credential(connection, tokens)
        if seen == self.changes:
            key = _key(connection.principal, connection.provider, connection.kind)
            held = self._live.setdefault(key, {})
            if len(held) >= MOST_NAMES:
                held.clear()
            live = held.get(account)
            same = live is not None and live.credential.token == credential.token
            known = live.met if live is not None and same else set()
            held[account] = _Live(credential, tokens, min(latest, until or latest), known | {met})
            self._sweep_later()
        return credential

    def forget(self, principal: Principal, provider: str) -> None:
        """Drop what is held for this person at this provider: their connection has changed."""
        self.changes += 1
        for kind in CredentialKind:
            self._live.pop(_key(principal, provider, kind), None)
        for changed in self._subscribers:
            changed(principal)

    def subscribe(self, changed: Callable[[Principal], None]) -> None:
        """Have `changed` called with each person whose connections change in this process."""
        self._subscribers.append(changed)

    def _sweep_later(self) -> None:
        """Plaintext does not outlive its time in memory, even when nobody asks for it again."""
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(HELD_FOR.total_seconds() + 1, self._drop_old)

    def _drop_old(self) -> None:
        self._sweep = None
        now = self._clock.now()
        fresh = {
            key: {account: live for account, live in held.items() if live.until > now}
            for key, held in self._live.items()
        }
        self._live = {key: held for key, held in fresh.items() if held}
        if self._live:
            self._sweep_later()


def to_credential(connection: Connection, tokens: TokenSet) -> Credential:
    """What a tool is given. Never the refresh token."""
    return Credential(
        provider=connection.provider,
        token=tokens.access_token.reveal(),
        scopes=connection.scopes,
        account=connection.account_label,
        expires_at=connection.expires_at,
        extras=MappingProxyType(dict(tokens.extras)),
        connection_id=connection.id,
        version=connection.version,
    )


def _key(principal: Principal, provider: str, kind: CredentialKind) -> Key:
    return principal.tenant, principal.issuer, principal.subject, provider, kind

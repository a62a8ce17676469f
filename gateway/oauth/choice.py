"""Which of a person's accounts at a provider a call uses, and what the accounts are called.

A call that names no account uses the person's default. One that names one uses that one or none: a call never falls
back to another account than the one that was meant. Names are the labels that the provider vouched for; two that are
equal are told apart by the account's id.

Below: store. Above: broker, handover, connections, and the surfaces, which offer a choice where there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.errors import UnknownAccountError
from gateway.oauth.detached import Detached
from gateway.oauth.live_tokens import LiveTokens
from gateway.oauth.shared_reads import SharedReads
from gateway.store.connection_rows import ConnectionRows
from gateway.types import Connection, CredentialKind, Principal, Requirement

FRESH_FOR = timedelta(seconds=10)
"""How long what another process changed may stay unseen."""
_MOST_PEOPLE = 10_000  # remembered at once

Need = tuple[str, CredentialKind]
"""A provider and a kind of credential."""


@dataclass(frozen=True, slots=True)
class _Seen:
    choices: Mapping[Need, tuple[str, ...]]
    changes: int
    until: datetime


class Choice:
    """A person's accounts by name."""

    def __init__(self, rows: ConnectionRows, live: LiveTokens, clock: Clock) -> None:
        self._rows = rows
        self._reads = SharedReads(rows, live)
        self._live = live
        self._clock = clock
        self._seen: dict[Principal, _Seen] = {}
        self._subscribers: list[Callable[[Principal], None]] = []
        self._detached = Detached()
        live.subscribe(self._look_again)

    async def pick(self, principal: Principal, requirement: Requirement, account: str | None) -> Connection | None:
        """The connection to use: the default, or the named one, also where it has ended. None: there is none at all.

        `account` is a name, as `names` gives it, or a connection's id. UnknownAccountError where none is called so.
        """
        if account is None:
            return await self._reads.find(principal, requirement.provider, requirement.kind)
        there = [
            connection
            for connection in await self._rows.list_all(principal)
            if (connection.provider, connection.kind) == (requirement.provider, requirement.kind)
        ]
        called = names(there)
        found = next((each for each in there if account in (called[each.id], each.id)), None)
        if found is None and there:
            raise UnknownAccountError(
                f"No account called {account!r} is connected. Connected are: {', '.join(called.values())}. "
                "Call again with one of these, or without naming an account."
            )
        return found

    async def offered(self, principal: Principal) -> Mapping[Need, tuple[str, ...]]:
        """Where the person can choose: the names of their accounts, the default first, wherever there are several.

        One query, and none where the answer is a few seconds old. What this process changes is seen at once.
        """
        seen, now, changes = self._seen.get(principal), self._clock.now(), self._live.changes
        if seen is None or seen.changes != changes or seen.until <= now:
            choices = _several(await self._rows.list_accounts(principal))
            if len(self._seen) >= _MOST_PEOPLE:
                self._seen.clear()
            seen = self._seen[principal] = _Seen(choices, changes, now + FRESH_FOR)
        return seen.choices

    def subscribe(self, changed: Callable[[Principal], None]) -> None:
        """Have `changed` called when a person who was offered a choice, or none, is to be offered another one."""
        self._subscribers.append(changed)

    async def close(self) -> None:
        """Wait for comparisons under way."""
        await self._detached.close(1.0)

    def _look_again(self, principal: Principal) -> None:
        if self._subscribers and (seen := self._seen.get(principal)):
            self._detached.start(self._compare(principal, seen))

    async def _compare(self, principal: Principal, seen: _Seen) -> None:
        if await self.offered(principal) != seen.choices:
            for changed in self._subscribers:
                changed(principal)


def names(connections: Iterable[Connection]) -> dict[str, str]:
    """What each of a person's accounts at one provider is called, by connection id: no two the same."""
    listed = list(connections)
    plain = {each.id: each.account_label or _PLAIN.get(each.kind, _account_id)(each) for each in listed}
    times = Counter(plain.values())
    return {
        each.id: plain[each.id] if times[plain[each.id]] == 1 else f"{plain[each.id]} ({each.account_id})"
        for each in listed
    }


def _account_id(connection: Connection) -> str:
    return connection.account_id


_PLAIN: Mapping[CredentialKind, Callable[[Connection], str]] = {CredentialKind.API_KEY: lambda _: "API key"}


def _several(connections: Iterable[Connection]) -> Mapping[Need, tuple[str, ...]]:
    there: dict[Need, list[Connection]] = {}
    for connection in connections:
        there.setdefault((connection.provider, connection.kind), []).append(connection)
    return {need: tuple(names(accounts).values()) for need, accounts in there.items() if len(accounts) > 1}

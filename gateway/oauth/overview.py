"""A person's own look at their connections, and what they may decide there: the default, asking again, adding one,
connecting an account before any tool asks for it.

Asking again is the deliberate act that a host is never made to do: for scopes that the provider withheld, or for an
account whose access has ended. Not here: ending a connection (`gateway.oauth.connections`).

Below: choice, flows, grants, store. Above: the pages, the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from gateway.audit import AuditLog
from gateway.errors import SettingsError
from gateway.oauth.apps import Apps
from gateway.oauth.choice import names
from gateway.oauth.facts import of_connection
from gateway.oauth.flow_view import OWN_WISH, worth_naming
from gateway.oauth.flows import Flows
from gateway.oauth.grants import Grants
from gateway.store.connection_rows import ConnectionRows
from gateway.types import AuditEvent, Connection, ConnectionStatus, CredentialKind, Flow, Principal, Requirement


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection as its owner sees it. `connection` has no tokens, sealed or not.

    `name` tells it from the person's other accounts there. `withheld` are scopes asked for and not granted.
    `is_choice`: there are several, and one of them is the default. `may_add`: another account can be connected.
    """

    connection: Connection
    name: str
    provider_name: str
    withheld: tuple[str, ...]
    is_choice: bool
    may_add: bool


class Overview:
    """A person's connections for themselves."""

    def __init__(self, rows: ConnectionRows, grants: Grants, *, flows: Flows, apps: Apps, audit: AuditLog) -> None:
        self._rows = rows
        self._grants = grants
        self._flows = flows
        self._apps = apps
        self._audit = audit

    async def entries(self, principal: Principal) -> list[Entry]:
        """All of the person's connections: by provider, the default first, then the oldest."""
        there = [replace(each, sealed=b"") for each in await self._rows.list_all(principal)]
        there.sort(key=lambda each: (each.provider, each.kind, not each.is_default))
        return [
            entry
            for _, group in groupby(there, key=lambda each: (each.provider, each.kind))
            for entry in self._entries_of(list(group))
        ]

    async def make_default(self, principal: Principal, connection_id: str) -> Connection | None:
        """Have calls that name no account use this one. None where the person has no such connection."""

        def fact(chosen: Connection) -> AuditEvent:
            return of_connection(self._audit, chosen, "connection.default", "done")

        return await self._grants.make_default(principal, connection_id, fact)

    async def ask_again(
        self, principal: Principal, connection_id: str, more: frozenset[str] = frozenset()
    ) -> Flow | None:
        """A flow for the same account, for everything it was ever asked for, and `more` scopes. None where there is no
        such connection."""
        found = await self._rows.find_by_id(principal, connection_id)
        return await self._begin(found, again=True, more=more) if found else None

    async def add_another(self, principal: Principal, connection_id: str) -> Flow | None:
        """A flow for another account beside this one, asking for the same. None where there is no such connection."""
        found = await self._rows.find_by_id(principal, connection_id)
        return await self._begin(found, again=False) if found else None

    async def connect(self, principal: Principal, requirement: Requirement) -> Flow:
        """A flow for an account at a provider, as no tool has asked for one yet. UnknownProviderError or
        ProviderNotConfiguredError where nobody could complete it."""
        return await self._flows.begin(principal, OWN_WISH, requirement, None)

    def configured(self, principal: Principal) -> list[Requirement]:
        """What people of this tenant can connect whatever the tools need: the operator has set it up."""
        names = self._apps.configured(principal.tenant)
        return [each for each in map(Requirement, names) if self.can_connect(principal, each)]

    def can_connect(self, principal: Principal, requirement: Requirement) -> bool:
        """Whether the operator has done what is theirs, so that a person can connect an account for it."""
        try:
            return self._apps.lacks(requirement.provider, principal.tenant, requirement.kind) is None
        except SettingsError:  # one provider that is set up wrongly does not hide the others
            return False

    def lacks(self, connection: Connection, scopes: frozenset[str]) -> frozenset[str]:
        """Which of these scopes the connection has neither by name nor by one that implies them."""
        provider = self._apps.find(connection.provider)
        if provider is None or connection.kind is not CredentialKind.OAUTH2:
            return frozenset()
        return worth_naming(provider.scopes.missing(scopes, connection.scopes))

    async def _begin(self, connection: Connection, *, again: bool, more: frozenset[str] = frozenset()) -> Flow:
        wanted = Requirement(connection.provider, connection.kind, connection.requested | connection.scopes | more)
        reconnects = connection if again else None
        return await self._flows.begin(
            connection.principal, OWN_WISH, wanted, None, reconnects=reconnects, another=not again
        )

    def _entries_of(self, group: Sequence[Connection]) -> list[Entry]:
        called = names(group)
        return [
            Entry(
                connection=each,
                name=called[each.id],
                provider_name=self._apps.display_name(each.provider),
                withheld=self._withheld(each),
                is_choice=len(group) > 1,
                may_add=each.is_default and each.kind is not CredentialKind.API_KEY,
            )
            for each in group
        ]

    def _withheld(self, connection: Connection) -> tuple[str, ...]:
        if connection.status is not ConnectionStatus.ACTIVE:
            return ()
        return tuple(sorted(self.lacks(connection, connection.requested)))

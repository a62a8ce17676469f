"""What the page of connections shows: a card for each account, and an offer for each that could be connected.

Joins what three rooms know: the person's connections, the tools that they may see, the record of calls. Nothing is
decided or changed here. Below: `tool_use`; overview and record, by the protocols here. Above: `connections`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.surfaces.web.tool_use import Need, ToolUse, Use, scopes_of, uses_of
from gateway.toolkit.tool import Tool
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal, Requirement


class Entry(Protocol):
    """One connection as its owner sees it."""

    @property
    def connection(self) -> Connection: ...
    @property
    def name(self) -> str: ...
    @property
    def provider_name(self) -> str: ...
    @property
    def withheld(self) -> Sequence[str]: ...
    @property
    def is_choice(self) -> bool: ...
    @property
    def may_add(self) -> bool: ...


class Overview(Protocol):
    """What is known of a person's accounts."""

    async def entries(self, principal: Principal) -> Sequence[Entry]: ...

    def configured(self, principal: Principal) -> Sequence[Requirement]:
        """What can be connected whatever the tools need."""
        ...

    def can_connect(self, principal: Principal, requirement: Requirement) -> bool:
        """Whether the operator has done what is theirs."""
        ...

    def lacks(self, connection: Connection, scopes: frozenset[str]) -> frozenset[str]:
        """Which of these scopes the connection has not."""
        ...


class Uses(Protocol):
    async def last_uses(self, principal: Principal) -> Mapping[tuple[str, str | None], datetime]:
        """When a call last had each of the person's accounts, by provider and label."""
        ...


@dataclass(frozen=True, slots=True)
class Card:
    """An account. `used_at` is None where no call had it lately, or it cannot be told from another. `lacks` are scopes
    that tools need and that the account was never asked for."""

    entry: Entry
    uses: Sequence[Use]
    used_at: datetime | None
    lacks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the person could connect. `is_ready`: the operator has set it up."""

    provider: str
    kind: CredentialKind
    provider_name: str
    uses: Sequence[Use]
    is_ready: bool


class Cards:
    """`provider_name` gives the name of a provider as people know it, for its id."""

    def __init__(self, overview: Overview, tools: ToolUse, uses: Uses, provider_name: Callable[[str], str]) -> None:
        self._overview = overview
        self._tools = tools
        self._uses = uses
        self._provider_name = provider_name

    async def of(self, principal: Principal) -> tuple[list[Card], list[Offer]]:
        """A card for each of the person's accounts, and an offer for each that they have not and could have."""
        entries = await self._overview.entries(principal)
        used = await self._uses.last_uses(principal) if entries else {}
        tools = self._tools.by_need(principal)
        labels = Counter(_label(entry.connection) for entry in entries)
        there = {_need(entry.connection) for entry in entries}
        cards = []
        for entry in entries:
            label = _label(entry.connection)
            at = used.get(label) if labels[label] == 1 else None
            cards.append(self._card(entry, tools.get(_need(entry.connection), ()), at))
        return cards, [offer for offer in self._offers(principal, tools) if (offer.provider, offer.kind) not in there]

    def offered(self, principal: Principal, provider: object, kind: object) -> Requirement | None:
        """What is to be connected where the person chose an offer; None where there is no such offer."""
        tools = self._tools.by_need(principal)
        for offer in self._offers(principal, tools):
            if offer.is_ready and (offer.provider, offer.kind) == (provider, kind):
                scopes = scopes_of(tools.get((offer.provider, offer.kind), ()))
                return Requirement(offer.provider, offer.kind, scopes)
        return None

    async def needed(self, principal: Principal, connection_id: str) -> frozenset[str]:
        """All scopes that the tools need which use this account."""
        for entry in await self._overview.entries(principal):
            if entry.connection.id == connection_id:
                return scopes_of(self._tools.by_need(principal).get(_need(entry.connection), ()))
        return frozenset()

    def _card(self, entry: Entry, using: Sequence[Tool], used_at: datetime | None) -> Card:
        connection = entry.connection
        lacks = self._overview.lacks(connection, scopes_of(using))
        is_active = connection.status is ConnectionStatus.ACTIVE
        never_asked = lacks - set(entry.withheld) if is_active else frozenset()
        is_this = used_at is not None and used_at >= connection.created_at  # not one of the same name before it
        return Card(entry, uses_of(using, lacks), used_at if is_this else None, sorted(never_asked))

    def _offers(self, principal: Principal, tools: Mapping[Need, Sequence[Tool]]) -> list[Offer]:
        """What the person's tools need, then what the operator has set up besides; what cannot be had, last."""
        needs = [Requirement(provider, kind) for provider, kind in tools]
        named = {need.provider for need in needs}
        needs += [each for each in self._overview.configured(principal) if each.provider not in named]
        offers = [
            Offer(
                need.provider,
                need.kind,
                self._provider_name(need.provider),
                uses_of(tools.get((need.provider, need.kind), ())),
                self._overview.can_connect(principal, need),
            )
            for need in needs
        ]
        return sorted(offers, key=lambda each: (not each.is_ready, not each.uses, each.provider_name.lower()))


def _need(connection: Connection) -> Need:
    return connection.provider, connection.kind


def _label(connection: Connection) -> tuple[str, str | None]:
    return connection.provider, connection.account_label

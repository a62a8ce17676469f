"""Audit events at rest: appended to their tenant's chain, never changed.

However many processes append, a chain does not fork: a transaction takes the chain's last link, which holds off all
others until it has committed, and leaves its own. So that nobody waits long, appending is the last thing that a
transaction does. A change of state is recorded in the transaction that makes it (`together`, `change`): there is none
without the other. What apps want to hear of goes into the outbox of webhooks with the event, likewise.

Below: `audit_append`, `audit_chain`, `delivery_rows`. Beside it: `trail_rows`, which reads and prunes whole chains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Executable, and_, func, or_, select, true

from gateway.store.audit_append import AuditEnds, RepeatedError
from gateway.store.audit_chain import Entry, Link, as_stored
from gateway.store.delivery_rows import Notice, put_in
from gateway.store.engine import Engines
from gateway.store.lanes import Answer, Transaction
from gateway.store.tables import AUDIT, belongs_to, from_row
from gateway.types import AuditEvent, Principal

Heard = Callable[[AuditEvent], Notice | None]

_columns = AUDIT.c
_EVENT = [column for column in _columns if column.name not in ("seq", "hash")]
_CALLS = ("tool.called", "tool.begun")
_BEGUN = ".begun"
_USES = (*_CALLS, "tokens.handed_out")
_RAN = ("pending", "done", "tool_error", "tool_crashed", "tool_timeout", "invalid_result")
"""Outcomes of calls that had a credential, although they name no account."""
_LATEST_USES = 2_000


class AuditRows:
    """What was done in people's names."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._heard: Heard | None = None
        self._wake: Callable[[], None] = lambda: None
        self._ends = AuditEnds(engines)

    def subscribe(self, heard: Heard, wake: Callable[[], None]) -> None:
        """Have what apps may want to hear of put into the outbox, and `wake` called when it is there."""
        self._heard, self._wake = heard, wake

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Add all of them or none. Appending an event again changes nothing, so a writer in doubt may repeat."""
        if not events:
            return
        one_tenants = len({event.principal.tenant for event in events}) == 1
        alone = one_tenants and self._ends.is_one_statement(events) and not self._notices(events)
        run = self._engines.at_once if alone else self._engines.together
        try:
            deliveries = await run(lambda transaction: self._add(transaction, events))
        except RepeatedError:
            deliveries = await self._engines.together(lambda transaction: self._add_new(transaction, events))
        self._tell(deliveries)

    async def together(
        self,
        turn: str | None,
        work: Callable[[Transaction], Answer | None],
        fact: Callable[[Answer], AuditEvent] | None,
    ) -> Answer | None:
        """As `Engines.in_turn`, and with the event that `fact` makes of what the work came to, unless that is None."""

        def write(transaction: Transaction) -> tuple[Answer | None, Sequence[AuditEvent | None]]:
            answer = work(transaction)
            return answer, [] if fact is None or answer is None else [fact(answer)]

        return await self.recorded(turn, write)

    async def recorded(
        self, turn: str | None, work: Callable[[Transaction], tuple[Answer, Sequence[AuditEvent | None]]]
    ) -> Answer:
        """As `Engines.in_turn`, and with the events that the work gives beside its answer. None stands for none."""

        def write(transaction: Transaction) -> tuple[Answer, int]:
            answer, given = work(transaction)
            events = [event for event in given if event is not None]
            return answer, self._add(transaction, events) if events else 0

        answer, deliveries = await self._engines.in_turn(turn, write)
        self._tell(deliveries)
        return answer

    async def change(self, statement: Executable, event: AuditEvent | None) -> bool:
        """Whether a statement changed a row; if so, with the event in the same transaction."""
        if event is None:
            return await self._engines.change(statement) > 0

        def work(transaction: Transaction) -> bool | None:
            return transaction.execute(statement).rowcount > 0 or None

        return await self.together(None, work, lambda _: event) is not None

    def _add(self, transaction: Transaction, events: Sequence[AuditEvent]) -> int:
        """Put new events at the ends of their chains, in this transaction. RepeatedError if one is not new.

        How many deliveries to apps they came to.
        """
        for tenant, theirs in sorted(_by_tenant(events).items()):  # sorted: nobody waits for each other
            self._ends.add(transaction, tenant, theirs)
        notices = self._notices(events)
        return put_in(transaction, self._engines, notices) if notices else 0

    def add_last(self, transaction: Transaction, event: AuditEvent) -> None:
        """As the last thing that a transaction does, put a new event at the end of its chain."""
        self._add(transaction, [event])

    def hold(self, transaction: Transaction, tenants: Collection[str]) -> None:
        """Let nobody else add to these chains until the transaction has ended."""
        self._ends.hold(transaction, tenants)

    async def list_latest(self, principal: Principal, limit: int = 50) -> list[AuditEvent]:
        """The person's latest events, the newest first."""
        rows = await self._engines.rows(
            select(*_EVENT)
            .where(belongs_to(AUDIT, principal))
            .order_by(_columns.at.desc(), _columns.id.desc())
            .limit(limit)
        )
        return [from_row(AuditEvent, row) for row in rows]

    async def list_history(
        self, principal: Principal, limit: int, *, calls: bool | None = None, before: str | None = None
    ) -> list[AuditEvent]:
        """What was done in the person's name, the newest first; from behind the event with the id `before`.

        `calls`: calls alone, or everything else alone.

        A call that was begun and has ended is there once, with its end.
        """
        mine = belongs_to(AUDIT, principal)
        kind = true() if calls is None else _columns.action.in_(_CALLS).is_(calls)
        rows = await self._engines.rows(
            select(*_EVENT)
            .where(mine, kind, told_once(), await self._behind(mine, before))
            .order_by(_columns.at.desc(), _columns.id.desc())
            .limit(limit)
        )
        return [from_row(AuditEvent, row) for row in rows]

    async def last_uses(self, principal: Principal) -> dict[tuple[str, str | None], datetime]:
        """When a call last had each of the person's accounts, by provider and the account's label. Where a provider
        names no accounts, the label is None. Only the latest calls are looked at."""
        had = or_(_columns.account.is_not(None), _columns.outcome.in_(_RAN))
        latest = (
            select(_columns.provider, _columns.account, _columns.at)
            .where(belongs_to(AUDIT, principal), _columns.action.in_(_USES), _columns.provider.is_not(None), had)
            .order_by(_columns.at.desc())
            .limit(_LATEST_USES)
            .subquery()
        ).c
        rows = await self._engines.rows(
            select(latest.provider, latest.account, func.max(latest.at).label("at")).group_by(
                latest.provider, latest.account
            )
        )
        return {(row["provider"], row["account"]): row["at"] for row in rows}

    async def _behind(self, mine: ColumnElement[bool], event_id: str | None) -> ColumnElement[bool]:
        if event_id is None:
            return true()
        found = await self._engines.rows(select(_columns.at).where(mine, _columns.id == event_id))
        if not found:
            return true()
        at = found[0]["at"]
        return or_(_columns.at < at, and_(_columns.at == at, _columns.id < event_id))

    def _add_new(self, transaction: Transaction, events: Sequence[AuditEvent]) -> int:
        """As `_add`, but for those that are there. The chains are held first: nobody adds them meanwhile."""
        self.hold(transaction, _by_tenant(events))
        ids = {event.id for event in events}
        there = set(transaction.execute(select(_columns.id).where(_columns.id.in_(ids))).scalars())
        new = [event for event in {event.id: event for event in events}.values() if event.id not in there]
        return self._add(transaction, new) if new else 0

    def _notices(self, events: Sequence[AuditEvent]) -> list[Notice]:
        return [notice for event in events if (notice := self._heard(event))] if self._heard else []

    def _tell(self, deliveries: int) -> None:
        if deliveries:
            self._wake()


def told_once() -> ColumnElement[bool]:
    """All but the beginnings of calls whose end is there too."""
    end = AUDIT.alias()
    ended = select(end.c.id).where(end.c.id == func.replace(_columns.id, _BEGUN, "")).exists()
    return or_(_columns.action != "tool.begun", ~ended)


def _by_tenant(events: Sequence[AuditEvent]) -> dict[str, list[AuditEvent]]:
    """The events as they are stored, by their tenants, in their order."""
    found: dict[str, list[AuditEvent]] = {}
    for event in map(as_stored, events):
        found.setdefault(event.principal.tenant, []).append(event)
    return found


def entry_of(row: Any) -> Entry:
    """A row of the table as an Entry."""
    columns = dict(row)
    link = Link(columns.pop("seq"), columns.pop("hash"))
    return Entry(from_row(AuditEvent, columns), link)

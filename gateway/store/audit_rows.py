"""Audit events at rest: appended to their tenant's chain, never changed.

However many processes append, a chain does not fork: a transaction takes the chain's last link, which holds off all
others until it has committed, and leaves its own. So that nobody waits long, appending is the last thing that a
transaction does. A change of state is recorded in the transaction that makes it (`together`, `change`): there is none
without the other. What apps want to hear of goes into the outbox of webhooks with the event, likewise.

Below: `audit_chain`, `delivery_rows`. Beside it: `trail_rows`, which reads and prunes whole chains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Executable, and_, bindparam, func, or_, select, true, update

from gateway.store.audit_chain import GENESIS, Entry, Link, as_stored
from gateway.store.delivery_rows import Notice, put_in
from gateway.store.engine import Engines
from gateway.store.lanes import Answer, Transaction
from gateway.store.tables import AUDIT, AUDIT_HEADS, belongs_to, from_row, to_columns
from gateway.types import AuditEvent, Principal

Heard = Callable[[AuditEvent], Notice | None]

_columns = AUDIT.c
_heads = AUDIT_HEADS.c
_EVENT = [column for column in _columns if column.name not in ("seq", "hash")]
# Built once: building them costs as much as running them.
_HOLD_HEADS = (
    select(AUDIT_HEADS)
    .where(_heads.tenant.in_(bindparam("tenants", expanding=True)))
    .order_by(_heads.tenant)
    .with_for_update()
)
_MOVE_HEAD = (
    update(AUDIT_HEADS)
    .where(_heads.tenant == bindparam("of"))
    .values(seq=bindparam("number"), hash=bindparam("digest"))
)  # fmt: skip
_CALLS = ("tool.called", "tool.begun")
_BEGUN = ".begun"
_USES = (*_CALLS, "tokens.handed_out")
_RAN = ("pending", "done", "tool_error", "tool_crashed", "tool_timeout", "invalid_result")
"""Outcomes of calls that had a credential, although they name no account."""
_LATEST_USES = 10_000


class RepeatedError(Exception):
    """Some of the events are there already: the writer was in doubt, and does it again."""


class AuditRows:
    """What was done in people's names."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._heard: Heard | None = None
        self._wake: Callable[[], None] = lambda: None
        self._insert = engines.insert(AUDIT).on_conflict_do_nothing(index_elements=[_columns.id])

    def subscribe(self, heard: Heard, wake: Callable[[], None]) -> None:
        """Have what apps may want to hear of put into the outbox, and `wake` called when it is there."""
        self._heard, self._wake = heard, wake

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Add all of them or none. Appending an event again changes nothing, so a writer in doubt may repeat."""
        if not events:
            return
        try:
            deliveries = await self._engines.together(lambda transaction: self._add(transaction, events))
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

        def write(transaction: Transaction) -> tuple[Answer | None, int]:
            answer = work(transaction)
            if fact is None or answer is None:
                return answer, 0
            return answer, self._add(transaction, [fact(answer)])

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
        stored = [as_stored(event) for event in events]
        heads = self.hold_heads(transaction, {event.principal.tenant for event in stored})
        rows = []
        for event in stored:
            tenant = event.principal.tenant
            heads[tenant] = link = heads[tenant].to(event)
            rows.append(to_columns(event) | {"seq": link.seq, "hash": link.hash})
        if transaction.execute(self._insert, rows).rowcount != len(rows):
            raise RepeatedError
        moved = [{"of": tenant, "number": link.seq, "digest": link.hash} for tenant, link in heads.items()]
        transaction.execute(_MOVE_HEAD, moved)
        notices = [notice for event in events if (notice := self._heard(event))] if self._heard else []
        return put_in(transaction, self._engines, notices) if notices else 0

    def add_last(self, transaction: Transaction, event: AuditEvent) -> None:
        """As the last thing that a transaction does, put a new event at the end of its chain."""
        self._add(transaction, [event])

    def hold_heads(self, transaction: Transaction, tenants: set[str]) -> dict[str, Link]:
        """The last link of each chain, which is held until the transaction ends. A chain that is new begins."""
        found = self._links(transaction, tenants)
        if missing := sorted(tenants - found.keys()):
            begun = [{"tenant": tenant, "seq": GENESIS.seq, "hash": GENESIS.hash} for tenant in missing]
            transaction.execute(self._engines.insert(AUDIT_HEADS).on_conflict_do_nothing(), begun)
            found = self._links(transaction, tenants)
        return found

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
        self.hold_heads(transaction, {as_stored(event).principal.tenant for event in events})
        ids = {event.id for event in events}
        there = set(transaction.execute(select(_columns.id).where(_columns.id.in_(ids))).scalars())
        new = [event for event in {event.id: event for event in events}.values() if event.id not in there]
        return self._add(transaction, new) if new else 0

    def _tell(self, deliveries: int) -> None:
        if deliveries:
            self._wake()

    def _links(self, transaction: Transaction, tenants: set[str]) -> dict[str, Link]:
        rows = transaction.execute(_HOLD_HEADS, {"tenants": sorted(tenants)}).mappings().all()
        return {row["tenant"]: Link(row["seq"], row["hash"]) for row in rows}


def told_once() -> ColumnElement[bool]:
    """All but the beginnings of calls whose end is there too."""
    end = AUDIT.alias()
    ended = select(end.c.id).where(end.c.id == func.replace(_columns.id, _BEGUN, "")).exists()
    return or_(_columns.action != "tool.begun", ~ended)


def entry_of(row: Any) -> Entry:
    """A row of the table as an Entry."""
    columns = dict(row)
    link = Link(columns.pop("seq"), columns.pop("hash"))
    return Entry(from_row(AuditEvent, columns), link)

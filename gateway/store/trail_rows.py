"""The audit as a whole: its chains from end to end, for those who verify, export and prune it.

Chains are read in pages, each a query of its own: nobody is held up, however long a chain is. Not here: what a chain
has to look like (`gateway.audit.verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, select, union

from gateway.store.audit_chain import Entry, Link
from gateway.store.audit_rows import AuditRows, entry_of, told_once
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import AUDIT, AUDIT_HEADS
from gateway.types import AuditEvent

_columns = AUDIT.c
_heads = AUDIT_HEADS.c
PRUNED = "audit.pruned"
"""The action of the row that remains of those that were pruned. Its reference is the link of the last of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: those to which all that is given applies. `arguments`: one of these keyed hashes."""

    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    person: str | None = None
    tool: str | None = None
    arguments: frozenset[str] | None = None

    def condition(self) -> ColumnElement[bool]:
        given = {"tenant": self.tenant, "subject": self.person, "tool": self.tool}
        tests = [_columns[name] == value for name, value in given.items() if value is not None]
        if self.since is not None:
            tests.append(_columns.at >= self.since)
        if self.until is not None:
            tests.append(_columns.at < self.until)
        if self.arguments is not None:
            tests.append(_columns.arguments.in_(self.arguments))
        return and_(True, *tests)


EVERYTHING = Wanted()


class TrailRows:
    """Everybody's events, for whoever runs the gateway."""

    def __init__(self, engines: Engines, rows: AuditRows) -> None:
        self._engines = engines
        self._rows = rows

    async def heads(self) -> dict[str, Link | None]:
        """The last link of each tenant's chain, by tenant; None where there are rows and no link."""
        tenants = union(select(_columns.tenant), select(_heads.tenant)).subquery()
        named = select(tenants.c.tenant, _heads.seq, _heads.hash).order_by(tenants.c.tenant)
        rows = await self._engines.rows(
            named.select_from(tenants.outerjoin(AUDIT_HEADS, _heads.tenant == tenants.c.tenant))
        )
        return {row["tenant"]: None if row["seq"] is None else Link(row["seq"], row["hash"]) for row in rows}

    async def page(self, tenant: str, after: int, limit: int) -> list[Entry]:
        """The next rows of a chain, behind the number `after`."""
        rows = await self._engines.rows(
            select(AUDIT)
            .where(_columns.tenant == tenant, _columns.seq > after)
            .order_by(_columns.seq)
            .limit(limit)
        )  # fmt: skip
        return [entry_of(row) for row in rows]

    async def find(self, wanted: Wanted, after: tuple[str, int], limit: int) -> list[Entry]:
        """The next rows that are wanted, by tenant and number, behind this place."""
        tenant, seq = after
        behind = or_(_columns.tenant > tenant, and_(_columns.tenant == tenant, _columns.seq > seq))
        rows = await self._engines.rows(
            select(AUDIT).where(wanted.condition(), behind).order_by(_columns.tenant, _columns.seq).limit(limit)
        )
        return [entry_of(row) for row in rows]

    async def latest(self, wanted: Wanted, limit: int) -> list[Entry]:
        """The latest rows that are wanted, the newest first; a call that has ended is there once."""
        rows = await self._engines.rows(
            select(AUDIT)
            .where(wanted.condition(), told_once())
            .order_by(_columns.at.desc(), _columns.seq.desc())
            .limit(limit)
        )
        return [entry_of(row) for row in rows]

    async def tenants(self) -> list[str]:
        """Those that have a chain."""
        return [row["tenant"] for row in await self._engines.rows(select(_heads.tenant).order_by(_heads.tenant))]

    async def last_before(self, tenant: str, after: int, before: datetime) -> int:
        """The number of the last row, behind `after`, that is from before this time; `after` where there is none."""
        rows = await self._engines.rows(
            select(_columns.seq)
            .where(_columns.tenant == tenant, _columns.seq > after, _columns.at < before)
            .order_by(_columns.seq.desc())  # from the end: few rows are newer, and as many as there are may be older
            .limit(1)
        )
        return int(rows[0]["seq"]) if rows else after

    async def list_unfinished(self, tenant: str, after: int, until: int, limit: int) -> list[Entry]:
        """Of the rows behind `after`, up to `until`: the beginnings of calls that have no end."""
        rows = await self._engines.rows(
            select(AUDIT)
            .where(_columns.tenant == tenant, _columns.seq > after, _columns.seq <= until)
            .where(_columns.action == "tool.begun", told_once())
            .order_by(_columns.seq)
            .limit(limit)
        )
        return [entry_of(row) for row in rows]

    async def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that rows have."""
        if not ids:
            return set()
        return {row["id"] for row in await self._engines.rows(select(_columns.id).where(_columns.id.in_(ids)))}

    async def pruned_to(self, tenant: str) -> list[Link]:
        """Where pruned parts of this chain ended, as the rows say that remained of them."""
        rows = await self._engines.rows(
            select(_columns.reference)
            .where(_columns.tenant == tenant, _columns.action == PRUNED)
            .order_by(_columns.seq.desc())
        )
        return [Link.parse(row["reference"]) for row in rows]

    async def prune(
        self, tenant: str, before: datetime, most: int, remains: Callable[[Link], AuditEvent]
    ) -> int:  # fmt: skip
        """Remove the rows at the beginning of a chain that are from before this time; how many that were.

        At most so many. `remains` gives the event that stands for them from then on, in the same transaction.
        """

        def write(transaction: Transaction) -> int:
            self._rows.hold(transaction, {tenant})
            chain = select(_columns.seq, _columns.hash, _columns.at).where(_columns.tenant == tenant)
            rows = transaction.execute(chain.order_by(_columns.seq).limit(most)).mappings().all()
            old = next((number for number, row in enumerate(rows) if row["at"] >= before), len(rows))
            if not old:
                return 0
            last = Link(rows[old - 1]["seq"], rows[old - 1]["hash"])
            transaction.execute(delete(AUDIT).where(_columns.tenant == tenant, _columns.seq <= last.seq))
            self._rows.add_last(transaction, remains(last))
            return old

        return await self._engines.together(write)

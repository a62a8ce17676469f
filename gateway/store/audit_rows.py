"""Audit events at rest: appended, never changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.delivery_rows import Notice, put_in
from gateway.store.engine import Engines
from gateway.store.tables import AUDIT, belongs_to, from_row, to_columns
from gateway.types import AuditEvent, Principal


class AuditRows:
    """What was done in people's names."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def append(self, events: Sequence[AuditEvent], notices: Sequence[Notice] = ()) -> int:
        """Add all of them or none. Appending an event again changes nothing, so a writer in doubt may repeat.

        `notices` are what apps may want to hear of these events; how many deliveries they came to. They are put in
        with the events or not at all.
        """
        if not events:
            return 0
        statement = self._engines.insert(AUDIT).on_conflict_do_nothing()
        rows = [to_columns(event) for event in events]

        async def write(transaction: AsyncConnection) -> int:
            await transaction.execute(statement, rows)
            return await put_in(transaction, self._engines, notices) if notices else 0

        return await self._engines.together(write)

    async def list_latest(self, principal: Principal, limit: int = 50) -> list[AuditEvent]:
        """The person's latest events, the newest first."""
        rows = await self._engines.rows(
            select(AUDIT)
            .where(belongs_to(AUDIT, principal))
            .order_by(AUDIT.c.at.desc(), AUDIT.c.id.desc())
            .limit(limit)
        )
        return [from_row(AuditEvent, row) for row in rows]

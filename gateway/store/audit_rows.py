"""Audit events at rest: appended, never changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from gateway.store.engine import Engines
from gateway.store.tables import AUDIT, belongs_to, from_row, to_columns
from gateway.types import AuditEvent, Principal


class AuditRows:
    """What was done in people's names."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Add all of them or none. Appending an event again changes nothing, so a writer in doubt may repeat."""
        if events:
            statement = self._engines.insert(AUDIT).on_conflict_do_nothing()
            await self._engines.change(statement, [to_columns(event) for event in events])

    async def list_latest(self, principal: Principal, limit: int = 50) -> list[AuditEvent]:
        """The person's latest events, the newest first."""
        rows = await self._engines.rows(
            select(AUDIT)
            .where(belongs_to(AUDIT, principal))
            .order_by(AUDIT.c.at.desc(), AUDIT.c.id.desc())
            .limit(limit)
        )
        return [from_row(AuditEvent, row) for row in rows]

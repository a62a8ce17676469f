"""The outbox of revocations: grants that were ended here and that the provider has yet to end too.

A row is put in by the transaction that drops its connection (`ConnectionRows.drop`), and leaves when the provider has
confirmed, or when it is given up. Several processes may empty one outbox: a try is claimed by compare-and-set, which
also is its lease, so that one who dies in the middle of it only delays it. Not here: asking providers
(`gateway.oauth.revocations`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.tables import REVOCATIONS, from_row
from gateway.types import AuditEvent, Revocation

_columns = REVOCATIONS.c


class RevocationRows:
    """Revocations by when they are due. They are the gateway's own business: nobody asks for a person's."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def list_due(self, now: datetime, limit: int) -> list[Revocation]:
        """Those to try or to give up now, the longest due first."""
        rows = await self._engines.rows(
            select(REVOCATIONS)
            .where(_columns.next_try_at <= now)
            .order_by(_columns.next_try_at, _columns.id)
            .limit(limit)
        )
        return [from_row(Revocation, row) for row in rows]

    async def claim(self, revocation: Revocation, until: datetime) -> Revocation | None:
        """Become the one who tries, until then; the row, one try on. None if somebody else did, or it is gone."""
        row = await self._engines.changed(
            update(REVOCATIONS)
            .where(_columns.id == revocation.id, _columns.attempts == revocation.attempts)
            .values(attempts=_columns.attempts + 1, next_try_at=until)
            .returning(*_columns)
        )
        return from_row(Revocation, row) if row else None

    async def put_off(self, revocation: Revocation, next_try_at: datetime) -> bool:
        """A claimed try failed: when the next one is due. False if it was claimed again in the meantime."""
        return await self._change(revocation, {"next_try_at": next_try_at})

    async def reseal(self, revocation: Revocation, sealed: bytes) -> bool:
        """Keep other tokens of the same grant. False if the try was claimed again in the meantime."""
        return await self._change(revocation, {"sealed": sealed})

    async def drop(self, revocation_id: str, event: AuditEvent | None = None) -> bool:
        """Shred it, with the event of its end in the same transaction. False if it was gone."""
        return await self._audit.change(delete(REVOCATIONS).where(_columns.id == revocation_id), event)

    async def _change(self, revocation: Revocation, values: dict[str, object]) -> bool:
        statement = (
            update(REVOCATIONS)
            .where(_columns.id == revocation.id, _columns.attempts == revocation.attempts)
            .values(values)
        )
        return await self._engines.change(statement) == 1

"""Connections that want something at a certain time, although nobody calls: to be renewed, or to be warned of.

Two queries on indexed columns, for all people at once: the only ones that know no Principal, for the gateway's own
upkeep (`gateway.oauth.keep_alive`) and for nobody who answers a person.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, select, update

from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.tables import CONNECTIONS, from_row
from gateway.store.times_ahead import is_over
from gateway.types import AuditEvent, Connection, ConnectionStatus

_columns = CONNECTIONS.c
_ACTIVE = _columns.status == ConnectionStatus.ACTIVE


class DueRows:
    """What is due. At most `limit` rows at a time, the longest due first."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def list_to_renew(self, now: datetime, limit: int) -> list[Connection]:
        """Grants that want to be used before they die of idleness."""
        may_ask = is_over(_columns.refresh_not_before, now)
        due = and_(_columns.renew_at <= now, _ACTIVE, may_ask)
        return await self._list(select(CONNECTIONS).where(due).order_by(_columns.renew_at).limit(limit))

    async def put_off(self, connection: Connection, until: datetime) -> None:
        """Renew it later: it did not work. One that was renewed meanwhile keeps its new time."""
        await self._engines.change(update(CONNECTIONS).where(_unmoved(connection)).values(renew_at=until))

    async def list_to_warn(self, now: datetime, limit: int) -> list[Connection]:
        """Grants that end soon, and whose person was not told yet."""
        due = and_(_columns.warn_at <= now, _ACTIVE)
        return await self._list(select(CONNECTIONS).where(due).order_by(_columns.warn_at).limit(limit))

    async def mark_warned(self, connection: Connection, now: datetime, event: AuditEvent) -> bool:
        """Note that the person was told, by this event. False if another process did it, or the end is another by now.

        It is recorded in the same transaction: that is how the person is told.
        """
        statement = (
            update(CONNECTIONS)
            .where(_unmoved(connection), _columns.warn_at.is_not(None))
            .values(warn_at=None, warned_at=now)
        )
        return await self._audit.change(statement, event)

    async def _list(self, statement: Select[tuple[object, ...]]) -> list[Connection]:
        return [from_row(Connection, row) for row in await self._engines.rows(statement)]


def _unmoved(connection: Connection) -> ColumnElement[bool]:
    return and_(_columns.id == connection.id, _columns.version == connection.version)

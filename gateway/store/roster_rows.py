"""All programs that people's access was given to: those with a row of their own, and those that only grants name.

Adding one and ending one is recorded in the transaction that does it. Not here: what a client does for itself, by
registering and exchanging codes (`client_rows`, `grant_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, delete, func, select, update

from gateway.authorization_types import AccessGrant, RegisteredClient
from gateway.store.audit_rows import AuditRows
from gateway.store.authorization_tables import (
    ACCESS_GRANTS,
    AUTHORIZATION_CODES,
    GIVEN_CONSENTS,
    REGISTERED_CLIENTS,
    columns_of,
    record_of,
)
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.types import AuditEvent

_grants = ACCESS_GRANTS.c


@dataclass(frozen=True, slots=True)
class Use:
    """What came of a client: how many grants of it are alive, when one was last given or refreshed."""

    client_id: str
    name: str
    grants: int
    used_at: datetime


class RosterRows:
    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def insert(self, client: RegisteredClient, event: AuditEvent) -> bool:
        """Store a new client; False if there is one of that id."""
        statement = self._engines.insert(REGISTERED_CLIENTS).values(columns_of(client))
        return await self._audit.change(statement.on_conflict_do_nothing(index_elements=["id"]), event)

    async def list_all(self) -> list[RegisteredClient]:
        """All clients that have a row, the oldest first."""
        order = (REGISTERED_CLIENTS.c.created_at, REGISTERED_CLIENTS.c.id)
        rows = await self._engines.rows(select(REGISTERED_CLIENTS).order_by(*order))
        return [record_of(RegisteredClient, row) for row in rows]

    async def uses(self, now: datetime) -> list[Use]:
        """What came of each client that a grant names."""
        live = case((_grants.revoked_at.is_(None) & (_grants.expires_at > now), 1), else_=0)
        rows = await self._engines.rows(
            select(
                _grants.client_id,
                func.max(_grants.client_name).label("name"),
                func.sum(live).label("grants"),
                func.max(_grants.used_at).label("used_at"),
            ).group_by(_grants.client_id)
        )
        return [Use(row["client_id"], row["name"], int(row["grants"]), row["used_at"]) for row in rows]

    async def end(
        self, client_id: str, now: datetime, event: AuditEvent, ended: Callable[[AccessGrant], AuditEvent]
    ) -> int:
        """Delete the client, if it has a row, with every yes to it, and end its grants: how many were alive until now.

        `event` is recorded, and for each grant what `ended` makes of it.
        """

        def in_transaction(connection: Transaction) -> tuple[int, Sequence[AuditEvent]]:
            connection.execute(delete(REGISTERED_CLIENTS).where(REGISTERED_CLIENTS.c.id == client_id))
            connection.execute(delete(GIVEN_CONSENTS).where(GIVEN_CONSENTS.c.client_id == client_id))
            codes = AUTHORIZATION_CODES.c
            unused = (codes.client_id == client_id, codes.used_at.is_(None))
            connection.execute(delete(AUTHORIZATION_CODES).where(*unused))
            live = (_grants.client_id == client_id, _grants.revoked_at.is_(None), _grants.expires_at > now)
            found = connection.execute(
                update(ACCESS_GRANTS).where(*live).values(revoked_at=now).returning(*ACCESS_GRANTS.c)
            )
            grants = [record_of(AccessGrant, row) for row in found.mappings()]
            return len(grants), [event, *map(ended, grants)]

        return await self._audit.recorded(None, in_transaction)

"""The authorization server's clients that registered themselves or were added, and what people let them have.

The event of a change is recorded in the transaction that makes it. Not here: clients of the settings, and those whose
id is a document's address (`gateway.authorization.clients`).
"""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import and_, delete, func, select, update

from gateway.authorization_types import ClientSource, GivenConsent, RegisteredClient
from gateway.store.audit_rows import AuditRows
from gateway.store.authorization_tables import GIVEN_CONSENTS, REGISTERED_CLIENTS, columns_of, record_of
from gateway.store.engine import Engines
from gateway.store.tables import belongs_to
from gateway.types import AuditEvent

_clients = REGISTERED_CLIENTS.c
_consents = GIVEN_CONSENTS.c
_NEVER_USED = and_(_clients.used_at.is_(None), _clients.source == ClientSource.REGISTRATION)


class ClientRows:
    """Clients by id; consents by everything that they are about."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def insert(self, client: RegisteredClient, event: AuditEvent | None = None) -> None:
        """Store a new client."""
        await self._audit.change(self._engines.insert(REGISTERED_CLIENTS).values(columns_of(client)), event)

    async def find(self, client_id: str) -> RegisteredClient | None:
        rows = await self._engines.rows(select(REGISTERED_CLIENTS).where(_clients.id == client_id))
        return record_of(RegisteredClient, rows[0]) if rows else None

    async def note_use(self, client_id: str, now: datetime) -> None:
        """Note that a person let the client in: from now on it stays."""
        await self._engines.change(
            update(REGISTERED_CLIENTS).where(_clients.id == client_id, _NEVER_USED).values(used_at=now)
        )

    async def count_unused(self) -> int:
        """How many clients nobody has let in yet."""
        rows = await self._engines.rows(
            select(func.count().label("clients")).select_from(REGISTERED_CLIENTS).where(_NEVER_USED)
        )
        return int(rows[0]["clients"])

    async def prune(self, before: datetime) -> int:
        """Delete the clients that registered before this time and were never let in; how many they were."""
        return await self._engines.change(delete(REGISTERED_CLIENTS).where(_NEVER_USED, _clients.created_at < before))

    async def remember(self, consent: GivenConsent, now: datetime, event: AuditEvent | None = None) -> None:
        """Note that the person consented to this. Again: the time is the latest."""
        values = columns_of(consent) | {"id": secrets.token_hex(12), "given_at": now}
        statement = self._engines.insert(GIVEN_CONSENTS).values(values)
        what = ("tenant", "issuer", "subject", "client_id", "redirect_uri", "scopes")
        await self._audit.change(statement.on_conflict_do_update(index_elements=what, set_={"given_at": now}), event)

    async def find_consent(self, consent: GivenConsent) -> datetime | None:
        """When the person last consented to exactly this. Somebody else's, or to anything else, is none."""
        rows = await self._engines.rows(
            select(_consents.given_at).where(
                and_(
                    belongs_to(GIVEN_CONSENTS, consent.principal),
                    *(_consents[name] == getattr(consent, name) for name in ("client_id", "redirect_uri", "scopes")),
                )
            )
        )
        return rows[0]["given_at"] if rows else None

"""The right to renew a connection's tokens: a lease in its row, so that one at a time asks the provider.

    lease = await leases.claim(connection, owner=…, now=…, until=…)      a transaction
    …  ask the provider, outside any transaction  …
    await leases.complete(renewed, expected_version=…)                   a transaction

Taken by compare-and-set, and fenced by `version`: who was paused, and has lost the lease meanwhile, changes nothing
once newer tokens are there. `refresh_started_at` stays from the first claim until an answer was seen: a later holder
who finds it older than their own claim knows that the provider may have given tokens which nobody kept.

Not here: when to renew, and what a failure means (`gateway.oauth.refresher`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, true, update

from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.tables import CONNECTIONS, belongs_to, from_row, to_columns
from gateway.store.times_ahead import is_over
from gateway.types import AuditEvent, Connection, ConnectionStatus

_columns = CONNECTIONS.c
_RENEWED = (
    "scopes", "status", "status_reason", "sealed", "version", "expires_at", "updated_at",
    "renew_at", "ends_at", "warn_at", "warned_at",
)  # fmt: skip
_AT_REST = {"lease_owner": None, "lease_until": None}
_AS_NEW = _AT_REST | {"refresh_started_at": None, "refresh_not_before": None, "failures": 0}


class LeaseRows:
    """Refreshes of connections, in the rows of those connections."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def read(self, connection: Connection) -> Connection | None:
        """The row as it is now. None: it is gone."""
        rows = await self._engines.rows(select(CONNECTIONS).where(_is(connection)))
        return from_row(Connection, rows[0]) if rows else None

    async def find(self, connection_id: str) -> Connection | None:
        """The row of this id, whoever's it is: for what a process left about it outside the database."""
        rows = await self._engines.rows(select(CONNECTIONS).where(_columns.id == connection_id))
        return from_row(Connection, rows[0]) if rows else None

    async def claim(self, connection: Connection, *, owner: str, now: datetime, until: datetime) -> Connection | None:
        """Become the one who refreshes these very tokens, until `until`. The row as it is then.

        None if somebody else does, or has done; if the connection is not active; or while a back-off runs.
        """
        statement = (
            update(CONNECTIONS)
            .where(
                _is(connection),
                _columns.version == connection.version,
                _columns.status == ConnectionStatus.ACTIVE,
                is_over(_columns.lease_until, now),
                is_over(_columns.refresh_not_before, now),
            )
            .values(
                lease_owner=owner,
                lease_until=until,
                refresh_started_at=func.coalesce(
                    _columns.refresh_started_at, literal(now, _columns.refresh_started_at.type)
                ),
            )
            .returning(*_columns)
        )
        row = await self._engines.changed(statement)
        return from_row(Connection, row) if row else None

    async def complete(self, renewed: Connection, *, expected_version: int) -> bool:
        """Store refreshed tokens; lease and back-off are over.

        Whoever holds the lease by now: the tokens of an unmoved row are the newest that anybody has. False if the
        version has moved, or the row is gone or ended: read it again.
        """
        return await self._complete(renewed, expected_version, true())

    async def complete_late(
        self, renewed: Connection, *, expected_version: int, owners: Collection[str], now: datetime
    ) -> bool:
        """As `complete`, for tokens whose refresh is long over. False also while another than `owners` holds the lease.

        They may be asking the provider with the token that these have replaced: what comes of it is to be seen first.
        """
        theirs = or_(_columns.lease_owner.in_(owners), is_over(_columns.lease_until, now))
        return await self._complete(renewed, expected_version, theirs)

    async def give_back(self, held: Connection, *, failures: int, not_before: datetime | None, in_doubt: bool) -> bool:
        """End the lease without new tokens; the former ones stay. False if it is no longer the holder's.

        `held` is what `claim` gave. `in_doubt`: whether the provider gave tokens is not known.
        """
        values = _AT_REST | {"failures": failures, "refresh_not_before": not_before}
        if not in_doubt:
            values["refresh_started_at"] = None
        return await self._engines.change(update(CONNECTIONS).where(_held(held)).values(values)) == 1

    async def refuse(self, held: Connection, *, reason: str, now: datetime, event: AuditEvent | None = None) -> bool:
        """The provider says that the grant is gone: a new consent is needed. False if it was about older tokens.

        The event is recorded in the same transaction.
        """
        return await self._end(_held(held), reason, now, event)

    async def give_up(
        self, connection: Connection, *, reason: str, now: datetime, event: AuditEvent | None = None
    ) -> bool:
        """As `refuse`, for tokens that nobody can renew. False if the row has others by now."""
        same = and_(
            _is(connection),
            _columns.version == connection.version,
            _columns.status == ConnectionStatus.ACTIVE,
        )
        return await self._end(same, reason, now, event)

    async def _complete(self, renewed: Connection, expected_version: int, more: ColumnElement[bool]) -> bool:
        if renewed.version <= expected_version:
            raise ValueError("new tokens need a new version: they are sealed to it")
        columns = to_columns(renewed)
        statement = (
            update(CONNECTIONS)
            .where(
                _is(renewed), _columns.version == expected_version, _columns.status != ConnectionStatus.REVOKED, more
            )
            .values({name: columns[name] for name in _RENEWED} | _AS_NEW)
        )  # fmt: skip
        return await self._engines.change(statement) == 1

    async def _end(self, which: ColumnElement[bool], reason: str, now: datetime, event: AuditEvent | None) -> bool:
        values = _AS_NEW | {
            "status": ConnectionStatus.NEEDS_REAUTH, "status_reason": reason, "updated_at": now,
            "renew_at": None, "ends_at": None, "warn_at": None,
        }  # fmt: skip
        return await self._audit.change(update(CONNECTIONS).where(which).values(values), event)


def _is(connection: Connection) -> ColumnElement[bool]:
    return and_(belongs_to(CONNECTIONS, connection.principal), _columns.id == connection.id)


def _held(held: Connection) -> ColumnElement[bool]:
    return and_(_is(held), _columns.version == held.version, _columns.lease_owner == held.lease_owner)

"""Connections at rest: a person's links to accounts.

Every change of the tokens is a compare-and-set on `version`, so that of two writers one learns that it lost. Not
here: renewing tokens (`gateway.store.lease_rows`), or opening what is sealed (`gateway.vault`).
"""

from __future__ import annotations

from sqlalchemy import Select, and_, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.engine import Engines
from gateway.store.tables import CONNECTIONS, REVOCATIONS, belongs_to, from_row, person, to_columns
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal, Revocation

_columns = CONNECTIONS.c
_FREE = {
    "lease_owner": None, "lease_until": None, "refresh_started_at": None, "refresh_not_before": None, "failures": 0,
}  # fmt: skip
_IDENTITY = frozenset({"id", "tenant", "issuer", "subject", "provider", "account_id", "created_at"})

# Asked on every tool call, and built only once: building it costs as much as running it.
_CURRENT = (
    select(CONNECTIONS)
    .where(
        *(_columns[name] == bindparam(name) for name in ("tenant", "issuer", "subject", "provider", "kind")),
        _columns.status != ConnectionStatus.REVOKED,
    )
    .order_by((_columns.status == ConnectionStatus.ACTIVE).desc(), _columns.created_at.desc(), _columns.id)
    .limit(1)
)


class ConnectionRows:
    """A person's connections. Where a Principal is asked for, other people's rows do not exist."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def find(self, principal: Principal, provider: str, kind: CredentialKind) -> Connection | None:
        """The one to use for a call: an active one before one that needs reauthorization, the newest first.

        Never a revoked one.
        """
        rows = await self._engines.rows(_CURRENT, person(principal) | {"provider": provider, "kind": kind})
        return from_row(Connection, rows[0]) if rows else None

    async def find_account(self, principal: Principal, provider: str, account_id: str) -> Connection | None:
        """The person's connection to this very account, whatever its status."""
        account = and_(_columns.provider == provider, _columns.account_id == account_id)
        return await self._first(select(CONNECTIONS).where(belongs_to(CONNECTIONS, principal), account))

    async def find_by_id(self, principal: Principal, connection_id: str) -> Connection | None:
        return await self._first(
            select(CONNECTIONS).where(belongs_to(CONNECTIONS, principal), _columns.id == connection_id)
        )

    async def list_all(self, principal: Principal) -> list[Connection]:
        """The person's connections, by provider, the oldest first."""
        rows = await self._engines.rows(
            select(CONNECTIONS)
            .where(belongs_to(CONNECTIONS, principal))
            .order_by(_columns.provider, _columns.created_at, _columns.id)
        )
        return [from_row(Connection, row) for row in rows]

    async def insert(self, connection: Connection) -> bool:
        """False if the person has a connection to this account already; that one is left as it was."""
        statement = self._engines.insert(CONNECTIONS).values(to_columns(connection)).on_conflict_do_nothing()
        return await self._engines.change(statement) == 1

    async def replace(self, connection: Connection, *, expected_version: int) -> bool:
        """Put a person's new grant for the same account in the place of the former; ends a lease and a back-off.

        False if the row is gone, is another account's, or has another version than expected: read it again.
        """
        if connection.version <= expected_version:
            raise ValueError("new tokens need a new version: they are sealed to it")
        columns = to_columns(connection) | _FREE
        statement = (
            update(CONNECTIONS)
            .where(
                *(_columns[name] == columns[name] for name in _IDENTITY - {"created_at"}),
                _columns.version == expected_version,
            )
            .values({name: value for name, value in columns.items() if name not in _IDENTITY})
        )
        return await self._engines.change(statement) == 1

    async def drop(
        self,
        principal: Principal,
        connection_id: str,
        *,
        version: int | None = None,
        revocation: Revocation | None = None,
    ) -> bool:
        """Forget the connection and its tokens. False if there was none, or none of this version.

        `revocation` goes into the outbox in the same transaction: what was forgotten here will be ended there.
        """
        which = [belongs_to(CONNECTIONS, principal), _columns.id == connection_id]
        if version is not None:
            which.append(_columns.version == version)

        async def write(transaction: AsyncConnection) -> bool:
            dropped = (await transaction.execute(delete(CONNECTIONS).where(*which))).rowcount == 1
            if dropped and revocation is not None:
                await transaction.execute(self._engines.insert(REVOCATIONS).values(to_columns(revocation)))
            return dropped

        return await self._engines.in_turn(f"drop {connection_id}", write)

    async def list_tenants_of(self, provider: str, account_id: str, *, but: str) -> list[str]:
        """In which tenants somebody has a connection to this account, other than the one with the id `but`."""
        rows = await self._engines.rows(
            select(_columns.tenant)
            .where(_columns.provider == provider, _columns.account_id == account_id, _columns.id != but)
            .distinct()
        )
        return [row["tenant"] for row in rows]

    async def _first(self, statement: Select[tuple[object, ...]]) -> Connection | None:
        rows = await self._engines.rows(statement)
        return from_row(Connection, rows[0]) if rows else None

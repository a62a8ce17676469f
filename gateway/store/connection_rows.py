"""Connections at rest: a person's links to accounts.

Every change of the tokens is a compare-and-set on `version`, so that of two writers one learns that it lost. Not
here: renewing tokens (`gateway.store.lease_rows`), or opening what is sealed (`gateway.vault`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import ColumnElement, Insert, Select, Update, and_, bindparam, delete, exists, select, update

from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import CONNECTIONS, REVOCATIONS, belongs_to, from_row, person, to_columns
from gateway.types import AuditEvent, Connection, ConnectionStatus, CredentialKind, Principal, Revocation

Fact = Callable[[Connection], AuditEvent]

_columns = CONNECTIONS.c
_FREE = {
    "lease_owner": None, "lease_until": None, "refresh_started_at": None, "refresh_not_before": None, "failures": 0,
}  # fmt: skip
_IDENTITY = frozenset({"id", "tenant", "issuer", "subject", "provider", "account_id", "created_at"})
_KEPT = _IDENTITY | {"is_default"}
"""What new tokens leave alone."""

# Asked on every tool call, and built only once: building it costs as much as running it.
_CURRENT = (
    select(CONNECTIONS)
    .where(
        *(_columns[name] == bindparam(name) for name in ("tenant", "issuer", "subject", "provider", "kind")),
        _columns.status != ConnectionStatus.REVOKED,
    )
    .order_by(_columns.is_default.desc(), _columns.created_at, _columns.id)
    .limit(1)
)
_GROUP = ("tenant", "issuer", "subject", "provider", "kind")
"""Among the connections that agree in these, one is the default."""
_WITHOUT_TOKENS = [column for column in _columns if column.name != "sealed"]


class ConnectionRows:
    """A person's connections. Where a Principal is asked for, other people's rows do not exist.

    A `fact` makes the event of a change; it is recorded in the transaction that makes the change, or not at all.
    """

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def find(self, principal: Principal, provider: str, kind: CredentialKind) -> Connection | None:
        """The default: the one to use for a call that names no account. It may need reauthorization."""
        rows = await self._engines.rows(_CURRENT, person(principal) | {"provider": provider, "kind": kind})
        return from_row(Connection, rows[0]) if rows else None

    async def find_account(
        self, principal: Principal, provider: str, kind: CredentialKind, account_id: str
    ) -> Connection | None:
        """The person's connection to this very account, whatever its status."""
        account = and_(_columns.provider == provider, _columns.kind == kind, _columns.account_id == account_id)
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

    async def list_accounts(self, principal: Principal) -> list[Connection]:
        """The person's connections that can be used now, the default first. Without their tokens: `sealed` is empty."""
        rows = await self._engines.rows(
            select(*_WITHOUT_TOKENS)
            .where(belongs_to(CONNECTIONS, principal), _columns.status == ConnectionStatus.ACTIVE)
            .order_by(_columns.is_default.desc(), _columns.created_at, _columns.id)
        )
        return [from_row(Connection, {**row, "sealed": b""}) for row in rows]

    async def insert(self, connection: Connection, fact: Fact | None = None) -> Connection | None:
        """Store a new connection: as the default if the person has none at this provider, or one that has ended.

        None if the person has a connection to this account already; that one is left as it was.
        """
        values = to_columns(replace(connection, is_default=False))
        statement = self._engines.insert(CONNECTIONS).values(values).on_conflict_do_nothing()
        return await self._keep(connection, statement, fact)

    async def set_default(
        self, principal: Principal, connection_id: str, fact: Fact | None = None
    ) -> Connection | None:
        """Make this the person's default at its provider. None if they have no such connection."""
        found = await self.find_by_id(principal, connection_id)
        if found is None:
            return None

        def write(transaction: Transaction) -> Connection | None:
            there = transaction.execute(select(_columns.id).where(_columns.id == connection_id)).first()
            if there is not None:
                former = update(CONNECTIONS).where(_same_group(found), _columns.is_default).values(is_default=False)
                transaction.execute(former)
                transaction.execute(_make_default(_columns.id == connection_id))
            return replace(found, is_default=True) if there is not None else None

        return await self._audit.together(_turn(found), write, fact)

    async def replace(
        self, connection: Connection, *, expected_version: int, fact: Fact | None = None
    ) -> Connection | None:
        """Put a person's new grant for the same account in the place of the former; ends a lease and a back-off.

        It becomes the default where the person's default has ended. None if the row is gone, is another account's, or
        has another version than expected: read it again.
        """
        return await self._keep(connection, _renewal(connection, expected_version), fact)

    async def drop(
        self,
        principal: Principal,
        connection_id: str,
        *,
        version: int | None = None,
        revocation: Revocation | None = None,
        fact: Fact | None = None,
    ) -> bool:
        """Forget the connection and its tokens. False if there was none, or none of this version.

        If it was the default, the person's oldest connection there that works takes its place, else their oldest.
        `revocation` goes into the outbox in the same transaction: what was forgotten here will be ended there.
        """
        found = await self.find_by_id(principal, connection_id)
        if found is None:
            return False
        this = and_(belongs_to(CONNECTIONS, principal), _columns.id == connection_id)
        if version is not None:
            this = and_(this, _columns.version == version)

        def write(transaction: Transaction) -> Connection | None:
            statement = delete(CONNECTIONS).where(this).returning(_columns.is_default)
            was_default = transaction.execute(statement).scalar_one_or_none()
            if was_default is None:
                return None
            if was_default:
                transaction.execute(_make_default(_columns.id == _oldest(found).scalar_subquery()))
            if revocation is not None:
                transaction.execute(self._engines.insert(REVOCATIONS).values(to_columns(revocation)))
            return found

        return await self._audit.together(_turn(found), write, fact) is not None

    async def list_people(self, tenant: str, issuer: str, limit: int) -> list[Principal]:
        """Some of the people of this issuer who have a connection that is not revoked, by their subjects."""
        rows = await self._engines.rows(
            select(_columns.subject)
            .where(_columns.tenant == tenant, _columns.issuer == issuer)
            .where(_columns.status != ConnectionStatus.REVOKED)
            .distinct()
            .order_by(_columns.subject)
            .limit(limit)
        )
        return [Principal(issuer, row["subject"], tenant) for row in rows]

    async def list_tenants_of(self, provider: str, account_id: str, *, but: str) -> list[str]:
        """In which tenants somebody has a connection to this account, other than the one with the id `but`."""
        rows = await self._engines.rows(
            select(_columns.tenant)
            .where(_columns.provider == provider, _columns.account_id == account_id, _columns.id != but)
            .distinct()
        )
        return [row["tenant"] for row in rows]

    async def _keep(self, connection: Connection, statement: Insert | Update, fact: Fact | None) -> Connection | None:
        """Write the row and settle which one is the default, in one transaction. None where there was no such row."""

        def write(transaction: Transaction) -> Connection | None:
            if transaction.execute(statement).rowcount != 1:
                return None
            return replace(connection, is_default=_take_over(transaction, connection))

        return await self._audit.together(_turn(connection), write, fact)

    async def _first(self, statement: Select[tuple[object, ...]]) -> Connection | None:
        rows = await self._engines.rows(statement)
        return from_row(Connection, rows[0]) if rows else None


def _renewal(connection: Connection, expected_version: int) -> Update:
    if connection.version <= expected_version:
        raise ValueError("new tokens need a new version: they are sealed to it")
    columns = to_columns(connection) | _FREE
    return (
        update(CONNECTIONS)
        .where(
            *(_columns[name] == columns[name] for name in _IDENTITY - {"created_at"}),
            _columns.version == expected_version,
        )
        .values({name: value for name, value in columns.items() if name not in _KEPT})
    )


def _same_group(connection: Connection) -> ColumnElement[bool]:
    columns = to_columns(connection)
    return and_(*(_columns[name] == columns[name] for name in _GROUP))


def _turn(connection: Connection) -> str:
    """Whoever settles which one of a group is the default takes turns."""
    return f"default {json.dumps([to_columns(connection)[name] for name in _GROUP])}"


def _take_over(transaction: Transaction, connection: Connection) -> bool:
    """Make this row the default, unless another one is that works. Whether it is."""
    ended = and_(_columns.is_default, _columns.id != connection.id, _columns.status != ConnectionStatus.ACTIVE)
    transaction.execute(update(CONNECTIONS).where(_same_group(connection), ended).values(is_default=False))
    others = CONNECTIONS.alias()
    group = and_(*(others.c[name] == _columns[name] for name in _GROUP))
    unrivalled = ~exists().where(group, others.c.is_default, others.c.id != connection.id)
    this = _columns.id == connection.id
    changed = transaction.execute(_make_default(and_(this, unrivalled)))
    return changed.rowcount == 1


def _make_default(which: ColumnElement[bool]) -> Update:
    return update(CONNECTIONS).where(which).values(is_default=True)


def _oldest(of_group: Connection) -> Select[tuple[str]]:
    """The oldest of the group that works, else the oldest."""
    works_first = (_columns.status == ConnectionStatus.ACTIVE).desc()
    order = (works_first, _columns.created_at, _columns.id)
    return select(_columns.id).where(_same_group(of_group)).order_by(*order).limit(1)

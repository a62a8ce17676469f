"""How events get to the end of a chain: by three statements, or, a few of them on PostgreSQL, by one.

Whoever adds to a chain holds its head until they have committed, so a chain does not fork. SQLite is in this process,
and statements to it are cheap. To PostgreSQL each is a round trip, and everybody else who wants to add waits meanwhile:
so there one statement takes the head and makes the links, with the database's own SHA-256, of texts that are made here.
Both make the same chain: `gateway.store.audit_chain` says what it is, and verifying does not ask who made it.

Below: `audit_chain`. Above: `audit_rows`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from gateway.store.audit_chain import GENESIS, Link, canonical
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import AUDIT, AUDIT_HEADS, to_columns
from gateway.types import AuditEvent

_heads = AUDIT_HEADS.c
# Built once: building them costs as much as running them.
_HOLD_HEADS = (
    select(AUDIT_HEADS)
    .where(_heads.tenant.in_(bindparam("tenants", expanding=True)))
    .order_by(_heads.tenant)
    .with_for_update()
)
_MOVE_HEAD = (
    update(AUDIT_HEADS)
    .where(_heads.tenant == bindparam("of"))
    .values(seq=bindparam("number"), hash=bindparam("digest"))
)  # fmt: skip

_UNIQUE_VIOLATION = "23505"
"""PostgreSQL's SQLSTATE for it."""
_FEW = 10
"""Events up to which one statement is faster. More are better sent as rows, in one INSERT."""
_SEQ = '"seq":0'
"""Where the number goes in a row's canonical text. It can be nowhere else: quotes inside of values are escaped."""
_TOLD = [column.name for column in AUDIT.c if column.name not in ("seq", "hash")]
_APPEND = text(f"""
    WITH RECURSIVE
    head AS MATERIALIZED (SELECT seq, hash FROM audit_heads WHERE tenant = :tenant FOR UPDATE),
    chain AS (
        SELECT 0 AS number, seq, hash FROM head
        UNION ALL
        SELECT number + 1, seq + 1, sha256(hash || convert_to(
            (CAST(:before AS text[]))[number + 1] || '"seq":' || (seq + 1) || (CAST(:after AS text[]))[number + 1],
            'UTF8'))
        FROM chain WHERE number < :count
    ),
    moved AS (
        UPDATE audit_heads SET seq = chain.seq, hash = chain.hash FROM chain
        WHERE tenant = :tenant AND number = :count
    )
    INSERT INTO audit (seq, hash, {", ".join(_TOLD)})
    SELECT chain.seq, chain.hash, {", ".join(f"told.{name}" for name in _TOLD)}
    FROM chain JOIN ROWS FROM (json_populate_recordset(NULL::audit, CAST(:rows AS json))) WITH ORDINALITY AS told
    ON told.ordinality = chain.number
""")  # noqa: S608 - of nothing but our own columns' names


class RepeatedError(Exception):
    """Some of the events are there already: the writer was in doubt, and does it again."""


class AuditEnds:
    """The ends of the chains."""

    def __init__(self, engines: Engines) -> None:
        self._begin = engines.insert(AUDIT_HEADS).on_conflict_do_nothing()
        # One row, sent many times. A statement of all rows would be another one for each number of them, and the driver
        # keeps the latest 128 prepared: hundreds of megabytes.
        self._insert = insert(AUDIT)
        self._far = engines.writing.engine.dialect.name == "postgresql"

    def hold(self, transaction: Transaction, tenants: Collection[str]) -> dict[str, Link]:
        """The last link of each chain, which is held until the transaction ends. A chain that is new begins."""
        found = _held(transaction, tenants)
        if missing := sorted(set(tenants) - found.keys()):
            begun = [{"tenant": tenant, "seq": GENESIS.seq, "hash": GENESIS.hash} for tenant in missing]
            transaction.execute(self._begin, begun)
            found = _held(transaction, tenants)
        return found

    def is_one_statement(self, events: Sequence[AuditEvent]) -> bool:
        """Whether these events of one tenant are added by one statement, which needs no transaction round it."""
        return self._far and len(events) <= _FEW

    def add(self, transaction: Transaction, tenant: str, events: Sequence[AuditEvent]) -> None:
        """Add new events, as they are stored, to the tenant's chain. RepeatedError if one is not new."""
        add = self._add_by_one if self.is_one_statement(events) else self._add_by_three
        add(transaction, tenant, events)

    def _add_by_three(self, transaction: Transaction, tenant: str, events: Sequence[AuditEvent]) -> None:
        link = self.hold(transaction, {tenant})[tenant]
        rows = []
        for event in events:
            link = link.to(event)
            rows.append(to_columns(event) | {"seq": link.seq, "hash": link.hash})
        try:
            transaction.execute(self._insert, rows)
        except IntegrityError as error:
            if not _is_repeated(error):
                raise
            raise RepeatedError from None
        transaction.execute(_MOVE_HEAD, {"of": tenant, "number": link.seq, "digest": link.hash})

    def _add_by_one(self, transaction: Transaction, tenant: str, events: Sequence[AuditEvent]) -> None:
        texts = [canonical(event, 0).decode().partition(_SEQ) for event in events]
        given = {
            "tenant": tenant,
            "count": len(events),
            "before": [before for before, _, _ in texts],
            "after": [after for _, _, after in texts],
            "rows": json.dumps([_row(event) for event in events]),
        }
        try:
            if transaction.execute(_APPEND, given).rowcount == 0:
                self.hold(transaction, {tenant})  # it begins
                transaction.execute(_APPEND, given)
        except IntegrityError:
            raise RepeatedError from None


def _held(transaction: Transaction, tenants: Collection[str]) -> dict[str, Link]:
    rows = transaction.execute(_HOLD_HEADS, {"tenants": sorted(tenants)}).mappings().all()
    return {row["tenant"]: Link(row["seq"], row["hash"]) for row in rows}


def _is_repeated(error: IntegrityError) -> bool:
    """Whether there is such a row already: whatever else the database enforces is another trouble."""
    said = error.driver_exception
    of_sqlite = (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE)
    return getattr(said, "sqlstate", None) == _UNIQUE_VIOLATION or getattr(said, "sqlite_errorcode", None) in of_sqlite


def _row(event: AuditEvent) -> dict[str, object]:
    """The columns in JSON's types, which PostgreSQL reads as it reads its own texts."""
    return to_columns(event) | {"at": event.at.isoformat(), "scopes": json.dumps(sorted(event.scopes))}

"""The tables hold what the vocabulary says, and print nothing that helps an attacker."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite

from gateway.store.column_types import UtcTime
from gateway.store.tables import AUDIT, CONNECTIONS, FLOWS, ConnectionRow, FlowRow, MarkRow
from gateway.types import AuditEvent, Connection, Flow


@pytest.mark.parametrize(("table", "kind"), [(CONNECTIONS, Connection), (FLOWS, Flow), (AUDIT, AuditEvent)])
def test_a_table_has_a_column_for_every_field(table: Table, kind: type) -> None:
    named = {field.name for field in fields(kind)} - {"principal"} | {"tenant", "issuer", "subject"}

    assert {column.name for column in table.columns} == named


def test_a_row_prints_neither_ciphertext_nor_hashes() -> None:
    rows = [
        ConnectionRow(id="c1", sealed=b"canary"),
        FlowRow(id="f1", state_hash="canary", browser_hash="canary", sealed_verifier=b"canary"),
        MarkRow(name="sentinel", value=b"canary"),
    ]
    for row in rows:
        assert "canary" not in f"{row!r} {row!s}"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        UtcTime().process_bind_param(datetime(2030, 1, 1), sqlite.dialect())  # noqa: DTZ001 - the point

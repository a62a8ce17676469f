"""The tables hold what the vocabulary says, and print nothing that helps an attacker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite

from gateway.store.column_types import Scopes, UtcTime
from gateway.store.tables import AUDIT, CONNECTIONS, FLOWS, WEBHOOKS, ConnectionRow, FlowRow, MarkRow, WebhookRow
from gateway.types import AuditEvent, Connection, Flow
from gateway.webhook_types import Webhook

PLACE = {"seq", "hash"}
"""An audit row's place in its chain."""


@pytest.mark.parametrize(
    ("table", "kind"), [(CONNECTIONS, Connection), (FLOWS, Flow), (AUDIT, AuditEvent), (WEBHOOKS, Webhook)]
)
def test_a_table_has_a_column_for_every_field(table: Table, kind: type) -> None:
    named = {field.name for field in fields(kind)} - {"principal"} | {"tenant", "issuer", "subject"}

    assert {column.name for column in table.columns} - PLACE == named


def test_a_row_prints_neither_ciphertext_nor_hashes() -> None:
    rows = [
        ConnectionRow(id="c1", sealed=b"canary"),
        FlowRow(id="f1", state_hash="canary", browser_hash="canary", sealed_verifier=b"canary"),
        MarkRow(name="sentinel", value=b"canary"),
        WebhookRow(id="w1", sealed=b"canary"),
    ]
    for row in rows:
        assert "canary" not in f"{row!r} {row!s}"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        UtcTime().process_bind_param(datetime(2030, 1, 1), sqlite.dialect())  # noqa: DTZ001 - the point


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_without_a_zone_out_of_sqlite_is_utc_wherever_the_machine_stands(far_from_utc: None) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)

    assert UtcTime().process_result_value(noon.replace(tzinfo=None), sqlite.dialect()) == noon


def test_equal_sets_of_scopes_are_equal_text() -> None:
    scopes = [f"scope {number}" for number in range(20)]

    stored = Scopes().process_bind_param(frozenset(reversed(scopes)), sqlite.dialect())

    assert stored == json.dumps(sorted(scopes))

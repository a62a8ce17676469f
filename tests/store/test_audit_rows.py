"""What a store does with audit events, on each database."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy.event

from gateway.store.store import Store
from gateway.types import AuditEvent, Principal

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANNA = Principal("issuer", "anna")
BERND = Principal("issuer", "bernd")


def event(number: int, **changes: Any) -> AuditEvent:
    made = AuditEvent(f"e{number:04}", NOW + timedelta(seconds=number), ANNA, "tool.called", "done")
    return dataclasses.replace(made, **changes)


async def test_an_event_comes_back_as_it_was_appended(store: Store) -> None:
    every_field = event(
        1, client="a host", tool="t", provider="acme", account="anna", reference="r", duration_ms=1.2345678901
    )
    await store.audit.append([every_field])

    assert await store.audit.list_latest(ANNA) == [every_field]


async def test_the_latest_events_of_a_person_come_first(store: Store) -> None:
    await store.audit.append([event(2), event(1), event(3), event(4, principal=BERND)])

    assert await store.audit.list_latest(ANNA, limit=2) == [event(3), event(2)]


async def test_appending_nothing_is_fine(store: Store) -> None:
    await store.audit.append([])

    assert await store.audit.list_latest(ANNA) == []


async def test_a_writer_in_doubt_may_append_again(store: Store) -> None:
    """The commit went through but its answer was lost: the event is neither doubled nor in the way of others."""
    await store.audit.append([event(1)])
    await store.audit.append([event(1), event(2)])

    assert await store.audit.list_latest(ANNA) == [event(2), event(1)]


async def test_a_thousand_events_are_appended_at_once(store: Store) -> None:
    await store.audit.append([event(number) for number in range(1000)])

    assert len(await store.audit.list_latest(ANNA, limit=2000)) == 1000


async def test_however_many_events_come_at_once_the_statement_is_the_same(sqlite_url: str) -> None:
    """The driver keeps the latest 128 that it was given, and one of five hundred rows takes a megabyte."""
    store = await Store.open(sqlite_url)
    given: set[str] = set()
    engine = store._engines.writing.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *what: given.add(what[2]))
    for count in range(1, 40):
        await store.audit.append([event(100 * count + number) for number in range(count)])
    assert len([statement for statement in given if "INSERT INTO audit " in statement]) == 1
    await store.close()


async def test_an_event_with_a_name_that_postgresql_cannot_hold_does_not_block_the_record(store: Store) -> None:
    """A host names itself as it likes, in bytes that a database may refuse."""
    await store.audit.append([event(1, client="evil\0host\udfff", tool="no\0such")])

    assert await store.audit.list_latest(ANNA) == [event(1, client="evil\ufffdhost?", tool="no\ufffdsuch")]


async def test_the_last_use_of_each_account_is_found(store: Store) -> None:
    await store.audit.append(
        [
            event(1, provider="acme", account="anna"),
            event(2, provider="acme", account="anna"),
            event(3, provider="acme", account="other", action="tokens.handed_out"),
            event(4, provider="acme", account="anna", action="connection.default"),
            event(5, provider="acme", account="bernd", principal=BERND),
            event(6, provider="bank", outcome="tool_error"),
            event(7, provider="bank", outcome="needs_connection"),
            event(8),
        ]
    )

    assert await store.audit.last_uses(ANNA) == {
        ("acme", "anna"): NOW + timedelta(seconds=2),
        ("acme", "other"): NOW + timedelta(seconds=3),
        ("bank", None): NOW + timedelta(seconds=6),
    }
    assert await store.audit.last_uses(Principal("issuer", "nobody")) == {}

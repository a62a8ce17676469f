"""A change of a connection and its record are made together: neither is there without the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gateway.audit.verification import verify
from gateway.errors import StoreUnavailableError
from gateway.store.store import Store
from gateway.types import AuditEvent, Connection, ConnectionStatus, CredentialKind, Principal
from tests.audit.troubles import unwritable

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANNA = Principal("issuer", "anna")
CONNECTION = Connection(
    "c1", ANNA, "acme", CredentialKind.OAUTH2, "a", None, frozenset(), ConnectionStatus.ACTIVE, b"one", NOW, NOW
)


def fact(action: str) -> Callable[[Connection], AuditEvent]:
    return lambda row: AuditEvent(f"{row.id} {action}", NOW, row.principal, action, "done", reference=row.id)


async def recorded(store: Store) -> list[str]:
    return [entry.event.action for entry in await store.trail.page("default", 0, 10)]


async def test_each_change_of_a_connection_leaves_its_event_and_none_that_was_not_made_does(store: Store) -> None:
    rows = store.connections
    renewed = Connection(
        "c1", ANNA, "acme", CredentialKind.OAUTH2, "a", None, frozenset(), ConnectionStatus.ACTIVE, b"two", NOW, NOW,
        version=2,
    )  # fmt: skip
    assert await rows.insert(CONNECTION, fact("inserted"))
    assert await rows.insert(CONNECTION, fact("inserted again")) is None
    assert await rows.replace(renewed, expected_version=1, fact=fact("replaced"))
    assert await rows.replace(renewed, expected_version=1, fact=fact("too late")) is None
    assert await rows.set_default(ANNA, "c1", fact("default"))
    assert await rows.set_default(ANNA, "c2", fact("nobody's")) is None
    ended = AuditEvent("ended", NOW, ANNA, "ended", "done")
    assert await store.leases.give_up(renewed, reason="r", now=NOW, event=ended)
    assert not await store.leases.give_up(renewed, reason="r", now=NOW, event=ended)
    assert await rows.drop(ANNA, "c1", fact=fact("dropped"))
    assert not await rows.drop(ANNA, "c1", fact=fact("dropped again"))

    assert await recorded(store) == ["inserted", "replaced", "default", "ended", "dropped"]
    assert [(found.rows, found.broken) for found in await verify(store.trail)] == [(5, None)]


async def test_where_there_can_be_no_record_nothing_is_changed(store: Store, database_url: str) -> None:
    rows = store.connections
    kept = await rows.insert(CONNECTION, fact("inserted"))
    other = Connection(
        "c2", ANNA, "acme", CredentialKind.OAUTH2, "b", None, frozenset(), ConnectionStatus.ACTIVE, b"one", NOW, NOW
    )
    ended = AuditEvent("ended", NOW, ANNA, "ended", "done")
    with unwritable(database_url):
        for change in (
            rows.insert(other, fact("inserted")),
            rows.drop(ANNA, "c1", fact=fact("dropped")),
            rows.set_default(ANNA, "c1", fact("default")),
            store.leases.give_up(CONNECTION, reason="r", now=NOW, event=ended),
        ):
            with pytest.raises(StoreUnavailableError):
                await change

    assert await rows.list_all(ANNA) == [kept]
    assert await recorded(store) == ["inserted"]

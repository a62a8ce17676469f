"""What is due although nobody calls, on each database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.store.store import Store
from gateway.types import AuditEvent, Connection, ConnectionStatus, Principal
from tests.store.test_lease_rows import LATER, NOW, connection, renewed, stored

SOONER = NOW - timedelta(hours=1)


def one(number: int, **changes: object) -> Connection:
    return connection(id=f"c{number}", account_id=f"account {number}", **changes)


async def test_the_longest_due_comes_first_whosever_it_is(store: Store) -> None:
    for made in (
        one(1, renew_at=NOW),
        one(2, renew_at=SOONER, principal=Principal("issuer", "bernd")),
        one(3, renew_at=LATER),
        one(4),
    ):
        await store.connections.insert(made)

    assert [row.id for row in await store.due.list_to_renew(NOW, 10)] == ["c2", "c1"]
    assert [row.id for row in await store.due.list_to_renew(NOW, 1)] == ["c2"]


@pytest.mark.parametrize("column", ["renew_at", "warn_at"])
async def test_a_connection_that_has_ended_wants_nothing(store: Store, column: str) -> None:
    await store.connections.insert(connection(status=ConnectionStatus.NEEDS_REAUTH, **{column: NOW}))

    assert await store.due.list_to_renew(NOW, 10) == []
    assert await store.due.list_to_warn(NOW, 10) == []


async def test_a_renewal_waits_for_a_back_off(store: Store) -> None:
    await store.connections.insert(connection(renew_at=NOW, refresh_not_before=LATER))

    assert await store.due.list_to_renew(NOW, 10) == []
    assert len(await store.due.list_to_renew(LATER, 10)) == 1


async def test_a_renewal_that_failed_is_put_off_unless_it_was_done_meanwhile(store: Store) -> None:
    await store.connections.insert(connection(renew_at=NOW))
    await store.due.put_off(connection(), LATER)
    assert (await stored(store)).renew_at == LATER

    await store.leases.complete(renewed(renew_at=LATER), expected_version=1)
    await store.due.put_off(connection(), NOW)
    assert (await stored(store)).renew_at == LATER


async def test_a_person_is_told_once(store: Store) -> None:
    await store.connections.insert(connection(warn_at=NOW, ends_at=LATER))

    [due] = await store.due.list_to_warn(NOW, 10)
    event = AuditEvent("e" * 32, NOW, due.principal, "connection.ending_soon", "soon")
    assert await store.due.mark_warned(due, LATER, event)
    assert not await store.due.mark_warned(due, LATER, replace(event, id="f" * 32))
    assert await store.audit.list_latest(due.principal) == [event]
    assert await store.due.list_to_warn(LATER, 10) == []
    assert (await stored(store)).warned_at == LATER

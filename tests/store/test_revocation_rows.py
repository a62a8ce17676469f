"""The outbox on each database: nothing put in is lost, and no try is made twice."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

from gateway.store.store import Store
from gateway.types import Revocation
from tests.store.test_connection_rows import ANNA, BERND, NOW, connection

DAY = timedelta(days=1)


def revocation(revocation_id: str = "r1", **changes: Any) -> Revocation:
    made = Revocation(
        id=revocation_id,
        principal=ANNA,
        provider="acme",
        account_id="account of c1",
        account_label="anna@example.com",
        variables={"shop": "annas"},
        sealed=b"\x00sealed\xff",
        created_at=NOW,
        next_try_at=NOW,
        until=NOW + DAY,
    )
    return dataclasses.replace(made, **changes)


async def put(store: Store, *revocations: Revocation) -> None:
    for each in revocations:
        await store.connections.insert(connection(f"for {each.id}"))
        assert await store.connections.drop(ANNA, f"for {each.id}", revocation=each)


async def test_a_dropped_connection_leaves_its_revocation_as_it_was_given(store: Store) -> None:
    await put(store, revocation())
    assert await store.revocations.list_due(NOW, 10) == [revocation()]
    assert await store.connections.list_all(ANNA) == []


async def test_a_connection_that_was_not_dropped_leaves_none(store: Store) -> None:
    """It has moved on, is gone, or is somebody else's."""
    await store.connections.insert(connection())
    assert not await store.connections.drop(ANNA, "c1", version=2, revocation=revocation())
    assert not await store.connections.drop(BERND, "c1", version=1, revocation=revocation())
    assert not await store.connections.drop(ANNA, "c2", revocation=revocation())
    assert await store.revocations.list_due(NOW, 10) == []
    assert len(await store.connections.list_all(ANNA)) == 1


async def test_those_due_come_in_order_and_the_others_not(store: Store) -> None:
    second, first = revocation("a"), revocation("b", next_try_at=NOW - timedelta(seconds=1))
    await put(store, second, first, revocation("c", next_try_at=NOW + timedelta(seconds=1)))
    assert [each.id for each in await store.revocations.list_due(NOW, 10)] == ["b", "a"]
    assert [each.id for each in await store.revocations.list_due(NOW, 1)] == ["b"]


async def test_of_many_who_claim_a_try_one_gets_it(store: Store) -> None:
    await put(store, revocation())
    until = NOW + timedelta(minutes=1)
    claims = await asyncio.gather(*(store.revocations.claim(revocation(), until) for _ in range(10)))
    assert [claim for claim in claims if claim] == [revocation(attempts=1, next_try_at=until)]
    assert await store.revocations.list_due(NOW, 10) == [], "until the claim has run out"


async def test_who_lost_the_claim_changes_nothing(store: Store) -> None:
    await put(store, revocation())
    mine = await store.revocations.claim(revocation(), NOW)
    assert mine is not None
    theirs = await store.revocations.claim(mine, NOW)
    assert theirs is not None
    assert not await store.revocations.put_off(mine, NOW + DAY)
    assert not await store.revocations.reseal(mine, b"other")
    assert await store.revocations.reseal(theirs, b"newer")
    assert await store.revocations.list_due(NOW, 10) == [dataclasses.replace(theirs, sealed=b"newer")]


async def test_a_shredded_one_is_gone(store: Store) -> None:
    await put(store, revocation())
    assert await store.revocations.drop("r1")
    assert not await store.revocations.drop("r1")
    assert await store.revocations.claim(revocation(), NOW) is None


async def test_who_else_has_an_account_is_told_by_tenant(store: Store) -> None:
    elsewhere = dataclasses.replace(BERND, tenant="other")
    for name, owner in {"c1": ANNA, "c2": BERND, "c3": elsewhere}.items():
        await store.connections.insert(connection(name, principal=owner, account_id="shared"))
    assert sorted(await store.connections.list_tenants_of("acme", "shared", but="c1")) == ["default", "other"]
    assert await store.connections.list_tenants_of("acme", "shared", but="c3") == ["default"]
    assert await store.connections.list_tenants_of("other", "shared", but="") == []

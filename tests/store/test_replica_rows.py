"""Which gateway holds the workers of a toolkit, as the others read it, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.key_types import ApiKey, KeyKind
from gateway.store.replica_rows import FORGOTTEN
from gateway.store.store import Store
from gateway.toolkit.remote_tool import RemoteTool
from gateway.toolkit.replica import Held, Holding, Replica

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PATIENCE = 15 * SECOND
HERE, THERE = Replica("a", "http://10.0.0.1:8787"), Replica("b", "http://10.0.0.2:8787")
KEY = ApiKey("k1", KeyKind.TOOLKIT, "crm", "default", "atpg_toolkit_a", NOW, providers=frozenset({"hubspot"}))
OTHER = replace(KEY, id="k2", prefix="atpg_toolkit_b")


async def kept(store: Store, *toolkits: str) -> None:
    """Two keys of a toolkit, and a tool of each of these."""
    for number, key in enumerate((KEY, OTHER)):
        await store.keys.insert(key, bytes([number]))
    for name in toolkits:
        await store.remote.edit("default", name, name, lambda *_, n=name: RemoteTool("default", n, n, NOW), most=9)


async def test_the_others_learn_what_a_gateway_holds_and_by_which_keys(store: Store) -> None:
    await kept(store, "crm", "mail")
    await store.replicas.announce(THERE, [Held("default", "crm", "k1"), Held("default", "crm", "k2")], NOW)

    seen = await store.replicas.look(HERE, NOW, PATIENCE)

    assert seen.revisions == {("default", "crm"): 1, ("default", "mail"): 1}
    assert sorted(seen.holdings, key=lambda one: one.key.id) == [
        Holding("default", "crm", THERE, KEY),
        Holding("default", "crm", THERE, OTHER),
    ]
    assert not (await store.replicas.look(THERE, NOW, PATIENCE)).holdings


async def test_what_was_held_before_is_not_any_more(store: Store) -> None:
    await kept(store, "crm", "mail")
    await store.replicas.announce(THERE, [Held("default", "crm", "k1")], NOW)
    await store.replicas.announce(THERE, [Held("default", "mail", "k1")], NOW)
    (held,) = (await store.replicas.look(HERE, NOW, PATIENCE)).holdings
    assert held.toolkit == "mail"

    await store.replicas.leave(THERE)
    assert not (await store.replicas.look(HERE, NOW, PATIENCE)).holdings
    assert not await store.replicas.beat(THERE, NOW)


async def test_whoever_was_not_heard_of_for_a_while_is_gone_until_it_is_heard_of_again(store: Store) -> None:
    await kept(store, "crm")
    await store.replicas.announce(THERE, [Held("default", "crm", "k1")], NOW)

    assert (await store.replicas.look(HERE, NOW + PATIENCE, PATIENCE)).holdings
    late = NOW + PATIENCE + SECOND
    assert not (await store.replicas.look(HERE, late, PATIENCE)).holdings
    assert await store.replicas.beat(THERE, late)
    assert (await store.replicas.look(HERE, late, PATIENCE)).holdings


async def test_what_is_said_to_come_from_the_future_is_of_a_clock_that_was_wrong(store: Store) -> None:
    await kept(store, "crm")
    await store.replicas.announce(THERE, [Held("default", "crm", "k1")], NOW + timedelta(hours=1))

    assert not (await store.replicas.look(HERE, NOW, PATIENCE)).holdings


async def test_a_revoked_key_brings_nobody(store: Store) -> None:
    await kept(store, "crm")
    await store.replicas.announce(THERE, [Held("default", "crm", "k1"), Held("default", "crm", "k2")], NOW)
    await store.keys.revoke("k1", NOW)

    (held,) = (await store.replicas.look(HERE, NOW, PATIENCE)).holdings
    assert held.key == OTHER


async def test_what_a_killed_gateway_left_is_cleared_up_by_the_next_that_has_something_to_say(store: Store) -> None:
    await kept(store, "crm")
    await store.replicas.announce(THERE, [Held("default", "crm", "k1")], NOW)

    later = NOW + FORGOTTEN + SECOND
    await store.replicas.announce(HERE, [Held("default", "crm", "k1")], later)

    assert not await store.replicas.beat(THERE, later)
    assert await store.replicas.beat(HERE, later)
    (held,) = (await store.replicas.look(THERE, later, PATIENCE)).holdings
    assert held.replica == HERE

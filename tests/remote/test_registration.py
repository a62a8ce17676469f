"""Toolkits that register: what hosts then see, what is refused, what goes away, and what is put on record."""

from __future__ import annotations

from dataclasses import asdict, replace

import anyio
import pytest
from sqlalchemy import insert

from gateway.clock import SystemClock
from gateway.errors import NameTakenError, RegistrationError
from gateway.remote import registration
from gateway.remote.review import Review
from gateway.remote.rounds import hash_of
from gateway.store.store import Store
from gateway.store.tables import REMOTE_TOOLS
from gateway.toolkit.tool import Tool
from gateway.types import Principal
from tests.remote.remote_world import PLAIN, World, key, source_of

TWO = {"find": {}, "list": {}}


async def until(condition):
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_tools_are_listed_while_a_worker_is_there(world):
    await world.settled(TWO)
    assert world.names() == []

    worker = await world.present()
    assert world.names() == ["find", "list"]
    tool = world.registry.find("find")
    assert (tool.toolkit, tool.tenant, tool.description) == ("crm", "default", "Finds things.")

    worker.leave()
    assert world.names() == []


async def test_a_toolkit_that_lingers_is_listed_until_its_time_is_up(world):
    await world.settled(TWO)
    (await world.present()).leave()
    toolkit = await world.toolkits.of(key())
    toolkit.linger(0.02)
    toolkit.know(await world.store.remote.list_tools("default", "crm"))

    assert world.names() == ["find", "list"]
    await until(lambda: world.names() == [])


async def test_definitions_outlive_the_gateway(world, one_store):
    await world.settled(TWO)
    await world.toolkits.close()

    again = World(one_store)
    await again.present()

    assert again.names() == ["find", "list"]
    assert await again.registration.verify_tool_hash(key(), "find", (await one_store.remote.list_all())[0].code_hash)
    await again.close()


async def test_a_second_start_with_the_same_tools_changes_nothing(world):
    await world.settled(TWO)
    await world.present()
    told = []
    world.registry.subscribe(lambda: told.append(world.names()))
    before = await world.store.remote.list_all()

    await world.settled(TWO)

    assert told == []
    assert await world.store.remote.list_all() == before


async def test_a_tool_that_a_toolkit_no_longer_has_disappears_and_hosts_are_told_once(world):
    await world.settled(TWO | {"old": {}})
    await world.present()
    told = []
    world.registry.subscribe(lambda: told.append(world.names()))

    await world.start(TWO)
    await until(lambda: told)

    assert told == [["find", "list"]]
    assert ("tool.removed", "old", "done") in await world.recorded()


async def test_nothing_disappears_while_a_toolkit_is_still_talking(one_store):
    world = World(one_store, quiet_seconds=60)
    await world.settled(TWO)
    await world.present()

    await world.start({"find": {}})
    assert world.names() == ["find", "list"]
    await world.register("third")

    await world.close()
    assert [tool.name for tool in await one_store.remote.list_all() if not tool.removed_at] == ["find", "third"]


async def test_a_worker_that_dies_half_way_removes_nothing(world):
    await world.settled(TWO)
    await world.present()

    await world.registration.verify_hash(key(), "h1")
    await world.register("find", description="Other.")
    await world.registration.close()

    assert world.names() == ["find", "list"]
    assert world.registry.find("find").description == "Other."


async def test_the_first_to_have_a_name_keeps_it_until_it_gives_it_up(world):
    await world.settled(TWO)
    other = key(name="sales")

    with pytest.raises(NameTakenError, match="crm has a tool of that name already"):
        await world.register("find", other)
    with pytest.raises(NameTakenError, match="another toolkit has a tool of that name"):
        await world.register("find", key(name="sales", tenant="acme"))
    await world.settled({"list": {}})

    await world.register("find", other)


async def test_a_toolkit_in_this_process_is_not_shadowed(world):
    async def run(*_): ...

    world.registry.add(Tool("find", "own", "d", {"type": "object"}, run, lambda _: None))

    with pytest.raises(NameTakenError, match="own has a tool of that name"):
        await world.register("find")
    with pytest.raises(NameTakenError, match="a toolkit own of its own"):
        await world.register("other", key(name="own"))


async def test_a_tool_loaded_later_under_the_same_name_hides_the_one_from_afar(world, caplog):
    async def run(*_): ...

    await world.settled(TWO)
    world.registry.add(Tool("find", "own", "d", {"type": "object"}, run, lambda _: None))

    await world.present()

    assert sorted(world.names()) == ["find", "list"]
    assert world.registry.find("find").toolkit == "own"
    assert "hidden" in caplog.text


async def test_a_refused_tool_belongs_to_the_set_but_is_asked_for_again(world):
    await world.settled({"find": {}}, key(name="sales"))

    sources = {}
    for name in ("list", "find"):
        sources[name] = source_of(name, **PLAIN)
        assert not await world.registration.verify_hash(key(), hash_of(sources))
        try:
            await world.register(name, toolkit_hash=hash_of(sources))
        except NameTakenError:
            assert name == "find"
    assert await world.registration.verify_hash(key(), hash_of(sources))
    await world.registration.close()

    assert not await world.registration.verify_hash(key(), hash_of(sources))


@pytest.mark.parametrize("name", ["gmail send", "gm\u0430il_send", "gmail\u200dsend", "x" * 129, ""])
async def test_names_that_could_be_mistaken_are_refused(world, name):
    with pytest.raises(RegistrationError):
        await world.register(name)


async def test_a_toolkit_has_so_many_tools_and_no_more(world, one_store):
    await world.register("t0")
    (first,) = await one_store.remote.list_all()
    rows = [asdict(replace(first, name=f"t{number}")) for number in range(1, registration.MOST_TOOLS)]
    await one_store.remote._engines.change(insert(REMOTE_TOOLS), rows)

    with pytest.raises(RegistrationError, match="at most 200 tools"):
        await world.register("one_more")
    await world.register("t0", description="Other.")


async def test_a_changed_description_takes_effect_and_is_put_on_record(world):
    await world.settled(TWO)
    await world.present()

    await world.settled(TWO | {"find": {"description": "Other."}})

    assert world.registry.find("find").description == "Other."
    assert ("tool.changed", "find", "description") in await world.recorded()


async def test_with_review_a_changed_description_waits_until_another_process_approves_it(reviewing, one_store):
    await reviewing.settled(TWO)
    await reviewing.present()
    await reviewing.settled(TWO | {"find": {"description": "Other."}})
    assert reviewing.registry.find("find").description == "Finds things."
    assert ("tool.waits", "find", "description") in await reviewing.recorded()

    review = Review(one_store.remote, reviewing.audit, SystemClock())
    (waiting,) = await review.waiting("default", "crm", None)
    assert await review.approve(waiting, by=Principal("local", "me"))

    await until(lambda: reviewing.registry.find("find").description == "Other.")
    assert ("tool.approved", "find", "description") in await reviewing.recorded()
    assert not await review.approve(waiting, by=Principal("local", "me"))


async def test_with_review_a_new_tool_of_a_known_toolkit_waits(reviewing):
    await reviewing.settled(TWO)
    await reviewing.present()

    await reviewing.settled(TWO | {"third": {}})

    assert reviewing.names() == ["find", "list"]


async def test_a_start_beside_another_gateway_with_the_same_database_is_noticed(world, sqlite_url):
    await world.settled(TWO)
    await world.present()
    elsewhere = await Store.open(sqlite_url)
    other = World(elsewhere)

    await other.settled({"find": {}})

    await until(lambda: world.names() == ["find"])
    await other.close()
    await elsewhere.close()

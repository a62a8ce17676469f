"""What is kept of toolkits from afar, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from gateway.errors import StoreUnavailableError
from gateway.store import remote_rows
from gateway.store.remote_rows import Full, Taken
from gateway.store.store import Store
from gateway.store.tables import REMOTE_TOOLS
from gateway.toolkit.remote_tool import RemoteTool

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def tool(name: str = "find", toolkit: str = "crm", tenant: str = "default", **changes: object) -> RemoteTool:
    return replace(RemoteTool(tenant, toolkit, name, NOW, definition="{}", code_hash="c"), **changes)  # type: ignore[arg-type]


async def put(store: Store, kept: RemoteTool, most: int = 200) -> RemoteTool | Taken | Full | None:
    return await store.remote.edit(kept.tenant, kept.toolkit, kept.name, lambda *_: kept, most=most)


async def test_a_tool_comes_back_as_it_was_kept(store: Store) -> None:
    every_field = tool(proposed="{}", proposed_code_hash="p", rejected="r", removed_at=NOW)

    assert await put(store, every_field) == every_field
    assert await put(store, tool("list")) == tool("list")

    assert await store.remote.list_tools("default", "crm") == [every_field, tool("list")]
    assert await store.remote.list_tools("acme", "crm") == []


async def test_an_edit_is_told_what_is_kept_and_may_leave_it(store: Store) -> None:
    told = []

    def look(*former: object) -> None:
        told.append(former)

    await store.remote.edit("default", "crm", "find", look, most=200)
    await put(store, tool())
    await store.remote.commit("default", "crm", "hash", ["find"], NOW)
    await store.remote.edit("default", "crm", "find", look, most=200)
    revision = await store.remote.revisions()
    assert await put(store, tool()) is None

    assert told[0] == (None, None)
    former, whole = told[1]
    assert former == tool()
    assert whole is not None
    assert (whole.created_at, whole.toolkit_hash) == (NOW, "hash")
    assert await store.remote.revisions() == revision


async def test_every_change_makes_the_revision_grow(store: Store) -> None:
    seen = [await store.remote.revisions()]
    await put(store, tool())
    seen.append(await store.remote.revisions())
    await store.remote.commit("default", "crm", "h", [], NOW)
    seen.append(await store.remote.revisions())

    assert seen == [{}, {("default", "crm"): 1}, {("default", "crm"): 2}]


async def test_a_name_in_use_belongs_to_one_toolkit_whoever_comes_at_the_same_time(store: Store) -> None:
    comers = [tool(toolkit=f"t{number}", tenant=f"n{number % 2}") for number in range(6)]

    kept = await asyncio.gather(*(put(store, each) for each in comers))

    (owner,) = [each for each in kept if isinstance(each, RemoteTool)]
    assert [each for each in kept if each != owner] == [Taken(owner.tenant, owner.toolkit)] * 5
    await store.remote.commit(owner.tenant, owner.toolkit, "h", [], NOW)
    assert isinstance(await put(store, comers[0 if comers[0] != owner else 1]), RemoteTool)


async def test_the_database_itself_holds_that_a_name_has_one_owner(store: Store) -> None:
    await put(store, tool())

    with pytest.raises(StoreUnavailableError) as raised:
        await store.remote._engines.change(insert(REMOTE_TOOLS).values(asdict(tool(toolkit="other"))))

    assert isinstance(raised.value.__cause__, IntegrityError)


async def test_a_toolkit_has_so_many_tools_and_removed_ones_do_not_count(store: Store) -> None:
    await put(store, tool("a"), most=2)
    await put(store, tool("b"), most=2)
    assert await put(store, tool("c"), most=2) == Full()
    await store.remote.commit("default", "crm", "h", ["a"], NOW)

    assert await put(store, tool("c"), most=2) == tool("c")
    assert await put(store, tool("b"), most=2) == Full()


async def test_a_commit_says_what_is_gone_and_keeps_what_was_pinned(store: Store) -> None:
    for name in ("a", "b", "c"):
        await put(store, tool(name))
    later = NOW + timedelta(hours=1)

    assert await store.remote.commit("default", "crm", "h", ["b", "unheard"], later) == ["a", "c"]

    assert await store.remote.committed("default", "crm") == "h"
    assert await store.remote.committed("default", "other") == ""
    gone = tool("a", removed_at=later, changed_at=later)
    assert await store.remote.list_tools("default", "crm") == [gone, tool("b"), replace(gone, name="c")]


async def test_not_every_tool_that_ever_was_is_remembered(store: Store) -> None:
    many = remote_rows.MOST_REMOVED + 5
    rows = [asdict(tool(f"t{number}", removed_at=NOW + timedelta(seconds=number))) for number in range(many)]
    await store.remote._engines.change(insert(REMOTE_TOOLS), rows)

    await store.remote.commit("default", "crm", "h", [], NOW)

    left = {each.name for each in await store.remote.list_tools("default", "crm")}
    assert left == {f"t{number}" for number in range(5, many)}

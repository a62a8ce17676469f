"""tools/list, and the lists that are always empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.surfaces.mcp.limits import Limits
from gateway.types import CredentialKind, Principal
from tests.surfaces.mcp.world import ALICE, BOB, World


@pytest.fixture
def limits() -> Limits:
    return Limits(page=2)


def add(world: World, *names: str) -> None:
    for name in names:
        world.tool(function_name=name, description=name)(lambda: "")


async def test_tools_are_listed_page_by_page_in_the_order_of_registration(world: World, era: str) -> None:
    add(world, "c", "a", "b", "e", "d")
    async with Client(world.server(), mode=era) as client:
        first = await client.list_tools()
        second = await client.list_tools(cursor=first.next_cursor)
        third = await client.list_tools(cursor=second.next_cursor)
    assert [[tool.name for tool in page.tools] for page in (first, second, third)] == [["c", "a"], ["b", "e"], ["d"]]
    assert third.next_cursor is None


async def test_an_empty_cursor_is_the_first_page(world: World, era: str) -> None:
    add(world, "a", "b", "c")
    async with Client(world.server(), mode=era) as client:
        assert [tool.name for tool in (await client.list_tools(cursor="")).tools] == ["a", "b"]


@pytest.mark.parametrize("cursor", ["nonsense", "bm9uZQ==", "é"])
async def test_a_cursor_that_is_not_ours_is_refused(world: World, era: str, cursor: str) -> None:
    add(world, "a")
    async with Client(world.server(), mode=era) as client:
        with pytest.raises(MCPError, match="cursor is not valid") as refused:
            await client.list_tools(cursor=cursor)
    assert refused.value.code == INVALID_PARAMS


async def test_a_tool_added_between_two_pages_makes_nothing_disappear(world: World) -> None:
    add(world, "a", "b", "c")
    async with Client(world.server()) as client:
        first = await client.list_tools()
        world.toolkit.unregister_tool("a")
        rest = await client.list_tools(cursor=first.next_cursor)
    assert [tool.name for tool in rest.tools] == ["c"]


async def test_each_person_is_listed_only_what_they_may_see(world: World, era: str) -> None:
    add(world, "plain", "hidden_one")
    async with Client(world.server(BOB), mode=era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["plain"]


async def test_a_cursor_does_not_tell_whether_a_hidden_tool_exists(world: World) -> None:
    add(world, "hidden_one", "plain", "other", "third")
    async with Client(world.server()) as client:
        first = await client.list_tools()
    async with Client(world.server(BOB)) as client:
        await client.list_tools(cursor=first.next_cursor)
        with pytest.raises(MCPError, match="cursor is not valid"):
            await client.list_tools(cursor="aGlkZGVuX29uZQ==")


async def test_lists_may_be_kept_for_a_minute_by_one_person(world: World) -> None:
    """MCP 2026-07-28, Caching: a list that depends on the person is `private`."""
    add(world, "a")
    async with Client(world.server()) as client:
        tools = await client.list_tools()
        lists = [await client.list_prompts(), await client.list_resources(), await client.list_resource_templates()]
    for listed in [tools, *lists]:
        assert (listed.ttl_ms, listed.cache_scope) == (60_000, "private")


async def test_prompts_and_resources_are_empty_lists(world: World, era: str) -> None:
    async with Client(world.server(), mode=era) as client:
        assert (await client.list_prompts()).prompts == []
        assert (await client.list_resources()).resources == []
        assert (await client.list_resource_templates()).resource_templates == []


async def test_a_schema_arrives_word_for_word(world: World, era: str) -> None:
    schema = {
        "type": "object",
        "$defs": {"city": {"$anchor": "c", "type": ["string", "null"], "default": None}},
        "properties": {"city": {"$ref": "#/$defs/city"}, "n": {"enum": [1, None]}},
        "additionalProperties": False,
    }
    world.tool(function_name="strict", description="d", input_schema=schema)(lambda **_: "")
    async with Client(world.server(), mode=era) as client:
        assert (await client.list_tools()).tools[0].input_schema == schema


async def test_a_tool_shows_its_title_and_hints(world: World, era: str) -> None:
    @world.tool(title="Look up", read_only=True, open_world=False)
    def look() -> str:
        """Looks."""
        return ""

    async with Client(world.server(), mode=era) as client:
        shown = (await client.list_tools()).tools[0]
    assert (shown.title, shown.description) == ("Look up", "Looks.")
    hints = shown.annotations
    assert hints is not None
    assert (hints.read_only_hint, hints.open_world_hint, hints.destructive_hint) == (True, False, None)


async def test_an_output_schema_that_is_no_object_is_shown_only_where_the_protocol_has_it(world: World) -> None:
    """Before 2026-07-28 one such schema would fail the whole list."""
    world.tool(function_name="count", description="d")(lambda: 3)
    plain = world.registry.tools()[0]
    world.registry.replace(["count"], [replace(plain, output_schema={"type": "integer"})])
    async with Client(world.server()) as client:
        assert (await client.list_tools()).tools[0].output_schema == {"type": "integer"}
        assert (await client.call_tool("count")).structured_content == 3
    async with Client(world.server(), mode="legacy") as client:
        assert (await client.list_tools()).tools[0].output_schema is None
        answer = await client.call_tool("count")
    assert answer.structured_content is None
    assert answer.content[0].text == "3"


async def test_a_tool_registered_anew_is_listed_anew(world: World, era: str) -> None:
    world.tool(function_name="a", description="old")(lambda: "")
    async with Client(world.server(), mode=era) as client:
        before = await client.list_tools()
        world.toolkit.unregister_tool("a")
        world.tool(function_name="a", description="new")(lambda: "")
        after = await client.list_tools(cache_mode="bypass")
    assert [page.tools[0].description for page in (before, after)] == ["old", "new"]


async def test_a_tool_that_a_revision_cannot_show_is_left_out_and_named_in_the_log(
    world: World, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad schema would otherwise fail the list of all tools."""
    add(world, "good")
    world.registry.add(replace(world.registry.tools()[0], name="bad", input_schema={"type": "string"}))
    async with Client(world.server(), mode=era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["good"]
    assert "bad is not in the list" in caplog.text


class Choices:
    """Alice has two HubSpot accounts; `asked` counts the questions."""

    def __init__(self) -> None:
        self.offer: dict[tuple[str, CredentialKind], tuple[str, ...]] = {
            ("hubspot", CredentialKind.OAUTH2): ("alice@example.com", "work")
        }
        self.asked = 0
        self.subscribers: list[Callable[[Principal], None]] = []

    async def offered(self, principal: Principal) -> dict[tuple[str, CredentialKind], tuple[str, ...]]:
        self.asked += 1
        return self.offer if principal == ALICE else {}

    def subscribe(self, changed: Callable[[Principal], None]) -> None:
        self.subscribers.append(changed)


def properties(listed: Any) -> dict[str, set[str]]:
    return {tool.name: set(tool.input_schema.get("properties", {})) for tool in listed.tools}


@pytest.fixture
def several(limits: Limits) -> World:
    return World(replace(limits, page=50), Choices())


def declare(world: World) -> None:
    world.tool(function_name="contacts", params=["name"], auth_provider="hubspot")(lambda **_: "")
    world.tool(function_name="deals", params=["account"], auth_provider="hubspot")(lambda **_: "")
    world.tool(function_name="mail", params=["name"], auth_provider="google")(lambda **_: "")
    world.tool(function_name="plain", params=["name"])(lambda **_: "")


async def test_a_person_with_several_accounts_can_name_one_and_nobody_else_sees_that(several: World, era: str) -> None:
    declare(several)
    async with Client(several.server(), mode=era) as client:
        mine = await client.list_tools()
    async with Client(several.server(BOB), mode=era) as client:
        theirs = await client.list_tools()
    assert properties(mine) == {
        "contacts": {"name", "account"}, "deals": {"account", "hubspot_account"}, "mail": {"name"}, "plain": {"name"},
    }  # fmt: skip
    assert mine.tools[0].input_schema["properties"]["account"]["enum"] == ["alice@example.com", "work"]
    assert properties(theirs) == {
        "contacts": {"name"}, "deals": {"account"}, "mail": {"name"}, "plain": {"name"},
    }  # fmt: skip


async def test_a_list_asks_once_however_many_tools_and_not_at_all_where_none_needs_an_account(several: World) -> None:
    add(several, *(f"tool{number}" for number in range(20)))
    async with Client(several.server()) as client:
        await client.list_tools()
    assert several.accounts.asked == 0
    declare(several)
    async with Client(several.server()) as client:
        await client.list_tools()
    assert several.accounts.asked == 1


async def test_the_account_is_taken_out_before_the_tool_sees_its_arguments(several: World, era: str) -> None:
    seen: list[dict[str, Any]] = []

    @several.tool(function_name="contacts", params=["name"], auth_provider="hubspot")
    def contacts(**arguments: Any) -> str:
        seen.append({key: value for key, value in arguments.items() if key != "auth_token"})
        return "done"

    several.consents.connected.add(("alice", "hubspot"))
    async with Client(several.server(), mode=era) as client:
        result = await client.call_tool("contacts", {"name": "x", "account": "work"})
    assert not result.is_error
    assert seen == [{"name": "x"}]
    assert several.consents.accounts == ["work"]

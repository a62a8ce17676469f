"""Rules in both protocol eras: the list, the call, and what cannot be told about a tool that is hidden."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError

from gateway.access.policy import TeamPolicy
from gateway.access.rules import Rule
from gateway.surfaces.mcp.limits import Limits
from gateway.types import Principal
from tests.surfaces.mcp.world import World, text_of

SALES = Principal("https://login.example", "ada", groups=frozenset({"sales"}))
SUPPORT = replace(SALES, subject="bea", groups=frozenset({"support"}))
NAMES = ("find", "wipe", "export")
RULES = (
    Rule(groups=("support",), tools=("export",), may="nothing"),
    Rule(annotations=("destructive",), may="see"),
    Rule(groups=("sales", "support")),
)


def made(*rules: Rule) -> World:
    world = World(Limits(), policy=TeamPolicy(rules))
    for name in NAMES:
        world.tool(function_name=name, description=name, destructive=name == "wipe")(lambda: "done")
    return world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = made(*RULES)
    yield world
    await world.audit.close()


async def listed(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


async def test_a_rule_hides_a_tool_from_one_group(world: World, era: str) -> None:
    async with Client(world.server(SALES), mode=era) as ada, Client(world.server(SUPPORT), mode=era) as bea:
        assert await listed(ada) == ["find", "wipe", "export"]
        assert await listed(bea) == ["find", "wipe"]
        assert text_of(await ada.call_tool("export")) == "done"
        with pytest.raises(MCPError) as hidden:
            await bea.call_tool("export")
        with pytest.raises(MCPError) as unknown:
            await bea.call_tool("nonexistent")

    assert (hidden.value.code, hidden.value.error.data) == (unknown.value.code, unknown.value.error.data)
    assert hidden.value.error.message == unknown.value.error.message.replace("nonexistent", "export")


async def test_a_tool_that_is_seen_and_not_called_says_who_can_allow_it(world: World, era: str) -> None:
    async with Client(world.server(SALES), mode=era) as client:
        answer = await client.call_tool("wipe")

    assert answer.is_error
    assert text_of(answer) == "You may not call wipe. Whoever runs this gateway can allow it, by its rules."


async def test_a_change_of_groups_between_two_requests_changes_the_list(world: World, era: str) -> None:
    now = [SUPPORT]
    async with Client(world.surface.server(lambda _: now[0]), mode=era) as client:
        before = await listed(client)
        now[0] = replace(SUPPORT, groups=frozenset({"support", "sales"}))
        both = await listed(client)
        now[0] = replace(SUPPORT, groups=frozenset())
        neither = await listed(client)

    assert (before, both, neither) == (["find", "wipe"], ["find", "wipe"], ["wipe"])


async def test_a_list_that_goes_by_rules_is_kept_for_one_person_alone(world: World) -> None:
    async with Client(world.server(SALES)) as client:
        shown = await client.list_tools()

    assert (shown.ttl_ms, shown.cache_scope) == (60_000, "private")


HEADERED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


async def test_a_header_that_is_missing_does_not_tell_that_a_hidden_tool_exists() -> None:
    """MCP 2026-07-28, mirrored headers: they are checked before the call, by the tool's own schema."""
    world = made(Rule(people=("https://login.example alice",)), Rule(tools=("find",)))
    world.tool(function_name="mirrors", description="d", input_schema=HEADERED)(lambda **_: "done")
    async with world.http() as url:
        seen = await _call(url, "alice", "mirrors")
        hidden, unknown = await _call(url, "bob", "mirrors"), await _call(url, "bob", "nothing")
    await world.audit.close()

    assert "Region" in json.dumps(seen)
    assert json.dumps(hidden).replace("mirrors", "nothing") == json.dumps(unknown)


async def _call(url: str, who: str, tool: str) -> Any:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": {"region": "eu"}, "_meta": meta}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": tool}
    headers |= {"accept": "application/json, text/event-stream", "authorization": f"Bearer {who}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=10) as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return (await http.post(f"{url}/mcp", json=body)).json()


@settings(max_examples=15, deadline=None)
@given(
    rules=st.lists(
        st.builds(
            Rule,
            groups=st.sampled_from([None, ("sales",), ("support",)]),
            tools=st.sampled_from([None, ("find",), ("w*",), ("exp*",)]),
            annotations=st.sampled_from([None, ("destructive",)]),
            may=st.sampled_from(["call", "see", "nothing"]),
        ),
        max_size=3,
    ),
    mode=st.sampled_from(["auto", "legacy"]),
)
async def test_what_is_listed_can_be_called_or_says_why_not_and_nothing_else_can(rules: list[Rule], mode: str) -> None:
    world = made(*rules)
    async with Client(world.server(SALES), mode=mode) as client:
        shown = await listed(client)
        for name in NAMES:
            if name in shown:
                answer = await client.call_tool(name)
                assert text_of(answer) == "done" or (answer.is_error and "You may not call" in text_of(answer))
            else:
                with pytest.raises(MCPError, match=f"Unknown tool: {name}"):
                    await client.call_tool(name)
    await world.audit.close()

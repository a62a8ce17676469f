"""Hosts hear that the list of tools has changed: once, in the way of their era, and only while they listen."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged

from gateway.access.policy import OnePersonPolicy, TeamPolicy
from gateway.access.rules import Rule
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.request import client_of
from gateway.surfaces.mcp.server import GatewayServer
from gateway.toolkit.tool import Tool
from gateway.types import Principal
from tests.surfaces.mcp.world import ALICE, BOB, World


@pytest.fixture
def limits() -> Limits:
    return Limits(listeners_each=2)


def add(world: World, name: str) -> None:
    world.tool(function_name=name, description=name)(lambda: "")


class Heard:
    """Notifications as they come in."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.any = anyio.Event()

    async def __call__(self, message: Any) -> None:
        self.methods.append(message.method)
        self.any.set()


async def test_a_handshake_host_is_told_once_of_many_changes(world: World) -> None:
    heard = Heard()
    server = world.server()
    async with server.running(), Client(server, mode="legacy", message_handler=heard) as client:
        for number in range(20):
            add(world, f"tool{number}")
        with anyio.fail_after(5):
            await heard.any.wait()
        assert len((await client.list_tools()).tools) == 20
    assert heard.methods == ["notifications/tools/list_changed"]


async def test_a_modern_host_is_told_on_its_subscription(world: World) -> None:
    server = world.server()
    async with server.running(), Client(server) as client, client.listen(tools_list_changed=True) as events:
        add(world, "new")
        with anyio.fail_after(5):
            assert await anext(aiter(events)) == ToolsListChanged()


async def test_a_change_on_another_thread_is_heard_too(world: World) -> None:
    heard = Heard()
    server = world.server()
    async with server.running(), Client(server, mode="legacy", message_handler=heard):
        thread = threading.Thread(target=add, args=(world, "new"))
        thread.start()
        with anyio.fail_after(5):
            await heard.any.wait()
        thread.join()


async def test_only_changes_of_tools_are_promised(world: World) -> None:
    """The empty lists of prompts and resources never change, so nobody is told that they would be."""
    server = world.server()
    async with (
        Client(server) as client,
        client.listen(tools_list_changed=True, prompts_list_changed=True) as events,
    ):
        assert events.honored == types.SubscriptionFilter(tools_list_changed=True)


async def test_one_person_may_listen_only_so_often(world: World) -> None:
    server = world.server()
    async with Client(server) as client:
        async with client.listen(tools_list_changed=True), client.listen(tools_list_changed=True):
            with pytest.raises(MCPError, match="2 subscriptions open already"):
                async with client.listen(tools_list_changed=True):
                    pass
        async with client.listen(tools_list_changed=True):
            pass


async def test_another_person_still_may(world: World) -> None:
    people = iter([ALICE, ALICE, BOB])
    server = world.surface.server(lambda _: next(people))
    async with (
        Client(server) as client,
        client.listen(tools_list_changed=True),
        client.listen(tools_list_changed=True),
        client.listen(tools_list_changed=True),
    ):
        pass


async def test_a_host_that_has_left_is_forgotten(world: World) -> None:
    server: GatewayServer = world.server()
    async with Client(server, mode="legacy") as client:
        await client.list_tools()
        assert len(server._changes._connections) == 1
    with anyio.fail_after(5):
        while server._changes._connections:
            await anyio.lowlevel.checkpoint()


async def test_nobody_hears_of_a_tool_that_they_do_not_see(world: World) -> None:
    """What rules keep from somebody, or another tenant's toolkit brings, comes and goes: that is not theirs to know.

    Bob is first among those who would be told, so he would have heard by the time that Alice has.
    """
    heard = {name: Heard() for name in ("bob", "alice")}
    server = world.surface.server(lambda request: BOB if client_of(request).name == "bob" else ALICE)
    async with server.running(), AsyncExitStack() as stack:
        streams = {}
        for name, handler in heard.items():
            info = types.Implementation(name=name, version="1")
            legacy = Client(server, mode="legacy", client_info=info, message_handler=handler)
            await (await stack.enter_async_context(legacy)).list_tools()
            modern = await stack.enter_async_context(Client(server, client_info=info))
            streams[name] = aiter(await stack.enter_async_context(modern.listen(tools_list_changed=True)))
        bob = asyncio.create_task(anext(streams["bob"]))

        add(world, "hidden")
        with anyio.fail_after(5):
            await heard["alice"].any.wait()
            assert await anext(streams["alice"]) == ToolsListChanged()
        assert not bob.done()
        assert heard["bob"].methods == []

        add(world, "shown")
        with anyio.fail_after(5):
            await heard["bob"].any.wait()
            assert await bob == ToolsListChanged()
    assert [len(each.methods) for each in heard.values()] == [1, 2]


def test_what_one_tenants_toolkit_brings_concerns_that_tenant_alone() -> None:
    """By the policies that there are: changes are told by them."""
    tool = Tool("of acme", "kit", "Does.", {"type": "object"}, _nothing, lambda _: None, tenant="acme")
    for policy in (OnePersonPolicy(), TeamPolicy((Rule(),))):
        assert policy.may_see(Principal("issuer", "ada", "acme"), tool)
        assert not policy.may_see(ALICE, tool)


async def _nothing(*_: Any) -> str:
    return ""

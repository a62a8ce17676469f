"""Hosts hear that the list of tools has changed: once, in the way of their era, and only while they listen."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged

from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.server import GatewayServer
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

"""Ten thousand callers leave while their token is being refreshed, and the token is not lost.

Under strict rotation, where an answer that nobody stores is the end of a grant: tasks that are cancelled, as a host's
cancellation does, and clients of a gateway that serves HTTP which hang up.
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

from gateway import app
from gateway.app import Gateway
from tests.proofs.world import EXPIRED, World, call, rows, said

PATIENCE = 30.0  # seconds


async def test_callers_that_are_cancelled_do_not_lose_the_token(world: World, full: bool) -> None:
    async with world.gateway() as gateway:
        await world.connect(gateway)
        for _ in range(19 if full else 2):
            begun = await mid_refresh(world)
            callers = [asyncio.create_task(call(gateway, "which")) for _ in range(500 if full else 50)]
            await begun.wait(world)
            for caller in callers:
                caller.cancel()
            left = await asyncio.gather(*callers, return_exceptions=True)
            assert all(isinstance(how, asyncio.CancelledError) for how in left)
            await begun.ends_well(world, gateway)


async def test_clients_that_hang_up_do_not_lose_the_token(world: World, full: bool) -> None:
    async with app.serving(world.place.settings(), [world.place.toolkit], clock=world.clock) as gateway:
        await world.connect(gateway)
        left = 0
        for _ in range(10 if full else 2):
            begun = await mid_refresh(world)
            clients = await asyncio.gather(*(post_a_call(gateway) for _ in range(50 if full else 10)))
            await begun.wait(world)
            for client in clients:
                client.transport.abort()
            left = await more_cancelled_than(left, gateway)
            await begun.ends_well(world, gateway)


class Begun:
    """A refresh that the provider holds back, with what was before it."""

    def __init__(self, refreshes: int) -> None:
        self._refreshes = refreshes

    async def wait(self, world: World) -> None:
        """The request has arrived; every caller has had their turn to join the wait for it."""
        async with asyncio.timeout(PATIENCE):
            await world.server.gate.arrival()
        for _ in range(200):
            await asyncio.sleep(0)

    async def ends_well(self, world: World, gateway: Gateway) -> None:
        """The provider answers now; the next call has a token that works, from that very refresh."""
        world.server.gate.open()
        async with asyncio.timeout(PATIENCE):
            assert said(await call(gateway)) == "alice"
        assert world.server.count("refresh") == world.server.count("refresh", None) == self._refreshes + 1
        [row] = await rows(gateway)
        assert row.version == self._refreshes + 2


async def mid_refresh(world: World) -> Begun:
    """The token has ended, and the next request for another will not be answered yet."""
    world.clock.advance(EXPIRED)
    world.server.gate.close()
    return Begun(world.server.count("refresh", None))


async def post_a_call(gateway: Gateway) -> asyncio.StreamWriter:
    """A host's request, sent; its answer is not waited for."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": "which",
                "arguments": {},
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "proof", "version": "1"},
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        }
    )
    where = urlsplit(gateway.base_url)
    head = (
        "POST /mcp HTTP/1.1",
        f"Host: {where.netloc}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        "MCP-Protocol-Version: 2026-07-28",
        "Mcp-Method: tools/call",
        "Mcp-Name: which",
        f"Content-Length: {len(body)}",
    )
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    await writer.drain()
    return writer


async def more_cancelled_than(before: int, gateway: Gateway) -> int:
    """How many calls were cancelled so far, as soon as the gateway has noticed that somebody hung up."""
    store = (await gateway.accounts.open()).store
    async with asyncio.timeout(PATIENCE):
        while True:
            await gateway.audit.flush()
            events = await store.audit.list_latest(gateway.principal, limit=10_000)
            if (cancelled := sum(event.outcome == "cancelled" for event in events)) > before:
                return cancelled

"""How listeners are served, below HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.surfaces.server import Server, server_config

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def here(request: Request) -> Response:
    return PlainTextResponse("here")


async def test_the_end_of_a_streamed_answer_does_not_wait_for_an_acknowledgement():
    """Nagle's algorithm is off on every connection, however its listener was made."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(server_config(Starlette(routes=[Route("/", here)])))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with anyio.fail_after(5):
            await reader.readuntil(b"here")

        (connection,) = server.server_state.connections
        own_socket = connection.transport.get_extra_info("socket")
        assert own_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        writer.close()
        server.stop()
        await serving


async def test_a_websocket_client_that_is_busy_is_not_cut_off_for_an_unanswered_ping():
    """The ATP SDK's toolkit client answers pings in the thread that runs its tools."""

    async def answer(line: WebSocket) -> None:
        await line.accept()
        await line.send_text(await line.receive_text())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[WebSocketRoute("/", answer)])
        server = Server(server_config(app, ws_ping_interval=0.05))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(UPGRADE)
        ping = b"\x89\x04"
        with anyio.fail_after(5):
            for _ in range(4):
                await reader.readuntil(ping)
            writer.write(b"\x81\x85\0\0\0\0still")
            await reader.readuntil(b"still")
        writer.close()
        server.stop()
        await serving


class Door:
    """A route that answers once it is told to, and knows that somebody came and whether they were turned out."""

    def __init__(self) -> None:
        self.entered, self.opened, self.turned_out = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.entered.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.turned_out.set()
            raise
        return PlainTextResponse("come in")


@asynccontextmanager
async def asked(door: Door, grace: float) -> AsyncIterator[tuple[Server, asyncio.Task[None], asyncio.StreamReader]]:
    """A server, its run, and what it will answer to a request that is under way there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[Route("/", door.__call__)])
        server = Server(server_config(app, timeout_graceful_shutdown=grace))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with anyio.fail_after(5):
            await door.entered.wait()
            yield server, serving, reader
            await serving
        writer.close()


async def test_a_server_that_stops_gives_the_answers_that_are_under_way():
    door = Door()
    async with asked(door, grace=5) as (server, serving, reader):
        server.stop()
        await asyncio.sleep(0)
        door.opened.set()

        assert (await reader.read()).endswith(b"come in")
        await serving
        assert not door.turned_out.is_set()


async def test_a_server_that_stops_does_not_wait_for_ever_for_a_request(caplog: pytest.LogCaptureFixture):
    door = Door()
    async with asked(door, grace=0.05) as (server, serving, _reader):
        server.stop()

        await serving
        with anyio.fail_after(5):
            await door.turned_out.wait()
    assert "Traceback" not in caplog.text


async def test_a_websocket_is_closed_when_the_calls_under_way_have_been_answered():
    """A toolkit elsewhere answers over its own."""
    calls, heard = [1], asyncio.Event()

    async def toolkit(line: WebSocket) -> None:
        await line.accept()
        await line.receive_text()
        calls.clear()
        heard.set()
        await line.receive()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[WebSocketRoute("/", toolkit)])
        server = Server(server_config(app), lambda: len(calls))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(UPGRADE)
        with anyio.fail_after(5):
            await reader.readuntil(b"\r\n\r\n")
            server.stop()
            await asyncio.sleep(0)
            writer.write(b"\x81\x84\0\0\0\0done")
            await heard.wait()
            assert (await reader.read()).startswith(b"\x88"), "then it is told that this is the end"
            await serving
        writer.close()

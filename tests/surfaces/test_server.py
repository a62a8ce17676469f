"""How listeners are served, below HTTP."""

from __future__ import annotations

import asyncio
import socket

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.surfaces.server import Server, server_config


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
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        ping = b"\x89\x04"
        with anyio.fail_after(5):
            for _ in range(4):
                await reader.readuntil(ping)
            writer.write(b"\x81\x85\0\0\0\0still")
            await reader.readuntil(b"still")
        writer.close()
        server.stop()
        await serving

"""Nobody takes all connections from one address."""

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

from gateway.surfaces.crowd import Crowd
from gateway.surfaces.proxies import Proxies
from gateway.surfaces.server import PatientProtocol, Server, server_config
from tests.surfaces.test_server import UPGRADE

SOMEBODY, OTHERS = "203.0.113.7", "203.0.113.8"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_one_address_has_a_share_and_gets_it_back() -> None:
    crowd = Crowd(2, Proxies())
    assert [crowd.enter(SOMEBODY) for _ in range(3)] == [True, True, False]
    assert crowd.enter(OTHERS)
    crowd.leave(SOMEBODY)
    assert not crowd.enter(SOMEBODY), "the one that was refused is still there"
    crowd.leave(SOMEBODY)
    crowd.leave(SOMEBODY)
    assert crowd.enter(SOMEBODY)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.7", ""])
def test_this_machine_our_proxies_and_a_unix_socket_may_be_many_peoples(peer: str) -> None:
    crowd = Crowd(1, Proxies(["10.0.0.0/24"]))
    assert all(crowd.enter(peer) for _ in range(10))
    crowd.leave(peer)


def test_a_network_of_version_6_counts_as_one_address() -> None:
    crowd = Crowd(2, Proxies())
    assert [crowd.enter(f"2001:db8::{number}") for number in range(3)] == [True, True, False]
    assert crowd.enter("2001:db8:0:1::1")


def test_who_is_refused_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    """It may be a proxy that nobody named."""
    crowd = Crowd(1, Proxies())
    for peer in (SOMEBODY, SOMEBODY, OTHERS, OTHERS):
        crowd.enter(peer)
    [record] = caplog.records
    assert SOMEBODY in record.getMessage()
    assert "trusted_proxies" in record.getMessage()


class FromAfar(PatientProtocol):
    """Everybody comes from one address elsewhere."""

    most_connections = 3 * 2
    client = property(lambda _: (SOMEBODY, 4711), lambda _, __: None)  # type: ignore[assignment]


@asynccontextmanager
async def crowded() -> AsyncIterator[tuple[str, int]]:
    """A server that takes two connections from one address."""

    async def here(request: Request) -> Response:
        return PlainTextResponse("here")

    async def line(line: WebSocket) -> None:
        await line.accept()
        await line.receive()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[Route("/", here), WebSocketRoute("/", line)])
        server = Server(server_config(app, http=FromAfar))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
        yield listener.getsockname()
        server.stop()
        await serving


@pytest.mark.parametrize("ending", [UPGRADE, REQUEST], ids=["a WebSocket", "a connection"])
async def test_one_too_many_from_an_address_is_told_so_until_another_ends(ending: bytes) -> None:
    async with crowded() as address:

        async def connected(sent: bytes) -> tuple[bytes, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(sent)
            return await reader.readline(), writer

        with anyio.fail_after(10):
            (first, ends), (second, stays) = await connected(ending), await connected(REQUEST)
            assert (first.split()[1], second.split()[1]) == (b"101" if ending is UPGRADE else b"200", b"200")
            said, refused = await connected(REQUEST)
            assert b" 503 " in said
            for writer in (refused, ends):
                writer.close()
            while b" 503 " in said:  # until the server has noticed
                said, third = await connected(REQUEST)
                third.close()
            stays.close()

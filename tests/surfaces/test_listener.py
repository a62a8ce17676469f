"""The loopback listener of stdio mode: on first need, one port for several processes, never a stranger's."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.errors import SettingsError
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.instance import Instance
from gateway.surfaces.listener import Listener
from gateway.surfaces.server import PatientProtocol, Server, server_config
from gateway.surfaces.web.health import Health

OURS = Instance(b"the key of our vault and database")
STRANGER = Instance(b"another vault")


def pages(instance: Instance) -> Callable[[str], ASGIApp]:
    """A small gateway: its health, and who it is."""

    async def is_ready() -> bool:
        return True

    def app(base_url: str) -> ASGIApp:
        async def name(request: Request) -> Response:
            return PlainTextResponse(base_url)

        async def length(request: Request) -> Response:
            return PlainTextResponse(str(len(await request.body())))

        async def slow(request: Request) -> Response:
            """Answers after longer than any deadline here: those are for what arrives."""
            await request.body()
            done = asyncio.Event()
            asyncio.get_running_loop().call_later(0.5, done.set)
            await done.wait()
            return PlainTextResponse("slow")

        more = [Route("/length", length, methods=["POST"]), Route("/slow", slow, methods=["POST"])]
        inner = application([*more, Route("/name", name), *Health(is_ready, instance).routes()])
        port = int(base_url.rpartition(":")[2])
        doors = Doors(public=["/healthz", "/readyz", "/name", "/length", "/slow"])
        return Edge(inner, None, doors, Addresses.of(base_url, "127.0.0.1", port))  # type: ignore[arg-type]

    return app


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Listener]]:
    started: list[Listener] = []

    def listen(port: int = 0, instance: Instance = OURS) -> Listener:
        started.append(Listener(pages(instance), instance, port))
        return started[-1]

    yield listen
    for listener in started:
        await listener.aclose()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def get(url: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(url)


async def test_it_serves_from_the_first_need_until_it_is_closed(listen: Callable[..., Listener]) -> None:
    listener = listen()
    url = await listener.base_url()
    assert url.startswith("http://127.0.0.1:")
    assert (await get(f"{url}/name")).text == url
    assert await listener.base_url() == url
    await listener.aclose()
    with pytest.raises(httpx2.ConnectError):
        await get(f"{url}/name")


async def test_its_answers_are_not_held_back_by_nagles_algorithm(listen: Callable[..., Listener]) -> None:
    """40 ms an answer, on every connection where asyncio does not see that it is TCP."""
    listener = listen()
    url = await listener.base_url()
    async with httpx2.AsyncClient(trust_env=False) as client:
        await client.get(f"{url}/name")
        assert listener._server is not None
        (connection,) = listener._server.server_state.connections
        assert connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_many_who_need_it_at_once_get_one_listener(listen: Callable[..., Listener]) -> None:
    listener = listen()
    urls = await asyncio.gather(*(listener.base_url() for _ in range(20)))
    assert len(set(urls)) == 1


async def test_a_second_process_of_the_same_person_uses_the_first_ones_pages(listen: Callable[..., Listener]) -> None:
    first = await listen().base_url()
    second = listen(port_of(first))
    assert await second.base_url() == first
    assert (await get(f"{first}/name")).text == first


async def test_the_second_process_serves_by_itself_once_the_first_has_ended(listen: Callable[..., Listener]) -> None:
    """The port stays the same, and with it the redirect URI that the provider knows."""
    first = listen()
    url = await first.base_url()
    second = listen(port_of(url))
    assert await second.base_url() == url
    await first.aclose()
    assert await second.base_url() == url
    assert (await get(f"{url}/name")).text == url


async def test_a_gateway_with_another_key_or_database_is_a_stranger(listen: Callable[..., Listener]) -> None:
    theirs = await listen(instance=STRANGER).base_url()
    ours = await listen(port_of(theirs)).base_url()
    assert ours != theirs
    assert (await get(f"{ours}/name")).text == ours


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"proof":1}',
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/healthz\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_whatever_else_sits_on_the_port_is_left_alone(listen: Callable[..., Listener], answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with anyio.fail_after(5):
            assert port_of(await listen(port).base_url()) != port


async def test_a_proof_is_good_for_one_address_only() -> None:
    """A stranger on our port cannot fetch the proof from the real gateway on another."""
    proof = OURS.proof("127.0.0.1:9000", "challenge")
    assert OURS.is_proof(proof, "127.0.0.1:9000", "challenge")
    assert not OURS.is_proof(proof, "127.0.0.1:8788", "challenge")
    assert not OURS.is_proof(proof, "127.0.0.1:9000", "another")
    assert not STRANGER.is_proof(proof, "127.0.0.1:9000", "challenge")
    assert not OURS.is_proof("ü", "127.0.0.1:9000", "challenge")


async def test_a_page_that_cannot_start_is_an_error_and_not_the_end_of_the_process() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("no start")

    listener = Listener(lambda _: app, OURS, port=0)
    with pytest.raises(SettingsError, match="could not be started"):
        await listener.base_url()
    await listener.aclose()


async def test_the_processs_signals_are_left_alone(listen: Callable[..., Listener]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await listen().base_url()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_importing_the_listener_loads_no_web_server() -> None:
    """`stdio` starts without waiting for it."""
    code = "import sys, gateway.surfaces.listener; print({'uvicorn', 'starlette', 'httpx2'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == "set()"


# --- a connection that never gets to the point (T11) ---


class HurriedProtocol(PatientProtocol):
    header_seconds = 0.1
    body_seconds = 0.2


class LessHurriedProtocol(PatientProtocol):
    """For a thousand at once, on one event loop."""

    header_seconds = 1.0


@asynccontextmanager
async def serving(protocol: type[PatientProtocol]) -> AsyncIterator[int]:
    """A server's port."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = Server(server_config(pages(OURS)(f"http://127.0.0.1:{bound.getsockname()[1]}"), http=protocol))
    running = asyncio.create_task(server.serve(sockets=[bound]))
    await server.up.wait()
    yield bound.getsockname()[1]
    server.stop()
    await running


@pytest.fixture
async def hurried() -> AsyncIterator[int]:
    """A server that waits a tenth of a second for headers."""
    async with serving(HurriedProtocol) as port:
        yield port


@pytest.mark.parametrize("sent", [b"", b"GET /name HT", b"GET /name HTTP/1.1\r\nHost: 127.0.0.1"])
async def test_headers_that_do_not_arrive_close_the_connection(hurried: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hurried)
    writer.write(sent)
    with anyio.fail_after(5):
        assert await reader.read() == b""
    writer.close()


async def test_many_who_drip_are_let_go_on_time_and_hold_nobody_up(full: bool) -> None:
    """T11: a byte now and then keeps no connection alive."""

    async def drip(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        left = asyncio.create_task(reader.read())
        try:
            for byte in b"GET /name HTTP/1.1\r\nHost: a\r\nX-Padding: " + b"x" * 10_000:
                if left.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.wait([left], timeout=0.05)
            return await left
        except ConnectionError:  # closed with a byte of ours on its way
            return b""
        finally:
            writer.close()

    one_each = {"connection": "close"}
    async with serving(LessHurriedProtocol) as port, httpx2.AsyncClient(trust_env=False, headers=one_each) as http:
        with anyio.fail_after(30 if full else 10):
            dripping = asyncio.gather(*(drip(port) for _ in range(1_000 if full else 100)))
            answers = [await http.get(f"http://127.0.0.1:{port}/name") for _ in range(20)]
            said = await dripping
    assert {answer.status_code for answer in answers} == {200}
    assert set(said) == {b""}


class CrowdedProtocol(LessHurriedProtocol):
    most_connections = 3


async def test_a_connection_too_many_is_told_so_and_the_others_go_on() -> None:
    async with serving(CrowdedProtocol) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        request = f"GET /name HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        for _, writer in held:
            writer.write(request)
        with anyio.fail_after(5):
            assert [await reader.readline() for reader, _ in held] == [b"HTTP/1.1 200 OK\r\n"] * 3
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
            writer.close()
            held[0][1].close()
            while True:  # the server has noticed once somebody else is let in
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request)
                answer = await reader.readline()
                writer.close()
                if b"200" in answer:
                    break
        for _, writer in held:
            writer.close()


async def test_the_next_request_on_a_connection_has_the_same_deadline(hurried: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hurried)
    host = f"Host: 127.0.0.1:{hurried}".encode()
    with anyio.fail_after(5):
        for _ in range(3):
            writer.write(b"GET /name HTTP/1.1\r\n" + host + b"\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(f"http://127.0.0.1:{hurried}"))
        writer.write(b"GET /name HTTP/1.1\r\n")
        assert await reader.read() == b""
    writer.close()


async def test_headers_without_end_close_the_connection(listen: Callable[..., Listener]) -> None:
    """Long before their time is up."""
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(await listen().base_url()))

    async def write_headers() -> None:
        writer.write(b"GET /name HTTP/1.1\r\n")
        while True:
            writer.write(b"X-A: " + b"x" * 8192 + b"\r\n")
            await writer.drain()

    with anyio.fail_after(5), pytest.raises(ConnectionError):
        await write_headers()
    writer.close()


async def test_a_body_that_goes_on_after_the_answer_is_cut_off(hurried: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hurried)
    writer.write(f"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1:{hurried}\r\nContent-Length: 99\r\n\r\nhalf".encode())
    with anyio.fail_after(3):
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
    writer.close()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 99\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_a_body_that_stays_away_is_not_waited_for(hurried: int, framing: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hurried)
    writer.write(f"POST /length HTTP/1.1\r\nHost: 127.0.0.1:{hurried}\r\n".encode() + framing)
    with anyio.fail_after(5):
        answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert f"content-length: {len(body)}".encode() in head
    writer.close()


async def test_an_answer_may_take_longer_than_any_request(hurried: int) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.post(f"http://127.0.0.1:{hurried}/slow", content=b"x")).text == "slow"

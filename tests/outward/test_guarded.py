"""Requests that connect to addresses that were looked at, and to no other. Real sockets, on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trustme

from gateway.errors import DestinationError
from gateway.outward.destinations import Destination, Destinations
from gateway.outward.guarded import Answer, GuardedRequests, UnansweredError
from tests.outward.test_destinations import REFUSED

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Listener:
    """What came in on a port of loopback: connections, and the heads of requests."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def listening(reply: Reply | bytes = OK, context: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    listener = Listener()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lengths = (int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le"))
                length = next(lengths, 0)
                listener.requests.append(head + await reader.readexactly(length))
                if isinstance(reply, bytes):
                    writer.write(reply)
                else:
                    await reply(writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            listener.left.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


@asynccontextmanager
async def requests(destinations: Destinations, context: ssl.SSLContext | None = None) -> AsyncIterator[GuardedRequests]:
    guarded = GuardedRequests(destinations, context)
    try:
        yield guarded
    finally:
        await guarded.close()


def allowing(*places: str, resolve: Callable[[str, int], Awaitable[list[str]]] | None = None) -> Destinations:
    return Destinations(places, setting="the setting", resolve=resolve)


async def post(guarded: GuardedRequests, to: Destination, seconds: float = 5) -> Answer:
    async with asyncio.timeout(10):
        return await guarded.post(to, {"X-Kind": "test"}, b"{}", seconds)


async def test_no_spelling_of_a_private_address_leads_to_a_connection():
    """Neither as it is read, nor, where a check were forgotten, as it is connected to."""
    async with listening() as listener, requests(allowing()) as guarded:
        for url in REFUSED:
            with pytest.raises(DestinationError):
                allowing().read(url)
        hosts = ("127.0.0.1", "localhost", "::ffff:127.0.0.1", "0x7f.1", "127.1", "2130706433", "0", "::1", "0.0.0.0")
        for host in hosts:
            for scheme in ("http", "https"):
                with pytest.raises(UnansweredError) as unanswered:
                    await post(guarded, Destination(scheme, host, listener.port, "/"))
                assert unanswered.value.why == "no_public_address"
        assert listener.connections == 0


async def test_a_name_that_changes_between_check_and_use_leads_nowhere():
    answers = iter([["1.1.1.1"], ["127.0.0.1"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    async with listening() as listener:
        destinations = allowing(resolve=resolve)
        await destinations.addresses("rebinding.example", listener.port)
        async with requests(destinations) as guarded:
            for _ in range(2):  # and again at the next try
                with pytest.raises(UnansweredError, match=r"no_public_address"):
                    await post(guarded, Destination("https", "rebinding.example", listener.port, "/"))
        assert listener.connections == 0


async def test_the_name_is_looked_up_once_and_its_address_used_with_the_name_in_tls_and_host():
    looked_up = []

    async def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    authority, server, client = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example").configure_cert(server)
    authority.configure_trust(client)
    async with listening(context=server) as listener:
        destinations = allowing(f"hooks.example:{listener.port}", f"other.example:{listener.port}", resolve=resolve)
        async with requests(destinations, client) as guarded:
            to = destinations.read(f"https://hooks.example:{listener.port}/in?x=1")
            assert (await post(guarded, to)).status == 200
            assert (await post(guarded, to)).status == 200
            assert (looked_up, listener.connections) == (["hooks.example"], 1), "the second one goes over the first's"
            with pytest.raises(UnansweredError, match=r"no_connection"):  # the certificate is not other.example's
                await post(guarded, destinations.read(f"https://other.example:{listener.port}/"))
        lines = listener.requests[0].split(b"\r\n")
        assert lines[0] == b"POST /in?x=1 HTTP/1.1"
        assert f"Host: hooks.example:{listener.port}".encode() in lines
        assert len(listener.requests) == 2


async def test_the_next_address_is_tried_where_one_does_not_answer():
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with listening() as listener:
        destinations = allowing(f"two.example:{listener.port}", resolve=resolve)
        async with requests(destinations) as guarded:
            assert (await post(guarded, destinations.read(f"http://two.example:{listener.port}/"))).status == 200


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async with listening() as inside:
        moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % inside.port
        async with listening(moved) as listener:
            destinations = allowing(f"127.0.0.1:{listener.port}")
            async with requests(destinations) as guarded:
                assert (await post(guarded, destinations.read(f"http://127.0.0.1:{listener.port}/"))).status == 307
        assert inside.connections == 0


async def test_of_an_endless_body_next_to_nothing_is_read():
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with listening(endless) as listener:
        destinations = allowing(f"127.0.0.1:{listener.port}")
        async with requests(destinations) as guarded:
            assert (await post(guarded, destinations.read(f"http://127.0.0.1:{listener.port}/"))).status == 200
            async with asyncio.timeout(5):
                await listener.left.wait()
    assert sent < 20_000_000, "what the two ends' buffers hold"


async def test_a_body_that_does_not_end_does_not_hold_the_answer_up():
    async def begun(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-One: two\r\nContent-Length: 5\r\n\r\n")
        await asyncio.Event().wait()

    async with listening(begun) as listener:
        destinations = allowing(f"127.0.0.1:{listener.port}")
        async with requests(destinations) as guarded:
            answer = await post(guarded, destinations.read(f"http://127.0.0.1:{listener.port}/"))
            assert (answer.status, answer.headers["x-one"]) == (200, "two")


@pytest.mark.parametrize(
    ("reply", "why"),
    [(b"", "timeout"), (b"HTTP/1.1 200 OK\r\nX-Slow:", "timeout"), (b"SSH-2.0\r\n\r\n", "broken_answer")],
)
async def test_an_answer_that_does_not_come_or_is_none_is_told_by_a_word(reply: bytes, why: str):
    async with listening(reply) as listener:
        destinations = allowing(f"127.0.0.1:{listener.port}")
        async with requests(destinations) as guarded:
            with pytest.raises(UnansweredError, match=f"^{why}$"):
                await post(guarded, destinations.read(f"http://127.0.0.1:{listener.port}/"), seconds=0.3)


async def test_a_look_up_that_never_ends_counts_as_time():
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with requests(allowing(resolve=resolve)) as guarded:
        with pytest.raises(UnansweredError, match=r"^timeout$"):
            await post(guarded, Destination("https", "slow.example", 443, "/"), seconds=0.1)


async def test_nobody_there_is_told_by_a_word():
    async with listening() as listener:
        port = listener.port
    destinations = allowing(f"127.0.0.1:{port}")
    async with requests(destinations) as guarded:
        with pytest.raises(UnansweredError, match=r"^no_connection$"):
            await post(guarded, destinations.read(f"http://127.0.0.1:{port}/"))


async def test_a_body_that_is_asked_for_is_read_to_its_limit_and_not_unpacked():
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Encoding: gzip\r\n\r\n12345678") as listener:
        here = allowing(f"127.0.0.1:{listener.port}")
        async with requests(here) as guarded:
            to = here.read(f"http://127.0.0.1:{listener.port}/document?x=1")
            whole = await guarded.get(to, {"Accept": "application/json"}, 5, limit=8)
            cut = await guarded.get(to, {}, 5, limit=4)
        assert whole.body == b"12345678"
        assert cut.body == b"12345"
        assert listener.requests[0].startswith(b"GET /document?x=1 HTTP/1.1\r\n")
        assert b"12345678" not in repr(whole).encode()


async def test_a_body_that_trickles_is_given_up_in_time():
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        await writer.drain()

    async with listening(trickle) as listener:
        here = allowing(f"127.0.0.1:{listener.port}")
        async with requests(here) as guarded:
            with pytest.raises(UnansweredError, match="timeout"):
                await guarded.get(here.read(f"http://127.0.0.1:{listener.port}/"), {}, 0.2, limit=1000)

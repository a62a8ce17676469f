"""A session of a handshake revision is opened again from its id: after a restart, at another gateway, after a pause."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx2
import pytest
from mcp.server.request_state import AESGCMRequestStateCodec

from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.session_ids import GOOD_FOR, LONGEST, SessionIds
from gateway.types import Principal
from tests.surfaces.mcp.test_session import JSON, Host, greeted, initialize
from tests.surfaces.mcp.world import World

KEYS = [b"s" * 32]
ALICE = Principal("https://login.example", "alice")
SAID = initialize()["params"]


@pytest.fixture
async def gateways() -> AsyncIterator[list[tuple[World, str]]]:
    """Three with the same keys, one after the other in one process: nothing else is shared."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(3):
            world = World(Limits(sessions_each=3))
            world.session_keys = KEYS
            tell(world)
            made.append((world, f"{await stack.enter_async_context(world.http())}/mcp"))
        yield made


def tell(world: World) -> None:
    @world.tool
    def greet() -> str:
        """Says hello."""
        return "hello"


async def test_three_gateways_in_turn_serve_one_session(gateways: list[tuple[World, str]]) -> None:
    async with httpx2.AsyncClient(timeout=5) as http:
        host = await greeted(http, gateways[0][1])
        for number in range(30):
            answer = await replace(host, url=gateways[number % 3][1]).call("greet", number)
            assert (answer.status_code, answer.headers["mcp-session-id"]) == (200, host.session)
            assert answer.json()["result"]["content"][0]["text"] == "hello"
        for world, _ in gateways:
            await world.audit.flush()
            assert {event.client for event in world.events} == {"test"}


async def test_many_requests_at_once_open_it_once(gateways: list[tuple[World, str]]) -> None:
    async with httpx2.AsyncClient(timeout=5) as http:
        host = replace(await greeted(http, gateways[0][1]), url=gateways[1][1])
        answers = await asyncio.gather(*(host.call("greet", number) for number in range(20)))
        others = [await greeted(http, gateways[1][1]) for _ in range(2)]

        assert {answer.status_code for answer in answers} == {200}
        assert len(others) == 2  # of three that Alice may have there
        assert (await http.post(gateways[1][1], json=initialize(), headers=JSON)).status_code == 429


async def test_a_host_hears_of_new_tools_where_its_session_was_opened_again(gateways: list[tuple[World, str]]) -> None:
    world, url = gateways[2]
    async with httpx2.AsyncClient(timeout=5) as http:
        host = replace(await greeted(http, gateways[0][1]), url=url)
        async with host.listen() as stream:
            assert stream.status_code == 200

            @world.tool
            def later() -> None:
                """Comes later."""

            lines = stream.aiter_lines()
            async with asyncio.timeout(5):
                while not (line := await anext(lines)).startswith("data: "):
                    pass
    assert json.loads(line[6:])["method"] == "notifications/tools/list_changed"


@pytest.mark.parametrize("bearer", ["bob", "alice/other", "bob/other"])
async def test_to_anybody_else_it_does_not_exist(gateways: list[tuple[World, str]], bearer: str) -> None:
    async with httpx2.AsyncClient(timeout=5) as http:
        host = await greeted(http, gateways[0][1])
        for _, url in gateways:
            stranger = {**host.headers, "authorization": f"Bearer {bearer}"}
            answer = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=stranger)
            assert answer.status_code == 404
            assert "Session not found" in answer.text


async def test_one_that_its_host_ended_stays_ended(gateways: list[tuple[World, str]]) -> None:
    async with httpx2.AsyncClient(timeout=5) as http:
        host = await greeted(http, gateways[0][1])
        assert (await http.delete(host.url, headers=host.headers)).status_code == 200

        assert (await host.call("greet")).status_code == 404


@pytest.mark.parametrize("place", range(0, 200, 7))
async def test_an_id_that_was_altered_opens_nothing(place: int) -> None:
    ids = SessionIds(KEYS)
    made = ids.make(SAID, ALICE, "")
    letter = "A" if made[place] != "A" else "B"

    assert ids.read(made, ALICE, "") == SAID
    assert ids.read(made[:place] + letter + made[place + 1 :], ALICE, "") is None
    assert ids.read(made[:place], ALICE, "") is None
    assert SessionIds([b"t" * 32]).read(made, ALICE, "") is None


def test_an_id_is_good_for_a_week_and_no_longer() -> None:
    now = [1000.0]
    ids = SessionIds(KEYS, lambda: now[0])
    made = ids.make(SAID, ALICE, "")

    now[0] += GOOD_FOR - 1
    assert ids.read(made, ALICE, "") == SAID
    now[0] += 1
    assert ids.read(made, ALICE, "") is None


def test_two_sessions_of_one_host_have_two_ids_and_neither_says_anything() -> None:
    ids = SessionIds(KEYS)
    one, other = (ids.make(SAID, ALICE, "") for _ in range(2))

    assert one != other
    assert all(0x21 <= ord(letter) <= 0x7E for letter in one)
    assert "alice" not in one


def test_a_host_that_said_too_much_gets_an_id_that_carries_nothing() -> None:
    ids, noise = SessionIds(KEYS), AESGCMRequestStateCodec(KEYS).seal(b"x" * 3000)
    made = ids.make({**SAID, "clientInfo": {"name": noise, "version": "1"}}, ALICE, "")

    assert len(made) == 32
    assert ids.read(made, ALICE, "") is None


@pytest.mark.parametrize("sealed", [zlib.compress(b"x" * (1 << 20)), b"no zlib", b"", zlib.compress(b"[1")])
def test_what_was_sealed_for_something_else_opens_nothing(sealed: bytes) -> None:
    made = AESGCMRequestStateCodec(KEYS).seal(sealed)

    assert len(made) < LONGEST
    assert SessionIds(KEYS).read(made, ALICE, "") is None


async def test_a_session_that_was_idle_for_long_goes_on() -> None:
    world = World(Limits(session_idle_seconds=0.05))
    world.session_keys = KEYS
    tell(world)
    async with world.http() as base, httpx2.AsyncClient(timeout=5) as http:
        host: Host = await greeted(http, f"{base}/mcp")
        for _ in range(3):
            passed = asyncio.Event()
            asyncio.get_running_loop().call_later(0.1, passed.set)
            await passed.wait()
            assert (await host.call("greet")).status_code == 200

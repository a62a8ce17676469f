"""Everything at once for a while: memory, files, threads and tasks of the process are the same afterwards.

Lists, calls with a token and without, sessions that are opened and ended, streams and calls that are dropped in the
middle, pages, and keys that are none.
"""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle

from tests.proofs import raw_http
from tests.proofs.served import Served, elapse, served, team, until
from tests.proofs.world import World

PEOPLE = 4
SETTLES = 10.0  # seconds
MORE = {"tasks": 2, "threads": 2, "files": 2}
MORE_BYTES = 6_000_000
"""SQLite keeps pages, two megabytes for each connection, and the allocator what it was given once."""

Act = Callable[[Served, str], Awaitable[None]]


async def lists(gateway: Served, key: str) -> None:
    assert (await gateway.ask(raw_http.listing(gateway.port, key))).status == 200


async def adds(gateway: Served, key: str) -> None:
    async with gateway.line() as line:
        for _ in range(20):
            assert (await line.ask(raw_http.call(gateway.port, key, "add", a=1, b=2))).is_done


async def spends(gateway: Served, key: str) -> None:
    assert (await gateway.ask(raw_http.call(gateway.port, key, "spend"))).is_done


async def holds_a_session(gateway: Served, key: str) -> None:
    async with gateway.line() as line, gateway.line() as stream:
        opened = await line.ask(raw_http.initialize(gateway.port, key))
        session = opened.header("mcp-session-id")
        assert session
        stream.writer.write(raw_http.stream_of(gateway.port, key, session))
        await stream.reader.readuntil(b"\r\n\r\n")
        assert (await line.ask(raw_http.ending(gateway.port, key, session))).status == 200


async def drops_a_stream(gateway: Served, key: str) -> None:
    for request in (raw_http.listening(gateway.port, key), raw_http.get(gateway.port, "/sse", key)):
        async with gateway.line() as line:
            line.writer.write(request)
            await line.reader.readuntil(b"\r\n\r\n")


async def drops_a_call(gateway: Served, key: str) -> None:
    async with gateway.line() as line:
        line.writer.write(raw_http.call(gateway.port, key, "rest", seconds=30.0))
        await elapse(0.1)


async def looks_at_pages(gateway: Served, key: str) -> None:
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/connections", 401), ("/no", 404)):
        assert await gateway.status_of(path) == status


async def is_not_let_in(gateway: Served, key: str) -> None:
    other = "B" if key.endswith("A") else "A"
    for wrong in (key[:-1] + other, "no key", None):
        assert (await gateway.ask(raw_http.listing(gateway.port, wrong))).status == 401


ACTS: Sequence[Act] = (
    lists,
    adds,
    spends,
    holds_a_session,
    drops_a_stream,
    drops_a_call,
    looks_at_pages,
    is_not_let_in,
)


async def traffic(gateway: Served, keys: list[str], seconds: float, pause: float) -> int:
    """How many acts there were."""
    until_then = asyncio.get_running_loop().time() + seconds

    async def one(key: str) -> int:
        for number, act in enumerate(cycle(ACTS)):
            if asyncio.get_running_loop().time() > until_then and number >= len(ACTS):
                return number
            await act(gateway, key)
            await elapse(pause)
        return 0

    return sum(await asyncio.gather(*(one(key) for key in keys)))


async def at_once(gateway: Served, keys: list[str]) -> None:
    """As many as threads and connections are ever opened for, so that there will be no more of them."""
    for act in (lists, spends, adds):
        await asyncio.gather(*(act(gateway, key) for key in keys for _ in range(8)))


async def settled(gateway: Served, key: str) -> dict[str, int]:
    """What there is of it once what was dropped has ended."""
    seen = await gateway.census(key)

    async def is_still() -> bool:
        nonlocal seen
        await elapse(0.5)
        seen, before = await gateway.census(key), seen
        return all(seen[what] >= before[what] for what in MORE)

    await until(is_still, SETTLES)
    return seen


async def test_nothing_is_left_behind(sqlite_world: World, full: bool) -> None:
    warm, seconds, pause = (30.0, 60.0, 0.01) if full else (1.0, 1.0, 0.05)
    keys = await team(sqlite_world, PEOPLE, PEOPLE)
    async with served(sqlite_world.place) as gateway:
        await at_once(gateway, keys)
        await traffic(gateway, keys, warm, pause)
        before = await settled(gateway, keys[0])
        acts = await traffic(gateway, keys, seconds, pause)
        after = await settled(gateway, keys[0])
    grown = {what: after[what] - before[what] for what in before if what not in ("pid", "milliseconds")}
    print(f"{acts} acts in {seconds:.0f} s: {before}, and then {grown} more")
    assert {what: grown[what] for what in MORE if grown[what] > MORE[what]} == {}
    assert grown["bytes"] < MORE_BYTES

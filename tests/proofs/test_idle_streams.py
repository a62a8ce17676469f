"""Thousands of streams that say nothing: each costs little, each gets its signs of life, and calls go on beside them.

Half are `subscriptions/listen` of 2026-07-28, as many as one person may have; half are the own streams of handshake
sessions.
"""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tests.proofs import raw_http
from tests.proofs.hurried import serving
from tests.proofs.raw_http import Line
from tests.proofs.served import Served, served, team
from tests.proofs.test_slow_clients import measured, quantile
from tests.proofs.world import World

EACH = 10  # streams of a kind, for one person
MOST_BYTES = 60_000  # of memory, for one stream
SIGN_OF_LIFE = b": still working\r\n\r\n"


async def stream(gateway: Served, lines: AsyncExitStack, key: str, *, modern: bool) -> Line:
    """An open one, whose first words have been read."""
    port = gateway.port
    request = raw_http.listening(port, key)
    if not modern:
        session = (await gateway.ask(raw_http.initialize(port, key))).header("mcp-session-id")
        assert session
        request = raw_http.stream_of(port, key, session)
    line = await lines.enter_async_context(gateway.line())
    line.writer.write(request)
    head = await line.reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head[:20], head
    assert b"text/event-stream" in head
    return line


@pytest.mark.usefixtures("many_files")
async def test_idle_streams_are_cheap_and_kept_alive(sqlite_world: World, full: bool) -> None:
    people, pause = (100, 15.0) if full else (10, 1.0)
    keys = await team(sqlite_world, people + 1)
    *listeners, caller = keys
    async with served(sqlite_world.place, command=serving(full, pause=pause)) as gateway, AsyncExitStack() as lines:
        await stream(gateway, lines, caller, modern=True)
        idle = await measured(gateway, caller, 2 if full else 0.5)
        before = await gateway.census(caller)
        streams = []
        for key in listeners:
            opening = (stream(gateway, lines, key, modern=modern) for modern in (True, False) for _ in range(EACH))
            streams += await asyncio.gather(*opening)
        after = await gateway.census(caller)
        each = (after["bytes"] - before["bytes"]) / len(streams)

        began = time.monotonic()
        alive = asyncio.gather(*(line.reader.readuntil(SIGN_OF_LIFE) for line in streams))
        took = await measured(gateway, caller, 2 if full else 0.5)
        async with asyncio.timeout(2 * pause + 5):
            await alive
            await asyncio.gather(*(line.reader.readuntil(SIGN_OF_LIFE) for line in streams))
        last = time.monotonic() - began
    print(
        f"{len(streams)} streams, {each / 1000:.0f} KB each; two signs of life on each within {last:.1f} s; calls' p99"
    )
    print(f"{quantile(idle, 0.99) * 1000:.1f} ms without them and {quantile(took, 0.99) * 1000:.1f} ms beside them")
    assert each < MOST_BYTES
    assert quantile(took, 0.99) < max(quantile(idle, 0.99) * 5, 0.25)

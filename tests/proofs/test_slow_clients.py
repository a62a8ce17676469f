"""Clients that drip a byte a second, into headers and into bodies, or say nothing at all: all are let go in time.

Meanwhile whoever does call is answered, and afterwards the process has no more files open than before.
"""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.proofs import raw_http
from tests.proofs.hurried import serving
from tests.proofs.raw_http import Line
from tests.proofs.served import Served, elapse, served, team, until
from tests.proofs.world import World

SLACK = 5.0  # seconds: a busy machine closes a thousand
OWN = 15  # files that the database's connections take, which are opened when they are needed


def quantile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)]


async def drip(port: int, at_once: bytes, byte: bytes, every: float) -> tuple[float, bytes]:
    """For how long the gateway let it, and what it said in the end."""
    line, began = await Line.to(port), time.monotonic()
    line.writer.write(at_once)
    left = asyncio.create_task(line.reader.read())
    while not left.done():
        await asyncio.wait([left], timeout=every)
        with contextlib.suppress(ConnectionError):
            if byte:
                line.writer.write(byte)
    line.close()
    with contextlib.suppress(ConnectionError):  # closed with a byte of ours on its way
        return time.monotonic() - began, await left
    return time.monotonic() - began, b""


def ways(port: int, key: str) -> Iterator[tuple[str, bytes, bytes]]:
    """What is sent at once, and then again and again: a name for it before."""
    request = raw_http.call(port, key, "add", a=1, b=2)
    head, _, body = request.partition(b"\r\n\r\n")
    while True:
        yield "header", head + b"\r\nx-padding: ", b"x"
        yield "body", head.replace(b"content-length: ", b"content-length: 9") + b"\r\n\r\n" + body, b" "
        yield "silent", b"", b""


async def good_traffic(gateway: Served, key: str, stop: asyncio.Event) -> list[float]:
    took = []
    async with gateway.line() as line:
        while not stop.is_set():
            began = time.monotonic()
            assert (await line.ask(raw_http.call(gateway.port, key, "add", a=1, b=2))).is_done
            took.append(time.monotonic() - began)
            await elapse(0.02)
    return took


async def measured(gateway: Served, key: str, seconds: float) -> list[float]:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    return await good_traffic(gateway, key, stop)


@pytest.mark.usefixtures("many_files")
async def test_slow_clients_are_let_go_and_hold_nobody_up(sqlite_world: World, full: bool) -> None:
    many, header, body = (999, 10.0, 60.0) if full else (99, 2.0, 3.0)  # a busy machine is slow itself
    every = 1.0 if full else 0.1
    [key] = await team(sqlite_world, 1)
    async with served(sqlite_world.place, command=serving(full, header=header, body=body)) as gateway:
        idle = await measured(gateway, key, 2 if full else 0.5)
        files = (await gateway.census(key))["files"]
        stop = asyncio.Event()
        calling = asyncio.create_task(good_traffic(gateway, key, stop))
        chosen = [way for way, _ in zip(ways(gateway.port, key), range(many), strict=False)]
        let_go = await asyncio.gather(*(drip(gateway.port, first, byte, every) for _, first, byte in chosen))
        stop.set()
        took = await calling

        async def is_as_before() -> bool:
            return (await gateway.census(key))["files"] <= files + OWN

        await until(is_as_before, SLACK)
    longest = {
        name: max(seconds for (way, *_), (seconds, _) in zip(chosen, let_go, strict=True) if way == name)
        for name in ("header", "body", "silent")
    }
    print(f"{many} slow clients were let go after at most {longest}; p99 {quantile(idle, 0.99) * 1000:.1f} ms idle,")
    print(f"{quantile(took, 0.99) * 1000:.1f} ms meanwhile, of {len(took)} calls")
    assert header / 2 < min(longest["header"], longest["silent"])
    assert max(longest["header"], longest["silent"]) < header + SLACK
    assert body / 2 < longest["body"] < body + SLACK
    told = [said[:20] for (way, *_), (_, said) in zip(chosen, let_go, strict=True) if way == "body"]
    assert any(b" 408 " in said for said in told), "of some, the next byte was on its way and destroys the answer"
    assert quantile(took, 0.99) < max(quantile(idle, 0.99) * 5, 0.25)

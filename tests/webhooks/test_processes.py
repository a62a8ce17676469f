"""Processes that are killed: what was written is delivered, by whoever lives."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from gateway.clock import SystemClock
from gateway.secret import Secret
from gateway.testing.clocks import RunningClock
from gateway.webhooks.courier import CLAIM
from tests.warm import python
from tests.webhooks.conftest import PATIENCE, Receiver, posting


@asynccontextmanager
async def process(database: str, key: Secret, hosts: list[str], *, delivers: bool) -> AsyncIterator[Process]:
    """One that has written three facts. It is killed when the block ends."""
    started = await asyncio.create_subprocess_exec(
        *python(Path(__file__).with_name("process.py")),
        stdin=PIPE,
        stdout=PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        work = {"database": database, "key": key.reveal(), "hosts": hosts, "delivers": delivers, "facts": 3}
        assert started.stdin
        assert started.stdout
        started.stdin.write(json.dumps(work).encode() + b"\n")
        async with asyncio.timeout(30):
            assert await started.stdout.readline() == b"written\n"
        yield started
    finally:
        started.kill()
        await started.communicate()


async def test_what_a_process_wrote_before_it_was_killed_is_delivered_by_another(
    sqlite_url: str, key: Secret, receiver: Receiver, hosts: list[str]
):
    async with posting(sqlite_url, key, SystemClock(), hosts) as post:
        await post.register(receiver.url)
        async with process(sqlite_url, key, hosts, delivers=False):
            pass
        post.courier.start()
        await receiver.wait_for(3)

    assert {event["data"]["tool"] for event in receiver.events} == {"t0", "t1", "t2"}
    assert len(receiver.received) == 3


async def test_what_a_process_was_delivering_when_it_was_killed_is_delivered_again(
    sqlite_url: str, key: Secret, receiver: Receiver, hosts: list[str]
):
    """With the same id: whether the first one arrived, nobody knows."""

    async def hang(request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    receiver.answers = [hang, hang, hang]
    clock = RunningClock()
    async with posting(sqlite_url, key, clock, hosts) as post:
        await post.register(receiver.url)
        async with process(sqlite_url, key, hosts, delivers=True):
            await receiver.wait_for(3)
        assert await post.courier.settle() == 0
        clock.advance(CLAIM + timedelta(seconds=1))
        assert await asyncio.wait_for(post.courier.settle(), PATIENCE) == 3

    ids = [event["id"] for event in receiver.events]
    assert len(ids) == 6
    assert set(ids[:3]) == set(ids[3:])

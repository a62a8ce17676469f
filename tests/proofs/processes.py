"""Gateway processes from the outside: started, told what to do, stopped, killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.proofs.world import Place
from tests.warm import python

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds: what takes longer hangs


class GatewayProcess:
    """One `gateway_process.py`, and the process that it forked for the present task."""

    def __init__(self, process: asyncio.subprocess.Process, place: Place) -> None:
        self._process = process
        self._place = place
        self.pid = 0

    async def begin(self, do: str, **task: Any) -> None:
        """Begin a task. There is a process for it when this returns."""
        self.say(json.dumps({"do": do, "place": asdict(self._place), **task}))
        self.pid = (await self.hear("pid"))["pid"]

    def say(self, line: str = "") -> None:
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")

    async def hear(self, *expected: str) -> dict[str, Any]:
        """What it says next: the first line that has one of the names in it."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE):
            while line := await self._process.stdout.readline():
                heard: dict[str, Any] = json.loads(line)
                if heard.keys() & set(expected):
                    return heard
        raise AssertionError(f"the process ended without saying {expected}")

    async def stopped(self) -> None:
        """Wait until the process has stopped itself."""
        assert "stopped" in await self.hear("stopped", "ended"), "the process ended instead of stopping"

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.signal, signal.SIGKILL)

    async def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self._process.wait()


@asynccontextmanager
async def gateway_process(place: Place) -> AsyncIterator[GatewayProcess]:
    process = await asyncio.create_subprocess_exec(
        *python(Path(__file__).with_name("gateway_process.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,  # bytes of one line: a thousand answers
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    started = GatewayProcess(process, place)
    try:
        yield started
    finally:
        if process.returncode is None:
            await started.close()

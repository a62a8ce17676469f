"""Callers of a toolkit from afar, its workers, and the oracle: how each call ended, and how often it was run.

Callers are MCP hosts and ATP apps, in turn. The workers are processes of the published SDK, which write down each run.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.shared.exceptions import MCPError

DEADLINE = 4.0  # seconds that a call may take
HANGS = 60.0
WORKER = Path(__file__).with_name("remote_worker.py")


@dataclass
class Ended:
    """How a call ended: `value`, `not sent`, `unknown`, `hung up`, or what else was said. And after how long."""

    call_id: str
    how: str
    seconds: float


@dataclass
class Callers:
    """Each makes one call after the other, until told to stop."""

    base_url: str
    app_key: str
    chance: random.Random
    ended: list[Ended] = field(default_factory=list)
    is_over: bool = False
    _calling: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _hung_up: set[str] = field(default_factory=set)

    async def call_on(self, number: int) -> None:
        """Caller `number`, an MCP host or an app."""
        async with httpx2.AsyncClient(base_url=self.base_url, trust_env=False, timeout=HANGS) as http:
            while not self.is_over:
                (seconds,) = self.chance.choices([0.0, 0.05, 0.5, DEADLINE + 1], [60, 30, 8, 2])
                await self.call(http if number % 2 else None, seconds)

    async def call(self, http: httpx2.AsyncClient | None, seconds: float = 0.0) -> Ended:
        """One call that keeps its worker so many seconds busy, and how it ended."""
        call_id, loop = secrets.token_hex(8), asyncio.get_running_loop()
        arguments = {"call_id": call_id, "seconds": seconds}
        asking = self._by_app(http, arguments) if http else self._by_host(arguments)
        task = self._calling[call_id] = asyncio.create_task(asking)
        began = loop.time()
        await asyncio.wait([task], timeout=HANGS)
        assert task.done(), "a call hangs"
        del self._calling[call_id]
        gone = call_id in self._hung_up  # then the SDK's client may end in an error of its own
        how = "hung up" if task.cancelled() or (gone and task.exception()) else task.result()
        self.ended.append(Ended(call_id, how, loop.time() - began))
        return self.ended[-1]

    def hang_up(self, chance: random.Random) -> None:
        """One of the callers goes in the middle of its call."""
        if self._calling:
            call_id = chance.choice(list(self._calling))
            self._hung_up.add(call_id)
            self._calling[call_id].cancel()

    async def _by_host(self, arguments: dict[str, Any]) -> str:
        async with Client(f"{self.base_url}/mcp") as host:
            try:
                answer = await host.call_tool("work", arguments)
            except MCPError as error:  # such as of a tool that is not listed any more
                return _named(error.message)
        if answer.is_error:
            return _named(answer.content[0].text)
        return "value" if answer.structured_content == {"call_id": arguments["call_id"]} else f"wrong: {answer}"

    async def _by_app(self, http: httpx2.AsyncClient, arguments: dict[str, Any]) -> str:
        task = {"type": "task_request", "request_id": "r", "toolkit_id": "herd"}
        payload = {"payload": {"function": "work", "parameters": arguments}}
        headers = {"Authorization": f"ApiKey {self.app_key}"}
        answer = (await http.post("/api/v1/atp/llm-client/process/", json=task | payload, headers=headers)).json()
        if answer["status"] != "success":
            return _named(answer["message"])
        is_own = answer["result"]["tool"]["result"] == {"call_id": arguments["call_id"]}
        return "value" if is_own else f"wrong: {answer}"


def _named(message: str) -> str:
    unknown = ("There is no tool", "has no tool", "Unknown tool", "There is no toolkit")
    if "was not called" in message or any(words in message for words in unknown):
        return "not sent"
    return "unknown" if "Nobody knows whether it did its work" in message else f"said: {message}"


@dataclass
class Herd:
    """The workers. One that is killed is started again at once."""

    size: int
    environment: dict[str, str]
    folder: Path
    processes: list[Process | None] = field(default_factory=list)
    _starting: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self.processes = [None] * self.size
        for number in range(self.size):
            await self._start(number)

    def kill(self, number: int) -> None:
        process = self.processes[number]
        if process is None:
            return
        self.processes[number] = None
        process.kill()
        task = asyncio.create_task(self._start(number, process))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def signal_all(self, number: signal.Signals) -> None:
        for process in self.processes:
            if process is not None:
                with suppress(ProcessLookupError):
                    process.send_signal(number)

    async def end(self) -> None:
        await asyncio.gather(*self._starting)
        self.signal_all(signal.SIGKILL)
        await asyncio.gather(*(process.wait() for process in self.processes if process))

    def runs(self) -> Counter[str]:
        """How often each call was run, as the workers wrote down."""
        return Counter(Path(self.environment["RUNS"]).read_text().split())

    async def _start(self, number: int, former: Process | None = None) -> None:
        if former is not None:
            await former.wait()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self.processes[number] = await asyncio.create_subprocess_exec(
            sys.executable, WORKER, cwd=self.folder, env=clean | self.environment,
            stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
        )  # fmt: skip

"""A gateway for ATP programs, started as its operator starts it, and those programs, started as their authors do.

The gateway logs whatever it can, with a line for each request, into a file. What the programs print is kept in memory:
the SDK logs keys and tokens, and no file of a test may hold one.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from tests.interop.programs import ROOT, Command
from tests.warm import atp_gateway

PATIENCE = 120
"""Seconds until what does not happen counts as hanging: a busy machine takes many to start a few programs."""


@dataclass
class Program:
    """A program that runs. `printed` and `complained` are its lines so far, on stdout and stderr."""

    process: Process
    printed: list[str] = field(default_factory=list)
    complained: list[str] = field(default_factory=list)

    def say(self, line: str = "") -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")

    async def until_said(self, words: str) -> str:
        """The first line that holds the words, on either stream."""
        await until(lambda: self._find(words) or self.process.returncode is not None)
        return self._find(words) or self._ended(words)

    async def until_ended(self) -> int:
        await until(lambda: self.process.returncode is not None)
        return await self.process.wait()

    def said(self) -> str:
        return "\n".join([*self.printed, *self.complained])

    def _find(self, words: str) -> str | None:
        return next((line for line in [*self.printed, *self.complained] if words in line), None)

    def _ended(self, words: str) -> str:
        raise AssertionError(f"{words!r} never came. There was:\n{self.said()[-3000:]}")


@asynccontextmanager
async def program(command: Command, environment: Mapping[str, str], folder: Path) -> AsyncIterator[Program]:
    """The program, until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    running = Program(process)
    assert process.stdout
    assert process.stderr
    reading = [
        asyncio.create_task(_keep(process.stdout, running.printed)),
        asyncio.create_task(_keep(process.stderr, running.complained)),
    ]
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.fail_after(PATIENCE, shield=True):
            await asyncio.gather(process.wait(), *reading)


async def _keep(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode().rstrip("\n"))  # noqa: PERF401 - each as it comes


@dataclass
class Operated:
    """`atp-gateway serve`, and its operator's command line. `log` is all that it ever printed."""

    process: Process
    base_url: str
    environment: Mapping[str, str]
    folder: Path
    log: Path
    keys: dict[str, str] = field(default_factory=dict)

    async def new_key(self, kind: str, name: str, *options: str) -> str:
        """`atp-gateway keys create … --json`"""
        made = await self.run(atp_gateway("keys", "create", kind, name, *options, "--json"))
        self.keys[name] = json.loads(made)["key"]
        return self.keys[name]

    async def run(self, command: Command) -> str:
        process = await asyncio.create_subprocess_exec(
            *command, env=self.environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        with anyio.fail_after(PATIENCE):
            printed, complained = await process.communicate()
        assert process.returncode == 0, complained.decode()
        return printed.decode()

    @asynccontextmanager
    async def python(self, script: Path, *arguments: str, **environment: str) -> AsyncIterator[Program]:
        """`python SCRIPT`, in a folder of its own: the SDK watches all Python files in the one it is started in."""
        folder = self.folder / f"program_{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ATP_GATEWAY"))}
        command = [sys.executable, str(script), *arguments]
        async with program(command, clean | {"ATP_URL": self.base_url} | environment, folder) as running:
            yield running

    async def until_listed(self, *names: str) -> None:
        """Until a new MCP host is shown these tools, among others; one that stays may keep its list for a minute."""
        with anyio.fail_after(PATIENCE):
            while not set(names) <= set(await self._listed()):
                await a_moment()

    async def _listed(self) -> list[str]:
        async with Client(f"{self.base_url}/mcp") as host:
            return [tool.name for tool in (await host.list_tools()).tools]

    async def call(self, tool: str, **arguments: Any) -> Any:
        """As an MCP host calls it."""
        async with Client(f"{self.base_url}/mcp") as host:
            with anyio.fail_after(PATIENCE):
                return await host.call_tool(tool, arguments)


@asynccontextmanager
async def operated(folder: Path, environment: Mapping[str, str], port: int = 0) -> AsyncIterator[Operated]:
    """The gateway, with nothing kept from its log. Port 0 takes a free one."""
    everything = {"ATP_GATEWAY_LOG_LEVEL": "DEBUG", "ATP_GATEWAY_LOG_REQUESTS": "true", "PYTHONPATH": str(ROOT)}
    environment = {**environment, **everything}
    log = folder / "gateway.log"
    with log.open("wb") as printed:
        process = await asyncio.create_subprocess_exec(
            *atp_gateway("serve", "--port", str(port)), env=environment, stdin=DEVNULL, stdout=printed, stderr=printed
        )
    try:
        await until(lambda: _address(log) or process.returncode is not None)
        base_url = _address(log)
        assert base_url, log.read_text()
        yield Operated(process, base_url, environment, folder, log)
    finally:
        if process.returncode is None:
            process.terminate()
        with anyio.fail_after(PATIENCE, shield=True):
            await process.wait()


def _address(log: Path) -> str | None:
    found = re.search(r"(http://\S+)/mcp\b", log.read_text())
    return found[1] if found else None


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():
            await a_moment()


async def a_moment() -> None:
    with anyio.move_on_after(0.02):
        await anyio.sleep_forever()

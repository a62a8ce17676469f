"""Toolkits in worker processes, and an executor that calls them. One event loop a module: workers belong to theirs."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.access.policy import OnePersonPolicy
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.executor import Executor
from gateway.isolation.process import Terms
from gateway.isolation.processes import Processes
from gateway.toolkit.context import NullChannel
from gateway.toolkit.loader import Loader, LoadReport
from gateway.toolkit.registry import Registry
from gateway.types import Call, Client, Credential, Outcome, Principal

TOKEN = "CNRY-token-5d1c8e-of-ada"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Grants:
    """Answers the executor's one question with a credential."""

    def __init__(self) -> None:
        self.answer: Any = Credential("hubspot", TOKEN, extras={"hub_id": "7"})

    async def credential(self, *_: object, **__: object) -> Any:
        return self.answer

    def describe(self, provider: str) -> None:
        return None


class World:
    """What stands above the workers, made as the app makes it."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.folder = folder
        self.processes = processes
        self.grants = Grants()
        self.registry = Registry()
        self.loader = Loader(self.registry, isolation=processes)
        self.audit = AuditLog(self._write, MovableClock(), interval=3600)
        self.executor = Executor(self.registry, OnePersonPolicy(), self.grants, self.audit)

    def load(self, name: str, text: str) -> LoadReport:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return self.loader.load(str(path))

    async def call(self, tool: str, channel: Any = None, **arguments: Any) -> Outcome:
        call = Call(Principal("local", "ada"), Client("test"), tool, arguments, "1", channel or NullChannel())
        with anyio.fail_after(10):
            return await self.executor.call(call)

    async def value(self, tool: str, channel: Any = None, **arguments: Any) -> Any:
        """What a call that goes well gives."""
        outcome: Any = await self.call(tool, channel, **arguments)
        return outcome.result.structured

    @staticmethod
    def is_alive(pid: int) -> bool:
        """Whether there is such a process. One that nobody has waited for yet counts."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    @staticmethod
    async def moment() -> None:
        """Ten milliseconds."""
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, passed.set)
        await passed.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Look again and again until it holds, for five seconds at most."""
        with anyio.fail_after(5):
            while not holds():
                await self.moment()

    async def _write(self, batch: Any) -> None:
        return None


Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Open a world: workers of `memory` MiB, so many a toolkit, for all toolkits or those of these `names`."""

    @asynccontextmanager
    async def world(
        workers: int = 2, memory: int = 1024, names: frozenset[str] | None = None, **environment: str
    ) -> AsyncIterator[World]:
        terms = Terms({"PATH": os.environ["PATH"], **environment}, memory << 20)
        processes = Processes(terms, names, workers)
        processes.open()
        world = World(tmp_path_factory.mktemp("toolkits"), processes)
        try:
            yield world
        finally:
            await processes.close()
            await world.audit.close()

    return world

"""The real program, `atp-gateway serve`, as a process to be attacked: for one person, or for a team with keys.

A person of a team is "person 0", "person 1", …; each has a key, and whoever is connected has an account at the world's
provider. What it is like inside the process, its tool `census` tells.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from gateway.access.key_rules import Rights
from gateway.app import Gateway
from gateway.key_types import KeyKind
from gateway.types import Principal
from tests.proofs import raw_http
from tests.proofs.raw_http import Line
from tests.proofs.world import Place, World
from tests.warm import atp_gateway

STARTS = 60.0  # seconds
ISSUER = "https://login.example"

TOOLKIT = '''
import asyncio
import os
import threading
import time
import urllib.request

from gateway import ToolKitClient

client = ToolKitClient(app_name="endures")


@client.tool(read_only=True)
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@client.tool(auth_provider="acme", auth_type="OAuth2")
def spend(auth_token: str, seconds: float = 0.0) -> str:
    """Use the token at the provider, slowly if need be."""
    request = urllib.request.Request("ISSUER/userinfo", headers={"Authorization": f"Bearer {auth_token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
    threading.Event().wait(seconds)
    return "spent"


@client.tool(read_only=True)
async def rest(seconds: float) -> str:
    """Take a while."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)
    return "rested"


@client.tool(timeout=600)
def stick() -> str:
    """Never end."""
    threading.Event().wait()
    return "never"


@client.tool(timeout=600)
async def stick_in_a_thread() -> str:
    """Never end, in a thread that is not the gateway's."""
    await asyncio.to_thread(threading.Event().wait)
    return "never"


@client.tool(read_only=True)
async def census() -> dict[str, int]:
    """What there is of the process."""
    with open("/proc/self/statm") as pages:
        resident = int(pages.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "bytes": resident,
        "milliseconds": int(time.process_time() * 1000),
    }
'''


@dataclass
class Served:
    """One process. `log` is what it has said so far."""

    place: Place
    process: asyncio.subprocess.Process
    port: int = 0
    log: list[str] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """A connection, for the block."""
        line = await Line.to(self.port)
        try:
            yield line
        finally:
            line.close()

    async def ask(self, request: bytes) -> raw_http.Answer:
        """Over a connection of its own."""
        async with self.line() as line:
            return await line.ask(request)

    async def census(self, key: str | None = None) -> dict[str, int]:
        answer = await self.ask(raw_http.call(self.port, key, "census"))
        found: dict[str, int] = answer.json["result"]["structuredContent"]
        return found

    async def status_of(self, path: str) -> int:
        """0: nobody answers."""
        try:
            return (await self.ask(raw_http.get(self.port, path))).status
        except ConnectionError:
            return 0

    async def ended(self, seconds: float) -> int:
        """The exit code, which is there by then."""
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
            if self._reading is not None:
                await self._reading
        return code

    async def read_log(self) -> None:
        """Until it says where it serves; the rest is read behind our back."""
        assert self.process.stderr
        stderr = self.process.stderr
        async with asyncio.timeout(STARTS):
            while not (found := re.search(r"at http://127\.0\.0\.1:(\d+)/mcp", "".join(self.log))):
                line = await stderr.readline()
                assert line, f"the gateway did not start: {''.join(self.log)}"
                self.log.append(line.decode())
        self.port = int(found[1])

        async def on() -> None:
            while line := await stderr.readline():
                self.log.append(line.decode())

        self._reading = asyncio.create_task(on())


def environment(place: Place, **settings: str) -> dict[str, str]:
    """Of a command at this place. `settings` are names of the environment in small letters, without the prefix."""
    folder = str(Path(place.clock).parent)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    kept |= {"HOME": folder, "XDG_CONFIG_HOME": folder, "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    chosen = place.environ() | {"ACCESS_KEYS": "true", "LOG_LEVEL": "WARNING"}
    chosen |= {name.upper(): text for name, text in settings.items()}
    return kept | {f"ATP_GATEWAY_{name}": text for name, text in chosen.items()}


@asynccontextmanager
async def served(place: Place, *, command: list[str] | None = None, **settings: str) -> AsyncIterator[Served]:
    """A process that serves for the block; for a team, whose programs show keys, unless the settings say otherwise."""
    folder = Path(place.clock).parent
    toolkit = folder / "endures.py"
    toolkit.write_text(TOOLKIT.replace("ISSUER", place.issuer))
    process = await asyncio.create_subprocess_exec(
        *(command or atp_gateway("serve")),
        str(toolkit),
        env=environment(place, **settings),
        stderr=asyncio.subprocess.PIPE,
    )
    gateway = Served(place, process)
    try:
        await gateway.read_log()
        yield gateway
        if process.returncode is None:
            process.terminate()
            await gateway.ended(STARTS)
    finally:
        if process.returncode is None:
            process.kill()
        await gateway.ended(STARTS)


async def elapse(seconds: float) -> None:
    """Real time, for what is about nothing else: how long a process that stands in no fake clock endures."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


async def until(wanted: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """How many seconds it took until it was so. TimeoutError when that is more than so many."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not await wanted():
            await elapse(0.05)
    return asyncio.get_running_loop().time() - began


def person(number: int) -> Principal:
    return Principal(ISSUER, f"person {number}")


async def keys_for(gateway: Gateway, people: int) -> list[str]:
    """A key for each of so many people."""
    accounts = await gateway.accounts.open()
    made = []
    for number in range(people):
        key, text = await accounts.keys.create(
            KeyKind.PERSON, f"script {number}", by=gateway.principal, owner=person(number), rights=Rights()
        )
        assert key.subject == f"person {number}"
        made.append(text.reveal())
    return made


async def team(world: World, people: int, connected: int = 0) -> list[str]:
    """The keys of so many people, and accounts for the first of them."""
    async with world.gateway() as gateway:
        for number in range(connected):
            await world.connect(gateway, "alice", person(number))
        return await keys_for(gateway, people)


def calls_on_record(database: str) -> Counter[tuple[str | None, str]]:
    """How many calls of which tool are on record, and whether they were `done` or `refused`, for whatever reason."""
    rows = _rows(database, "SELECT tool, outcome FROM audit WHERE action = 'tool.called'")
    return Counter((tool, "done" if outcome == "done" else "refused") for tool, outcome in rows)


def _rows(database: str, query: Any) -> list[Any]:
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
            return connection.execute(query).fetchall()
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()

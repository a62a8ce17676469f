"""The database does not answer: nobody waits long, what needs no record is served, and soon afterwards all is well.

PostgreSQL is stopped, as a machine that hangs, and killed; SQLite is locked by another process. Meanwhile people call
as always. What they were told, what the provider saw and what is on record agree to the last call.
"""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.databases import TEMPLATE, PostgresServer
from tests.proofs import raw_http
from tests.proofs.raw_http import Answer
from tests.proofs.served import Served, calls_on_record, elapse, served, team, until
from tests.proofs.world import World, world_in

BEARABLE = 3.5
"""Seconds: two for the database, and what a busy machine takes."""
BACK_WITHIN = 5.0
PAUSE = 0.1  # seconds between one person's calls


@dataclass
class Crowd:
    """People who call as always. `told`: how often, by tool, what was answered; since the last `begin`, `lately`."""

    gateway: Served
    keys: Sequence[str | None]
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    lately: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: float = 0.0

    def begin(self) -> None:
        self.lately, self.slowest = Counter(), 0.0

    async def ask(self, line: raw_http.Line, key: str | None, tool: str) -> Answer:
        port, began = self.gateway.port, time.monotonic()
        arguments = {"a": 1, "b": 2} if tool == "add" else {}
        answer = await line.ask(
            raw_http.listing(port, key) if tool == "list" else raw_http.call(port, key, tool, **arguments)
        )
        self.slowest = max(self.slowest, time.monotonic() - began)
        assert answer.status != 503 or answer.header("retry-after")
        listed = tool == "list" and answer.status == 200 and "result" in answer.json
        how = "done" if answer.is_done or listed else "refused" if answer.status == 200 else str(answer.status)
        for counted in (self.told, self.lately):
            counted[tool, how] += 1
        return answer

    @asynccontextmanager
    async def calling(self, *tools: str) -> AsyncIterator[None]:
        stop = asyncio.Event()

        async def one(key: str | None) -> None:
            async with self.gateway.line() as line:
                while not stop.is_set():
                    for tool in tools:
                        await self.ask(line, key, tool)
                        await elapse(PAUSE)

        people = [asyncio.create_task(one(key)) for key in self.keys]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*people)

    async def is_well(self) -> bool:
        """Whether everybody's token can be used, and the gateway says that it is ready."""

        async def spend(key: str | None) -> Answer:
            async with self.gateway.line() as line:
                return await self.ask(line, key, "spend")

        answers = await asyncio.gather(*map(spend, self.keys))
        return all(answer.is_done for answer in answers) and await self.is_ready()

    async def is_ready(self) -> bool:
        return await self.gateway.status_of("/readyz") == 200

    async def is_not_ready(self) -> bool:
        return not await self.is_ready()


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Another process writes to the file, and does not come to an end."""
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that is nobody else's."""
    home = Path(tempfile.mkdtemp(prefix="atp-gateway-postgres-"))
    server = PostgresServer(home)
    server.start()
    server.make_template(TEMPLATE)
    yield server
    server.kill()
    shutil.rmtree(home)


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """Connections to it are made, for the kernel does that; and nothing comes back on them."""
    server.signal(signal.SIGSTOP)
    yield
    server.signal(signal.SIGCONT)


@contextmanager
def killed(server: PostgresServer) -> Iterator[None]:
    server.kill()
    yield
    server.start()


async def endures(crowd: Crowd, outage: float) -> None:
    """For so long nobody waits long, and nothing breaks."""
    turned = await until(crowd.is_not_ready, BEARABLE)
    crowd.begin()
    await elapse(outage)
    assert await crowd.gateway.status_of("/healthz") == 200
    assert await crowd.is_not_ready()
    print(f"not ready after {turned:.1f} s; the slowest answer took {crowd.slowest:.1f} s; {dict(crowd.lately)}")
    assert crowd.slowest < BEARABLE
    assert {how for _, how in crowd.lately} <= {"done", "refused", "503"}
    assert not crowd.lately["spend", "done"]


@asynccontextmanager
async def crowd_of(world: World, people: int, **settings: str) -> AsyncIterator[Crowd]:
    """A team whose gateway works. At the end nothing is missing: of what they were told, on record, at the provider."""
    keys = await team(world, people, people)
    before = world.server.count("userinfo")
    async with served(world.place, **settings) as gateway:
        crowd = Crowd(gateway, keys)
        await until(crowd.is_well, BACK_WITHIN)
        yield crowd
        told = {what: count for what, count in crowd.told.items() if what[0] != "list" and what[1] != "503"}

        async def is_on_record() -> bool:
            return calls_on_record(world.place.database) == told

        await until(is_on_record, BACK_WITHIN)
        assert world.server.count("userinfo") - before == told["spend", "done"]


async def test_sqlite_that_another_process_has_locked(tmp_path: Path, sqlite_url: str, full: bool) -> None:
    async with world_in(tmp_path, sqlite_url) as world, crowd_of(world, 20 if full else 4) as crowd:
        async with crowd.calling("list", "add", "spend"):
            with locked(sqlite_url):
                await endures(crowd, 30 if full else 2)
            print(f"well again after {await until(crowd.is_well, BACK_WITHIN):.1f} s")
        assert crowd.lately["list", "done"]
        assert crowd.lately["add", "done"]


async def test_postgresql_that_hangs_or_was_killed(tmp_path: Path, own_postgres: PostgresServer, full: bool) -> None:
    async with (
        world_in(tmp_path, own_postgres.url(own_postgres.create(TEMPLATE))) as world,
        crowd_of(world, 20 if full else 4) as crowd,
        crowd.calling("list", "add", "spend"),
    ):
        for trouble in (stopped, killed):
            with trouble(own_postgres):
                await endures(crowd, 30 if full else 2)
            print(f"well again after {await until(crowd.is_well, BACK_WITHIN):.1f} s")


async def test_one_persons_calls_go_on_without_the_database(tmp_path: Path, own_postgres: PostgresServer) -> None:
    """Their own record is a convenience: it is written when that can be done, and lists have no choice of accounts."""
    async with world_in(tmp_path, own_postgres.url(own_postgres.create(TEMPLATE))) as world:
        async with world.gateway() as gateway:
            await world.connect(gateway)
        async with served(world.place, access_keys="false") as gateway:
            crowd = Crowd(gateway, [None])
            await until(crowd.is_well, BACK_WITHIN)
            with stopped(own_postgres):
                await until(crowd.is_not_ready, BEARABLE)
                crowd.begin()
                async with gateway.line() as line:
                    for tool in ("list", "add", "spend"):
                        assert (await crowd.ask(line, None, tool)).status == 200
            assert crowd.lately == {("list", "done"): 1, ("add", "done"): 1, ("spend", "done"): 1}
            assert crowd.slowest < BEARABLE

"""A gateway is killed after the provider's answer, while its database takes no writes: the connection lives on.

The database is really held: by another's write transaction on SQLite, by a lock on the table on PostgreSQL. Under
strict rotation, so that the answer in the dying process is the only copy of the grant.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest

from gateway.app import Gateway
from gateway.at_rest import pending_folder
from gateway.types import ConnectionStatus
from tests.proofs.processes import GatewayProcess, gateway_process
from tests.proofs.world import EXPIRED, LEASE, World, call, said

Finder = Callable[[World, Gateway], Awaitable[None]]


@contextmanager
def taking_no_writes(url: str) -> Iterator[None]:
    """The database, for the block. Reading goes on."""
    if url.startswith("sqlite:///"):
        holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.close()
    else:
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE connections IN SHARE MODE")
            yield


async def killed_with_an_answer(world: World, process: GatewayProcess) -> Path:
    """What such a process leaves."""
    folder = pending_folder(world.place.settings())
    world.clock.advance(EXPIRED)
    await process.begin("calls")
    await process.hear("ready")
    world.server.gate.close()
    process.say("1")
    await world.server.gate.arrival()
    with taking_no_writes(world.place.database):
        world.server.gate.open()
        found = await written(folder)
        process.signal(signal.SIGKILL)
        await process.hear("ended")
    return found


async def written(folder: Path) -> Path:
    """The one file in the folder, as soon as it is there."""

    def files() -> list[Path]:
        return list(folder.glob("*.bin"))

    with anyio.fail_after(10):
        while not files():
            with anyio.move_on_after(0.02):
                await anyio.sleep_forever()
    [path] = files()
    return path


async def nobody(_: World, __: Gateway) -> None:
    """Until the next start."""


async def upkeep(_: World, neighbour: Gateway) -> None:
    await (await neighbour.accounts.open()).upkeep.once()


async def call_of_a_neighbour(world: World, neighbour: Gateway) -> None:
    world.clock.advance(LEASE)
    assert said(await call(neighbour)) == "alice"


@pytest.mark.parametrize("finds", [nobody, upkeep, call_of_a_neighbour], ids=["start", "upkeep", "call"])
async def test_a_kill_while_the_database_takes_nothing_loses_nothing(world: World, finds: Finder, full: bool) -> None:
    """By the next start, or by another gateway of the machine: without a consent, and after exactly one refresh."""
    async with world.gateway() as neighbour, gateway_process(world.place) as process:
        await world.connect(neighbour)
        for _ in range(10 if full else 1):
            asked, version = world.server.count("refresh", None), (await world.row(neighbour)).version
            path = await killed_with_an_answer(world, process)
            assert path.exists()
            await finds(world, neighbour)

            async with world.gateway() as gateway:
                assert said(await call(gateway)) == "alice"
                row = await world.row(gateway)
                assert (row.status, row.version) == (ConnectionStatus.ACTIVE, version + 1)
                assert await world.refresh_token_is_alive(gateway)
            assert world.server.count("refresh", None) == asked + 1
            assert not path.exists()

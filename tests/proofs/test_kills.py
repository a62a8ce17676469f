"""A gateway process is killed while it refreshes: nothing is stuck, doubled or damaged, and no loss goes unsaid.

With `kill -9`, at random moments and, one after the other, at each place where it looks at its clock. Where replaced
refresh tokens work for a while yet, nothing is lost at all. Under strict rotation a kill between the provider's answer
and our commit loses the grant, whoever the client is: then the person is told, and the row is kept.
"""

# ruff: noqa: T201 - it prints the seed of its random moments

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gateway.app import Gateway
from gateway.types import ConnectionStatus, NeedsConnection
from tests.proofs.processes import GatewayProcess, gateway_process
from tests.proofs.world import EXPIRED, LEASE, World, call, rows, said

WINDOW = timedelta(minutes=5)
LONGEST = 0.25  # seconds until the kill: a refresh takes some milliseconds


@dataclass
class Bystander:
    """Another gateway on the same database, which finds what the killed one left."""

    world: World
    gateway: Gateway
    process: GatewayProcess
    lost: int = 0

    async def recovers(self) -> None:
        """When the lease is over, one refresh mends it; or the person is told, and connects again."""
        asked = self.world.server.count("refresh", None)
        alive = await self.world.refresh_token_is_alive(self.gateway)
        self.world.clock.advance(LEASE)
        outcome = await call(self.gateway)
        [row] = await rows(self.gateway)

        assert self.world.server.count("refresh", None) - asked <= 1
        if isinstance(outcome, NeedsConnection):
            assert not alive, "a grant was given up that the provider had not ended"
            assert row.status is ConnectionStatus.NEEDS_REAUTH
            assert row.status_reason
            assert row.status_reason in outcome.message
            self.lost += 1
            await self.world.connect(self.gateway)
            outcome = await call(self.gateway)
        assert said(outcome) == "alice"
        [row] = await rows(self.gateway)
        assert row.status is ConnectionStatus.ACTIVE


@asynccontextmanager
async def bystander(world: World) -> AsyncIterator[Bystander]:
    async with world.gateway() as gateway, gateway_process(world.place) as process:
        await world.connect(gateway)
        yield Bystander(world, gateway, process)


async def kill_at_random(by: Bystander, points: int) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(points):
        await by.process.begin("refreshing")
        await by.process.hear("ready")
        by.process.kill_in(chance.uniform(0, LONGEST))
        await by.process.hear("ended")
        await by.recovers()
    print(f"seed {seed}: {points} kills, {by.lost} grants lost, each of them said")


async def kill_at_each_look(by: Bystander, most: int) -> int:
    """How many places there are, if there are not more."""
    for look in range(1, most + 1):
        by.world.clock.advance(EXPIRED)
        await by.process.begin("signalled", signal=signal.SIGKILL, look=look)
        heard = await by.process.hear("answer", "ended")
        if "answer" in heard:
            await by.process.hear("ended")
            return look - 1
        await by.recovers()
    return most


@pytest.mark.parametrize("window", [WINDOW, timedelta()], ids=["reuse window", "strict"])
async def test_a_kill_at_any_moment_loses_nothing_in_silence(world: World, window: timedelta, full: bool) -> None:
    world.server.behaviour.reuse_window = window
    async with bystander(world) as by:
        await kill_at_random(by, 200 if full else 3)
        assert not window or by.lost == 0


@pytest.mark.parametrize("window", [WINDOW, timedelta()], ids=["reuse window", "strict"])
async def test_a_kill_at_any_place_loses_nothing_in_silence(world: World, window: timedelta, full: bool) -> None:
    world.server.behaviour.reuse_window = window
    async with bystander(world) as by:
        places = await kill_at_each_look(by, 100 if full else 3)
        print(f"{places} places, {by.lost} grants lost, each of them said")
        assert 3 <= places < 100
        assert not window or by.lost == 0

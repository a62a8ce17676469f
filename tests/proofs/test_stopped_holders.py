"""The process that refreshes is stopped for forty seconds: another takes over, and the first, awake, spoils nothing.

It is stopped at each place where it looks at its clock, in turn; the forty seconds pass on the clock that all share.
"""

# ruff: noqa: T201 - it prints its figures

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from gateway.app import Gateway
from gateway.types import ConnectionStatus, NeedsConnection
from tests.proofs.processes import GatewayProcess, gateway_process
from tests.proofs.world import EXPIRED, World, call, said

STOPPED_FOR = timedelta(seconds=40)
WINDOW = timedelta(minutes=5)


@pytest.mark.parametrize("window", [WINDOW, timedelta()], ids=["reuse window", "strict"])
async def test_a_lease_holder_that_was_stopped_leaves_the_winners_token_alone(
    world: World, window: timedelta, full: bool
) -> None:
    world.server.behaviour.reuse_window = window
    stops, lost, look = 0, 0, 1 if full else 4
    async with world.gateway() as gateway, gateway_process(world.place) as process:
        await world.connect(gateway)
        while stops < (50 if full else 4):
            if not await stops_at(world, process, look):
                look = 0  # there are no more places: from the first one again
            else:
                stops += 1
                if await takes_over(world, gateway, process):
                    lost += 1
                    await world.connect(gateway)
            look += 1
    print(f"{stops} stops, {lost} grants lost")
    assert not window or lost == 0


async def stops_at(world: World, process: GatewayProcess, look: int) -> bool:
    """Whether the process, refreshing, came to that place."""
    world.clock.advance(EXPIRED)
    await process.begin("signalled", signal=signal.SIGSTOP, look=look)
    if "answer" in await process.hear("answer", "stopped"):
        await process.hear("ended")
        return False
    return True


async def takes_over(world: World, gateway: Gateway, process: GatewayProcess) -> bool:
    """Whether the provider had replaced the token already, strictly, so that nobody could take over."""
    alive = await world.refresh_token_is_alive(gateway)
    world.clock.advance(STOPPED_FOR)
    winner = await call(gateway, "which")
    refused = world.server.count("refresh", "invalid_grant")
    before = await world.row(gateway)

    process.signal(signal.SIGCONT)
    await process.hear("answer")
    await process.hear("ended")

    assert world.server.count("refresh", "invalid_grant") == refused, "the one that woke up used a replaced token"
    if isinstance(winner, NeedsConnection):
        assert not alive
        return True
    after = await world.row(gateway)
    assert (after.version, after.status, after.sealed) == (before.version, ConnectionStatus.ACTIVE, before.sealed)
    world.clock.advance(timedelta(seconds=31))  # what is held in memory is read again
    assert said(await call(gateway, "which")) == said(winner)
    assert said(await call(gateway)) == "alice"
    return False

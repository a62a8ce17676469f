"""A thousand calls in four processes want one expired token: the provider is asked once, and nobody waits for long."""

# ruff: noqa: T201 - it prints its figures

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from tests.proofs.processes import GatewayProcess, gateway_process
from tests.proofs.world import EXPIRED, World, call, said

PROCESSES = 4
LATENCY = 0.3  # seconds that the provider takes


async def test_a_thousand_calls_in_four_processes_make_one_refresh(world: World, full: bool) -> None:
    """The count is held; the times are printed, for a machine that has nothing else to do to be judged by.

    What the gateways add is that of the best of several rounds: the others tell of the machine.
    """
    async with world.place.gateway(world.clock) as gateway, AsyncExitStack() as stack:
        await world.connect(gateway)
        processes = [await stack.enter_async_context(gateway_process(world.place)) for _ in range(PROCESSES)]
        await asyncio.gather(*(begun(process) for process in processes))
        for process in processes:  # each has refreshed once: it has found the provider's endpoints
            await rush(world, [process], 1)
        world.server.behaviour.delay = LATENCY
        added = [await rush(world, processes, 250 if full else 50) for _ in range(5 if full else 1)]
        world.server.behaviour.delay = 0.0

        assert said(await call(gateway)) == "alice"
        for process in processes:
            process.say("0")
        print(f"the gateways added {min(added) * 1000:.0f} ms to the provider's {LATENCY * 1000:.0f} ms")


async def begun(process: GatewayProcess) -> None:
    await process.begin("calls")
    await process.hear("ready")


async def rush(world: World, processes: list[GatewayProcess], each: int) -> float:
    """So many calls at once in each process, just after the token has ended. What the p99 is above the provider's time.

    As seconds of a machine that is ours alone: seconds in which others had the processor are taken out by measuring how
    much longer than its own time a piece of work takes right after.
    """
    refreshes = world.server.count("refresh", None)
    world.clock.advance(EXPIRED)
    for process in processes:
        process.say(str(each))
    heard = await asyncio.gather(*(process.hear("answers") for process in processes))
    answers = [answer for one in heard for answer in one["answers"]]

    assert len(answers) == each * len(processes)
    assert world.server.count("refresh", None) - refreshes == 1
    assert len({token for token, _ in answers}) == 1, "they were given different tokens"
    seconds = sorted(seconds for _, seconds in answers)
    p50, p99 = (seconds[len(seconds) * share // 100] for share in (50, 99))
    busy = crowding()
    print(f"{len(answers)} calls: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, machine x {busy:.1f}")
    return (p99 - world.server.behaviour.delay) / busy


def crowding() -> float:
    """How many times longer work takes than the processor spends on it."""
    wall, own = time.perf_counter(), time.process_time()
    while time.process_time() - own < 0.1:  # seconds
        pass
    return (time.perf_counter() - wall) / (time.process_time() - own)

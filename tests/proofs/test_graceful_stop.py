"""SIGTERM under load: what was taken is answered, everything is on record, and the process ends in time, with code 0.

A call that got no answer was never begun. A second SIGTERM ends the process at once, and what it had begun is on record
all the same.
"""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.proofs import raw_http
from tests.proofs.hurried import serving
from tests.proofs.raw_http import CutError
from tests.proofs.served import Served, calls_on_record, elapse, served, team, until
from tests.proofs.world import World

PEOPLE = 5
PAUSE = 0.1
"""Seconds between one person's calls: fifty a second of all together."""
DRAINS = 25.0  # seconds
UNDISTURBED = 0.2  # seconds
SOON = 1.0  # seconds: a fifth of one, and what a busy machine takes


@dataclass
class Caller:
    """Calls on and on, until the gateway hangs up. `told`: what was answered."""

    gateway: Served
    key: str
    told: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def call(self) -> None:
        port = self.gateway.port
        slow = raw_http.call(port, self.key, "spend", seconds=0.3)
        requests = {"add": raw_http.call(port, self.key, "add", a=1, b=2), "spend": slow}
        try:
            async with self.gateway.line() as line:
                while True:
                    for tool, request in requests.items():
                        answer = await line.ask(request)
                        self.told[tool, "done" if answer.is_done else answer.said] += 1
                        await elapse(PAUSE)
        except ConnectionError:
            return


async def stopped_under_load(world: World, keys: list[str], longest: float) -> float:
    """One round, with a call that takes `longest` seconds; how many the process took to end."""
    before, seen = calls_on_record(world.place.database), world.server.count("userinfo")
    async with served(world.place) as gateway:
        callers = [Caller(gateway, key) for key in keys]
        calling = [asyncio.create_task(caller.call()) for caller in callers]

        async def all_have_called() -> bool:
            return all(caller.told["spend", "done"] for caller in callers)

        await until(all_have_called, 20)
        long = asyncio.create_task(gateway.ask(raw_http.call(gateway.port, keys[0], "rest", seconds=longest)))
        await elapse(UNDISTURBED)
        gateway.process.terminate()
        began = time.monotonic()

        async def is_not_ready() -> bool:
            return await gateway.status_of("/readyz") != 200

        turned = await until(is_not_ready, 2)
        assert (await long).is_done, "it had been taken"
        await asyncio.gather(*calling)
        assert await gateway.ended(DRAINS) == 0
        took = time.monotonic() - began
        assert turned < SOON
    told = sum((caller.told for caller in callers), Counter({("rest", "done"): 1}))
    assert {how for _, how in told} == {"done"}
    assert calls_on_record(world.place.database) - before == told
    assert world.server.count("userinfo") - seen == told["spend", "done"]
    return took


async def test_what_was_taken_is_answered_and_on_record(world: World, full: bool) -> None:
    keys = await team(world, PEOPLE, PEOPLE)
    longest = [18.0, *[1.0] * 19] if full else [3.0, 0.5, 0.5]
    took = [await stopped_under_load(world, keys, seconds) for seconds in longest]
    print(f"{len(took)} stops under load, which took {min(took):.1f} to {max(took):.1f} s")


async def test_threads_that_hang_do_not_hold_the_end_up(world: World, full: bool) -> None:
    """Their calls have their time, as all have; then they are left where they are, and the log says where that was."""
    [key] = await team(world, 1)
    async with (
        served(world.place, command=serving(full, drain=0.5)) as gateway,
        gateway.line() as one,
        gateway.line() as other,
    ):
        one.writer.write(raw_http.call(gateway.port, key, "stick"))
        other.writer.write(raw_http.call(gateway.port, key, "stick_in_a_thread"))
        await gateway.ask(raw_http.call(gateway.port, key, "add", a=1, b=2))
        gateway.process.terminate()
        assert await gateway.ended(DRAINS) == 0
    assert "the process ends without its thread" in "".join(gateway.log)
    assert calls_on_record(world.place.database)["stick", "refused"] == 1


async def test_a_second_signal_ends_it_at_once(world: World) -> None:
    [key] = await team(world, 1, 1)
    seen = world.server.count("userinfo")
    async with served(world.place) as gateway, gateway.line() as line:
        line.writer.write(raw_http.call(gateway.port, key, "spend", seconds=15))

        async def is_spending() -> bool:
            return world.server.count("userinfo") > seen

        await until(is_spending, 20)
        gateway.process.terminate()

        async def has_stopped() -> bool:
            return not await gateway.status_of("/healthz")

        await until(has_stopped, 5)
        gateway.process.terminate()
        assert await gateway.ended(2) == -signal.SIGTERM
        with pytest.raises(CutError):
            await line.hear()

"""What the gateway does for connections while nobody calls."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StoreUnavailableError
from gateway.oauth.upkeep import Upkeep


async def test_works_are_done_again_and_again_until_it_is_closed():
    rounds, third = [], asyncio.Event()

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 3:
            third.set()

    upkeep = Upkeep({"work": work}, every=0.001)
    upkeep.start()
    upkeep.start()
    async with asyncio.timeout(5):
        await third.wait()
    await upkeep.close()
    third.clear()
    del rounds[:]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await third.wait()
    assert not rounds


async def test_one_works_failure_leaves_the_others_alone(caplog):
    done = []

    async def buggy() -> None:
        raise KeyError("a bug")

    async def unlucky() -> None:
        raise StoreUnavailableError("The database is away.")

    async def good() -> None:
        done.append(True)

    upkeep = Upkeep({"buggy": buggy, "unlucky": unlucky, "good": good})
    await upkeep.once()
    await upkeep.once()
    assert len(done) == 2
    assert "upkeep of buggy failed" in caplog.text
    assert "upkeep of unlucky failed and will be tried again: The database is away." in caplog.text


async def test_a_slow_work_does_not_hold_up_the_others():
    never, second = asyncio.Event(), asyncio.Event()
    rounds = []

    async def stuck() -> None:
        await never.wait()

    async def good() -> None:
        rounds.append(True)
        if len(rounds) == 2:
            second.set()

    upkeep = Upkeep({"stuck": stuck, "good": good}, every=0.001)
    upkeep.start()
    async with asyncio.timeout(5):
        await second.wait()
    await upkeep.close()

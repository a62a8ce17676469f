"""That the time of a "no" says nothing about why: whether there is such an account, or a key that begins like that.

Functions, not HTTP, whose noise would hide what a patient guesser averages out. The two are timed in turns, so that
what else the machine does falls on both; Welch's t is below 4.5 where they cannot be told apart (dudect, Reparaz et
al. 2017). The slowest tenth is left out: what interrupted it has nothing to do with us.
"""

from __future__ import annotations

import gc
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from math import sqrt

import pytest
from argon2 import PasswordHasher

from gateway.access.keys import Keys
from gateway.access.passwords import Passwords
from gateway.access.throttle import FORGIVEN_AFTER
from gateway.audit import AuditLog
from gateway.errors import KeyRefusedError
from gateway.key_types import KeyKind
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Principal
from tests.access.household import HOME, OURS, Household, household

ADMIN = Principal("local", "ada")
TELLING = 4.5

Refuse = Callable[[], Awaitable[object]]


@pytest.fixture
async def house(sqlite_url: str) -> AsyncIterator[Household]:
    store = await Store.open(sqlite_url)
    async with household(store) as made:
        yield made
    await store.close()


async def welch(one: Refuse, other: Refuse, rounds: int) -> float:
    """Welch's t of how long the two take, of so many calls of each."""
    times: tuple[list[int], list[int]] = [], []
    for number in range(rounds):
        for which, act in enumerate((one, other) if number % 2 else (other, one)):
            started = time.perf_counter_ns()
            await act()
            times[which if number % 2 else 1 - which].append(time.perf_counter_ns() - started)
    longest = statistics.quantiles((*times[0], *times[1]), n=10)[-1]
    kept = [[each for each in taken if each < longest] for taken in times]
    means = [statistics.fmean(taken) for taken in kept]
    spread = sqrt(sum(statistics.variance(taken) / len(taken) for taken in kept))
    return (means[0] - means[1]) / spread


@pytest.fixture(autouse=True)
def no_garbage_collection() -> object:
    gc.disable()
    yield
    gc.enable()


async def test_an_unknown_person_is_refused_no_sooner_than_a_wrong_password(house: Household, full: bool) -> None:
    accounts, wrong = house.accounts, Secret("not the password at all")
    accounts._passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=4096, parallelism=1))  # milliseconds each
    await house.member("ada@example.com")

    async def refused(email: str) -> None:
        house.clock.advance(FORGIVEN_AFTER + timedelta(minutes=30))  # or nobody would be let try so often
        assert await accounts.by_password(email, wrong, HOME) is None

    await refused("warm@example.com")
    t = await welch(lambda: refused("ada@example.com"), lambda: refused("eve@example.com"), 2_000 if full else 60)

    assert abs(t) < TELLING


async def test_a_key_that_begins_like_one_is_refused_no_sooner_than_one_that_does_not(
    house: Household, full: bool
) -> None:
    store, audit = house.store, AuditLog(house.store.audit.append, house.clock)
    keys = Keys(store.keys, audit, house.clock)
    _, text = await keys.create(KeyKind.PERSON, "script", by=ADMIN, owner=Principal(OURS, "ada"))
    right = text.reveal()
    near, unknown = right[:-2] + ("xy" if right[-2:] != "xy" else "yx"), "atpg_person_" + secrets.token_hex(22)[:43]

    async def refused(key: str) -> None:
        assert isinstance(await keys.find(key, KeyKind.PERSON), KeyRefusedError)

    await refused(unknown)
    t = await welch(lambda: refused(near), lambda: refused(unknown), 2_000 if full else 200)

    assert abs(t) < TELLING
    await keys.close()
    await audit.close()

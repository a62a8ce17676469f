"""What a gateway says of itself to the others of its database, and how long that is good for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.clock import MovableClock
from gateway.errors import StoreUnavailableError
from gateway.key_types import ApiKey, KeyKind
from gateway.remote.elsewhere import Elsewhere
from gateway.remote.replicas import BEAT, GONE, Replicas
from gateway.toolkit.remote_tool import RemoteTool
from gateway.toolkit.replica import Held, Replica

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OWN, OTHER = Replica("a", "http://10.0.0.1:8787"), Replica("b", "http://10.0.0.2:8787")
HELD = frozenset({Held("default", "crm", "k1")})
NOTHING = frozenset[Held]()


def of(rows, own, clock):
    return Replicas(rows, own, Elsewhere(lambda _: [bytes(32)], clock), clock)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
async def two(store, clock):
    """Two gateways, and a toolkit that there is."""
    await store.keys.insert(ApiKey("k1", KeyKind.TOOLKIT, "crm", "default", "atpg_toolkit_a", NOW), b"1")
    await store.remote.edit("default", "crm", "find", lambda *_: RemoteTool("default", "crm", "find", NOW), most=9)
    return of(store.replicas, OWN, clock), of(store.replicas, OTHER, clock)


async def holders(replicas):
    return [holding.replica for holding in (await replicas.look()).holdings]


async def test_what_is_said_again_and_again_stays_good(two, clock):
    one, other = two
    for _ in range(8):
        await one.say(HELD)
        clock.advance(BEAT)
    assert await holders(other) == [OWN]

    clock.advance(GONE)
    assert await holders(other) == []


async def test_whoever_was_taken_for_gone_says_it_anew(store, two, clock):
    one, other = two
    await one.say(HELD)
    await store.replicas.leave(OWN)
    clock.advance(BEAT)
    await one.say(HELD)

    assert await holders(other) == [OWN]


async def test_nothing_is_written_while_there_is_nothing_to_say(store, two, clock):
    one, other = two
    for _ in range(3):
        await one.say(NOTHING)
        clock.advance(GONE)
    assert not await store.replicas.beat(OWN, NOW)

    await one.say(HELD)
    await one.say(NOTHING)
    assert await holders(other) == []
    assert not await store.replicas.beat(OWN, NOW)


class Failing:
    """A database that is away."""

    def __getattr__(self, name):
        async def fail(*_):
            raise StoreUnavailableError("away")

        return fail


async def test_what_may_or_may_not_have_been_written_is_written_again(store, two):
    one, other = two
    await one.say(HELD)
    rows, one._rows = one._rows, Failing()
    with pytest.raises(StoreUnavailableError):
        await one.say(NOTHING)
    await store.replicas.leave(OWN)  # it was: only the answer was lost
    one._rows = rows
    await one.say(HELD)

    assert await holders(other) == [OWN]


async def test_what_could_not_be_written_is_written_the_next_time(two):
    one, other = two
    rows = one._rows
    for held, found in ((HELD, [OWN]), (NOTHING, [])):
        one._rows = Failing()
        with pytest.raises(StoreUnavailableError):
            await one.say(held)
        one._rows = rows
        await one.say(held)
        assert await holders(other) == found


async def test_a_clock_that_is_set_back_ends_nothing(two, clock):
    one, other = two
    await one.say(HELD)
    clock.advance(timedelta(hours=-1))
    await one.say(HELD)

    assert await holders(other) == [OWN]


async def test_whoever_leaves_takes_it_back(two):
    one, other = two
    await one.say(HELD)
    await one.close()

    assert await holders(other) == []

"""What the gateway does for connections while nobody calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse

from gateway.clock import MovableClock
from gateway.errors import StoreUnavailableError
from gateway.oauth.grant_life import of_new_grant
from gateway.oauth.identity import Account
from gateway.oauth.keep_alive import KeepAlive
from gateway.oauth.upkeep import Upkeep
from gateway.secret import Secret
from gateway.testing.serving import serving
from gateway.types import AuditEvent, ConnectionStatus, Credential, CredentialKind, Principal, TokenSet
from tests.oauth.conftest import ALICE, SETTINGS, House


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


# Connections that nobody uses


DAY = timedelta(days=1)
YEAR = 365 * DAY


class Aging:
    """A token endpoint whose grants end of idleness, or of age: the rules in real time, kept by the test's clock."""

    def __init__(self, clock: MovableClock, *, idle: timedelta = YEAR, absolute: timedelta = YEAR) -> None:
        self.clock, self.idle, self.absolute = clock, idle, absolute
        self.began = self.used = clock.now()
        self.told = False
        """Whether answers name the end of the refresh token."""

    @property
    def is_alive(self) -> bool:
        now = self.clock.now()
        return now - self.used < self.idle and now - self.began < self.absolute

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse(*self._answer())(scope, receive, send)

    def _answer(self) -> tuple[dict[str, object], int]:
        if not self.is_alive:
            return {"error": "invalid_grant"}, 400
        self.used = self.clock.now()
        answer = {"access_token": "new", "token_type": "bearer", "expires_in": 3600, "refresh_token": "newer"}
        ends = min(self.used + self.idle, self.began + self.absolute) - self.used
        return answer | ({"refresh_token_expires_in": int(ends.total_seconds())} if self.told else {}), 200


class Unattended:
    """A grant at such a provider, connected a moment ago, and the upkeep of its gateway."""

    def __init__(self, house: House, server: Aging) -> None:
        self.house, self.server = house, server
        self.keeper = KeepAlive(house.store.due, house.refresher, house.audit, house.clock)

    async def begin(self, principal: Principal = ALICE) -> None:
        house, now = self.house, self.house.clock.now()
        app = await house.apps.get("acme")
        self.server.began = self.server.used = now
        ends = now + min(self.server.idle, self.server.absolute) if self.server.told else None
        life = of_new_grant(app, now=now, told=ends, renewable=True)
        tokens = TokenSet(Secret("first"), Secret("refresh"), now + timedelta(hours=1))
        account = Account("account-1", "alice")
        await house.grants.put(principal, "acme", CredentialKind.OAUTH2, account, tokens, life=life)

    async def warnings(self) -> list[AuditEvent]:
        await self.house.audit.flush()
        events = await self.house.store.audit.list_latest(ALICE, 1000)
        return [event for event in events if event.action == "connection.ending_soon"]


@pytest.fixture
def unattended(house_of, clock):
    @asynccontextmanager
    async def make(refresh: Mapping[str, object], server: Aging, *, testing: bool = False):
        async with serving(server) as url:
            table = {"authorization_url": f"{url}/a", "token_url": f"{url}/t", "refresh": refresh}
            async with house_of(table, replace(SETTINGS, testing=testing)) as house:
                one = Unattended(house, server)
                await one.begin()
                yield one

    return make


RULES = {
    "Google": ({"rotates": "no", "idle": 183 * 86400, "testing": 7 * 86400}, {"idle": 183 * DAY}, False),
    "Google, testing": ({"rotates": "no", "idle": 183 * 86400, "testing": 7 * 86400}, {"absolute": 7 * DAY}, True),
    "Microsoft 365": ({"rotates": "optional", "idle": 90 * 86400}, {"idle": 90 * DAY}, False),
    "Microsoft 365, single page": ({"rotates": "yes", "absolute": 86400}, {"absolute": DAY}, False),
    "HubSpot": ({"rotates": "optional"}, {}, False),
    "Salesforce, idle for 30 days": ({"rotates": "optional", "idle": 30 * 86400}, {"idle": 30 * DAY}, False),
    "one that ends after 60 days": ({"rotates": "yes", "absolute": 60 * 86400}, {"absolute": 60 * DAY}, False),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
async def test_in_ninety_days_without_a_call_no_connection_ends_unforeseen(unattended, clock, rule):
    """And each end that cannot be helped is said 72 hours ahead, or half a life where that is shorter."""
    refresh, limits, testing = rule
    async with unattended(refresh, Aging(clock, **limits), testing=testing) as one:
        began, ended = clock.now(), None
        while ended is None and clock.now() < began + 92 * DAY:
            clock.advance(timedelta(hours=3))
            await one.keeper.look_after()
            ended = None if one.server.is_alive else clock.now()
        warned = await one.warnings()
        if ended is None:
            assert warned == []
            assert isinstance(await one.house.credential(), Credential)
        else:
            end = began + one.server.absolute
            assert len(warned) == 1
            assert end - warned[0].at >= min(timedelta(hours=72), one.server.absolute / 2 - timedelta(hours=3))
            assert warned[0].outcome == f"ends_on_{end:%Y-%m-%d}"
            assert (await one.house.row()).warned_at == warned[0].at


async def test_an_end_that_an_answer_names_and_a_refresh_moves_on_is_moved_and_not_warned_of(unattended, clock):
    server = Aging(clock, idle=7 * DAY)
    server.told = True
    async with unattended({"rotates": "yes"}, server) as one:
        for _ in range(40 * 8):
            clock.advance(timedelta(hours=3))
            await one.keeper.look_after()
        assert server.is_alive
        assert await one.warnings() == []


async def test_an_end_that_an_answer_names_and_nothing_moves_is_warned_of_once(unattended, clock):
    server = Aging(clock, absolute=30 * DAY)
    server.told = True
    async with unattended({"rotates": "yes"}, server) as one:
        for _ in range(29 * 8):
            clock.advance(timedelta(hours=3))
            await one.keeper.look_after()
        assert len(await one.warnings()) == 1


async def test_connecting_again_begins_a_new_life_with_a_new_warning(unattended, clock):
    async with unattended({"absolute": 7 * 86400}, Aging(clock, absolute=7 * DAY)) as one:
        for _ in range(2):
            clock.advance(4 * DAY)
            await one.keeper.look_after()
            await one.begin()
            assert (await one.house.row()).warned_at is None
        assert len(await one.warnings()) == 2


async def test_a_renewal_that_fails_is_put_off_and_does_not_stand_in_the_way(unattended, clock):
    async with unattended({"idle": 10 * 86400}, Aging(clock)) as one:
        clock.advance(9 * DAY)
        async with serving(_down) as url:
            table = {"authorization_url": f"{url}/a", "token_url": f"{url}/t"}
            down = House(one.house.store, one.house.vault, clock, {"acme": table}, SETTINGS)
            await KeepAlive(down.store.due, down.refresher, down.audit, clock).look_after()
            await down.close()
        row = await one.house.row()
        assert (row.status, row.failures) == (ConnectionStatus.ACTIVE, 1)
        assert timedelta(minutes=15) <= row.renew_at - clock.now() <= timedelta(minutes=30)


async def test_of_several_processes_one_renews_and_one_warns(unattended, clock):
    async with unattended({"idle": 10 * 86400, "absolute": 20 * 86400}, Aging(clock, idle=10 * DAY)) as one:
        keepers = [KeepAlive(one.house.store.due, one.house.refresher, one.house.audit, clock) for _ in range(3)]
        clock.advance(9 * DAY)
        await asyncio.gather(*(keeper.look_after() for keeper in keepers))
        assert (await one.house.row()).version == 2
        clock.advance(9 * DAY)
        await asyncio.gather(*(keeper.look_after() for keeper in keepers))
        assert len(await one.warnings()) == 1


async def _down(scope: Any, receive: Any, send: Any) -> None:
    await JSONResponse({"error": "temporarily_unavailable"}, 503)(scope, receive, send)

"""A refresh under everything that can happen to it, on each database: outages, crashes, pauses, other processes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from gateway.clock import MovableClock, SharedClock
from gateway.errors import ProviderMisconfiguredError, ProviderUnavailableError, TokenRefusedError
from gateway.oauth.identity import Account
from gateway.oauth.leases import BusyError, Leases
from gateway.oauth.refresher import Refresher
from gateway.oauth.setbacks import MISCONFIGURED_FOR
from gateway.secret import Secret
from gateway.types import (
    ConnectionStatus,
    Credential,
    CredentialKind,
    NeedsConnection,
    Principal,
    Requirement,
    TokenSet,
)
from tests.oauth.conftest import ALICE, BOB, SETTINGS, House, call_of

EXPIRED = timedelta(hours=2)
NEARLY = timedelta(minutes=57)
KEY = Requirement("my_service", CredentialKind.API_KEY)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request) -> str:
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def other(house, clock, issuer):
    """Another process's gateway on the same database."""
    other = House(house.store, house.vault, clock, {}, replace(SETTINGS, issuer=issuer))
    yield other
    await other.close()


class Rows:
    """The leases, with something happening after the first claim, as if the process had been stopped there."""

    def __init__(self, rows, meanwhile) -> None:
        self._rows = rows
        self._meanwhile = meanwhile
        self.claims = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    async def claim(self, *arguments, **named):
        claimed = await self._rows.claim(*arguments, **named)
        self.claims += claimed is not None
        if claimed is not None and self.claims == 1:
            await self._meanwhile()
        return claimed


def refresher(house: House, rows: Any) -> Refresher:
    return Refresher(
        rows, house.grants, house.unstored, apps=house.apps, client=house.client, audit=house.audit, clock=house.clock
    )  # fmt: skip


async def outcomes(house: House, action: str) -> list[str]:
    await house.audit.flush()
    return [event.outcome for event in await house.store.audit.list_latest(ALICE, 1000) if event.action == action]


# Outages


async def test_ten_minutes_of_outage_cost_nobody_a_connection_and_burden_nobody(house, server, clock):
    await house.connect()
    clock.advance(NEARLY)
    attempts: list[int] = []
    for second in range(600):
        before, row = server.count("refresh", None), await house.row()
        if row.refresh_not_before is None or row.refresh_not_before <= clock.now():
            server.fail_next()
        outcome = await house.credential()
        await house.refresher.close()
        alive = second < 180
        assert isinstance(outcome, Credential if alive else ProviderUnavailableError), second
        attempts += [second] * (server.count("refresh", None) - before)
        clock.advance(timedelta(seconds=1))
    assert len(attempts) > 10
    assert min(later - earlier for earlier, later in pairwise(attempts)) >= 30
    assert (await house.row()).status is ConnectionStatus.ACTIVE
    clock.advance(timedelta(seconds=35))
    assert isinstance(await house.credential(), Credential)
    assert (await house.row()).failures == 0


async def test_a_back_off_binds_the_other_processes_too(house, other, server, clock):
    await house.connect()
    clock.advance(EXPIRED)
    server.fail_next()
    assert isinstance(await house.credential(), ProviderUnavailableError)
    refused = await other.credential()
    assert isinstance(refused, ProviderUnavailableError)
    assert "try again in 3" in str(refused)
    assert server.count("refresh", None) == 1


async def test_waiters_share_one_error(house, server, clock):
    await house.connect()
    clock.advance(EXPIRED)
    server.fail_next(times=10)
    found = await asyncio.gather(*(house.credential() for _ in range(50)))
    assert {type(one) for one in found} == {ProviderUnavailableError}
    assert server.count("refresh", None) == 1


async def test_a_provider_down_for_several_people_is_asked_for_one_of_them_at_a_time(house, server, clock):
    people = [Principal(ALICE.issuer, f"person-{number}") for number in range(6)]
    for person in people:
        await house.connect(principal=person)
    clock.advance(EXPIRED)
    server.fail_next(times=4)
    for person in people:
        assert isinstance(await house.credential(principal=person), ProviderUnavailableError)
    assert server.count("refresh", None) == 3
    clock.advance(timedelta(seconds=35))
    found = await asyncio.gather(*(house.credential(principal=person) for person in people))
    assert {type(one) for one in found} == {ProviderUnavailableError}
    assert server.count("refresh", None) == 4
    clock.advance(timedelta(seconds=35))
    assert isinstance(await house.credential(principal=people[5]), Credential)
    found = [await house.credential(principal=person) for person in people]
    assert all(isinstance(one, Credential) for one in found)


# Our own mistakes


async def test_a_bad_registration_is_the_operators_and_is_not_asked_about_for_each_person(house, server, clock, caplog):
    await house.connect()
    await house.connect(user="bob", principal=BOB)
    clock.advance(EXPIRED)
    server.fail_next(status=401, body={"error": "invalid_client"})
    assert isinstance(await house.credential(), ProviderMisconfiguredError)
    assert isinstance(await house.credential(principal=BOB), ProviderMisconfiguredError)
    assert server.count("refresh", None) == 1
    assert await outcomes(house, "provider.misconfigured") == ["invalid_client"]
    assert "[providers.acme]" in caplog.text
    assert (await house.row()).status is ConnectionStatus.ACTIVE
    clock.advance(MISCONFIGURED_FOR)
    assert isinstance(await house.credential(principal=BOB), Credential)


async def test_a_mistake_about_one_connection_does_not_stop_the_others(house, server, clock):
    await house.connect()
    await house.connect(user="bob", principal=BOB)
    clock.advance(EXPIRED)
    server.fail_next(status=400, body={"error": "invalid_scope"})
    assert isinstance(await house.credential(), ProviderMisconfiguredError)
    assert isinstance(await house.credential(principal=BOB), Credential)


# The refresh token before


async def hold(house: House, refresh: str, previous: str, *, replaced: timedelta) -> None:
    tokens = TokenSet(
        Secret("old"), Secret(refresh), house.clock.now(), frozenset(),
        previous_refresh_token=Secret(previous), replaced_at=house.clock.now() - replaced,
    )  # fmt: skip
    await house.grants.put(ALICE, "acme", CredentialKind.OAUTH2, Account("account-1", "alice"), tokens)


def table(issuer: str, **refresh: Any) -> dict[str, Any]:
    return {"authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token", "refresh": refresh}


@pytest.mark.parametrize(
    ("refresh", "replaced", "tries"),
    [
        ({"grace": 600}, timedelta(minutes=9), 2),
        ({"grace": 600}, timedelta(minutes=10), 1),
        ({"grace_until_used": True}, timedelta(days=9), 2),
        ({}, timedelta(0), 1),
    ],
)
async def test_the_token_before_is_tried_once_and_only_in_a_documented_grace(
    house_of, server, issuer, *, refresh, replaced, tries
):
    former = server.issue("alice", client_id="our id").refresh_token
    async with house_of(table(issuer, **refresh)) as house:
        await hold(house, "unknown", former, replaced=replaced)
        found = await house.credential()
        assert (server.count("refresh", "invalid_grant"), server.count("refresh")) == (1, tries - 1)
        assert isinstance(found, Credential if tries == 2 else NeedsConnection)


async def test_the_token_before_is_kept_until_its_successor_was_used(house, server, clock):
    server.behaviour.rotates = True
    await house.connect()
    kept = []
    for _ in range(3):
        opened = await house.grants.open(await house.row())
        kept.append((opened.refresh_token, opened.previous_refresh_token))
        clock.advance(EXPIRED)
        await house.credential()
    assert [previous for _, previous in kept] == [None, kept[0][0], kept[1][0]]
    server.behaviour.rotates = False
    for _ in range(2):
        clock.advance(EXPIRED)
        await house.credential()
    assert (await house.grants.open(await house.row())).previous_refresh_token is None


# Outcomes that nobody saw


async def test_a_loss_after_a_crash_is_said_in_words_and_never_silent(house, server, clock):
    await house.connect()
    clock.advance(EXPIRED)
    row, now = await house.row(), clock.now()
    assert await house.store.leases.claim(row, owner="killed", now=now, until=now + timedelta(seconds=30))
    server.grants.revoke_all("alice")  # the provider had rotated, and takes the old token for a stolen one
    clock.advance(timedelta(seconds=31))
    found = await house.credential()
    assert isinstance(found, NeedsConnection)
    assert "An earlier renewal broke off" in found.message
    assert await outcomes(house, "connection.needs_reauth") == ["crash_or_timeout_during_refresh"]


async def test_a_refusal_without_a_crash_is_not_called_one(house, server, clock):
    await house.connect()
    clock.advance(EXPIRED)
    server.grants.revoke_all("alice")
    assert "broke off" not in (await house.credential()).message
    assert await outcomes(house, "connection.needs_reauth") == ["invalid_grant"]


async def test_after_an_answer_that_never_came_the_same_token_is_tried_again(house, server, clock):
    await house.connect()
    clock.advance(EXPIRED)
    server.fail_next(status=504)
    assert isinstance(await house.credential(), ProviderUnavailableError)
    assert (await house.row()).refresh_started_at == clock.now()
    clock.advance(timedelta(seconds=35))
    assert isinstance(await house.credential(), Credential)
    assert (await house.row()).refresh_started_at is None


# Pauses


async def test_a_holder_that_was_stopped_sends_nothing_on_its_old_lease(house, server, clock):
    async def pause() -> None:
        clock.advance(timedelta(seconds=16))

    await house.connect()
    clock.advance(EXPIRED)
    rows = Rows(house.store.leases, pause)
    assert (await refresher(house, rows).refreshed(await house.row())).version == 2
    assert (rows.claims, server.count("refresh", None)) == (2, 1)


async def test_a_holder_that_was_stopped_for_long_leaves_the_winners_token_intact(house, other, server, clock):
    server.behaviour.rotates = True

    async def pause() -> None:
        clock.advance(timedelta(seconds=40))
        assert isinstance(await other.credential(), Credential)

    await house.connect()
    clock.advance(EXPIRED)
    renewed = await refresher(house, Rows(house.store.leases, pause)).refreshed(await house.row())
    assert (renewed.version, server.count("refresh", None)) == (2, 1)
    clock.advance(EXPIRED)
    assert isinstance(await house.credential(), Credential), "the family lives"


async def test_replicas_whose_machines_disagree_about_the_time_agree_about_a_lease(house, store, clock, database):
    """On SQLite they share a machine, and cannot."""
    row = await house.hold()
    clocks = [SharedClock(MovableClock(clock.now() + timedelta(minutes=minutes))) for minutes in (-5, 5)]
    if database.startswith("sqlite"):
        clocks = [SharedClock(clock), SharedClock(clock)]
    for each in clocks:
        each.ahead = await store.ahead(each)
    first, second = (Leases(store.leases, each) for each in clocks)
    lease = await first.claim(row)
    waiting = asyncio.create_task(second.claim(row))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done
    await store.leases.give_back(lease.row, failures=1, not_before=clock.now() + timedelta(minutes=10), in_doubt=False)
    with pytest.raises(BusyError):
        await waiting


# A token that was turned down


async def test_however_many_callers_were_refused_a_version_is_renewed_once(house, other, server, clock):
    await house.connect()
    refused = await house.credential()
    call, need = call_of(), Requirement("acme")
    each = [one.broker.credential(call, need, refused=refused) for one in (house, other) for _ in range(25)]
    found = await asyncio.gather(*each)
    assert {(one.version, one.token == refused.token) for one in found} == {(2, False)}
    assert server.count("refresh", None) == 1
    clock.advance(timedelta(minutes=1))
    late = await house.broker.credential(call, need, refused=refused)
    assert (late.version, server.count("refresh", None)) == (2, 1)


async def test_a_token_refused_right_after_it_was_renewed_is_no_reason_for_a_loop(house, server, clock):
    await house.connect()
    call, need = call_of(), Requirement("acme")
    second = await house.broker.credential(call, need, refused=await house.credential())
    again = await house.broker.credential(call, need, refused=second)
    assert isinstance(again, TokenRefusedError)
    assert "Acme has only just renewed the access" in str(again)
    assert server.count("refresh", None) == 1
    clock.advance(timedelta(minutes=1))
    assert (await house.broker.credential(call, need, refused=second)).version == 3


async def test_a_refused_key_is_asked_for_again(house):
    call = call_of()
    asked = await house.broker.credential(call, KEY)
    await house.flows.submit_key(asked.flow_id, ALICE, Secret("the-key"))
    refused = await house.broker.credential(call, KEY)
    found = await house.broker.credential(call, KEY, refused=refused)
    assert isinstance(found, NeedsConnection)
    assert found.message.startswith("my_service does not accept what was entered any more.")
    assert isinstance(await house.broker.credential(call, KEY), NeedsConnection)
    assert await outcomes(house, "connection.needs_reauth") == ["token_refused"]


async def test_refused_access_that_cannot_be_renewed_is_asked_for_again(house, server):
    server.behaviour.refreshable = False
    await house.connect()
    found = await house.broker.credential(call_of(), Requirement("acme"), refused=await house.credential())
    assert isinstance(found, NeedsConnection)
    assert "Acme does not accept the access that it gave any more." in found.message
    assert server.count("refresh", None) == 0


async def test_an_outage_while_a_refused_token_is_renewed_is_said(house, server):
    await house.connect()
    server.fail_next()
    found = await house.broker.credential(call_of(), Requirement("acme"), refused=await house.credential())
    assert isinstance(found, ProviderUnavailableError)

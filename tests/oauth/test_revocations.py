"""Ending grants at the provider: tried at once, tried again, for a day, across restarts; and the receipt for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from gateway.oauth.identity import Account
from gateway.secret import Secret
from gateway.types import CredentialKind, NeedsConnection, Principal, TokenSet
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.oauth.conftest import ALICE, BOB, SETTINGS, House, http
from tests.warm import python

OK, DOWN = http("200 OK", b""), http("500 Internal Server Error", {"error": "server_error"})


def table(url: str, **revocation: object) -> dict[str, object]:
    return {
        "authorization_url": f"{url}/a",
        "token_url": f"{url}/token",
        "access_page": "https://acme.example/apps",
        "revocation": {"url": f"{url}/revoke", **revocation},
    }


@pytest.fixture
def acme(endpoint, house_of):
    """A house whose acme is the scripted endpoint; what its revocation is like is given."""
    scripted, url = endpoint

    @asynccontextmanager
    async def make(**revocation: object):
        async with house_of(table(url, **revocation)) as house:
            yield house, scripted

    return make


def asked(scripted) -> list[tuple[str, dict[str, list[str]]]]:
    """Each request's first line, and its form."""
    parts = [request.partition(b"\r\n\r\n") for request in scripted.requests]
    return [(head.decode().partition("\r\n")[0], parse_qs(body.decode())) for head, _, body in parts]


async def outbox(house, clock) -> int:
    return len(await house.store.revocations.list_due(clock.now() + timedelta(days=2), 100))


async def test_a_provider_that_fails_twice_is_told_at_the_third_try(acme, clock):
    async with acme() as (house, scripted):
        connection = await house.hold()
        scripted.reply = DOWN
        receipt = await house.connections.disconnect(ALICE, connection.id)
        assert (receipt.revoked_at_provider, receipt.retried_until) == ("retrying", clock.now() + timedelta(hours=24))
        assert isinstance(await house.credential(), NeedsConnection), "no new use, at once"
        assert await house.revocations.settle() == 0, "not yet due"
        assert len(scripted.requests) == 1
        clock.advance(timedelta(seconds=40))
        assert await house.revocations.settle() == 0
        scripted.reply = OK
        clock.advance(timedelta(minutes=3))
        assert await house.revocations.settle() == 1
        assert [form["token"] for _, form in asked(scripted)] == [["old-refresh-token"]] * 3
        assert await outbox(house, clock) == 0
        assert "connection.revoked" in await house.actions()


async def test_after_a_day_the_tokens_are_shredded_whatever_the_provider_says(acme, clock):
    async with acme() as (house, scripted):
        scripted.reply = DOWN
        await house.connections.disconnect(ALICE, (await house.hold()).id)
        for _ in range(30):
            clock.advance(timedelta(hours=1))
            await house.revocations.settle()
        assert 8 < len(scripted.requests) < 20, "ever more seldom"
        assert await outbox(house, clock) == 0
        events = {event.action: event.outcome for event in await _events(house)}
        assert events["connection.not_revoked"] == "given_up"


async def _events(house):
    await house.audit.flush()
    return await house.store.audit.list_latest(ALICE)


async def test_a_grant_that_the_provider_does_not_know_any_more_has_ended(acme):
    async with acme() as (house, scripted):
        scripted.reply = http("400 Bad Request", {"error": "invalid_token"})
        receipt = await house.connections.disconnect(ALICE, (await house.hold()).id)
        assert receipt.revoked_at_provider == "yes"


async def test_a_no_with_status_200_is_not_taken_for_a_yes(acme):
    async with acme() as (house, scripted):
        scripted.reply = http("200 OK", {"ok": False, "error": "ratelimited"})
        receipt = await house.connections.disconnect(ALICE, (await house.hold()).id)
        assert receipt.revoked_at_provider == "retrying"


@pytest.mark.parametrize(("told", "minutes"), [("600", 10), ("86400", 15), ("soon", 1), ("-5", 1)])
async def test_a_provider_that_says_when_to_ask_again_is_left_alone_until_then(acme, clock, told, minutes):
    """RFC 9110 section 10.2.3. At most a quarter of an hour is believed, and nonsense is not."""
    async with acme() as (house, scripted):
        scripted.reply = http("429 Too Many Requests", {"error": "slow_down"}, f"Retry-After: {told}")
        await house.connections.disconnect(ALICE, (await house.hold()).id)
        scripted.reply = OK
        wait = timedelta(minutes=minutes)
        clock.advance(wait - timedelta(seconds=40))
        assert await house.revocations.settle() == 0
        clock.advance(timedelta(seconds=40))
        assert await house.revocations.settle() == 1


async def test_a_process_killed_in_the_middle_leaves_the_rest_to_the_next(endpoint, database, clock, store):
    scripted, url = endpoint
    scripted.drip = True  # it takes the request and never answers
    key = new_key()
    work = {"database": database, "key": key.reveal(), "now": clock.now().isoformat(), "table": table(url)}
    child = await asyncio.create_subprocess_exec(
        *python(Path(__file__).with_name("disconnector.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    child.stdin.write(json.dumps(work).encode() + b"\n")
    async with asyncio.timeout(30):
        await scripted.asked.wait()
    child.send_signal(signal.SIGKILL)
    async with asyncio.timeout(30):
        await child.communicate()
    scripted.drip, scripted.reply = False, OK
    house = House(store, Vault(Keyring([key])), clock, {"acme": table(url)}, SETTINGS)
    assert await house.connections.list(ALICE) == []
    clock.advance(timedelta(minutes=2))
    assert await house.revocations.settle() == 1
    assert asked(scripted)[-1][1]["token"] == ["old-refresh-token"]
    assert await outbox(house, clock) == 0
    await house.close()


async def test_several_who_empty_the_outbox_ask_the_provider_once(acme, clock):
    async with acme() as (house, scripted):
        scripted.reply = DOWN
        await house.connections.disconnect(ALICE, (await house.hold()).id)
        scripted.reply = OK
        clock.advance(timedelta(minutes=2))
        assert sum(await asyncio.gather(*(house.revocations.settle() for _ in range(5)))) == 1
        assert len(scripted.requests) == 2


async def test_tokens_in_the_outbox_open_in_their_own_row_only(acme, clock):
    async with acme() as (house, scripted):
        scripted.reply = DOWN
        for name in ("one", "two"):
            await house.connections.disconnect(ALICE, (await _connected(house, ALICE, name)).id)
        one, two = await house.store.revocations.list_due(clock.now() + timedelta(hours=1), 10)
        assert await house.store.revocations.reseal(one, two.sealed)
        scripted.requests.clear()
        clock.advance(timedelta(minutes=2))
        await house.revocations.settle()
        events = [event.outcome for event in await _events(house) if event.action == "connection.not_revoked"]
        assert events == ["unreadable"]
        assert len(scripted.requests) == 1, "the untouched one alone is sent"


@pytest.mark.parametrize("who", [BOB, Principal("https://login.example.com", "alice", "other tenant")])
async def test_a_grant_that_another_connection_stands_on_is_left_until_the_last(acme, who):
    async with acme(ends_all=True) as (house, scripted):
        first = await house.hold()
        second = await _connected(house, who, "account-1")
        scripted.reply = OK
        receipt = await house.connections.disconnect(ALICE, first.id)
        assert receipt.revoked_at_provider == "shared"
        assert scripted.requests == []
        receipt = await house.connections.disconnect(who, second.id)
        assert receipt.revoked_at_provider == "yes"
        assert len(scripted.requests) == 1


async def test_another_account_is_no_reason_to_leave_a_grant_alone(acme):
    async with acme(ends_all=True) as (house, scripted):
        await _connected(house, BOB, "account-2")
        scripted.reply = OK
        receipt = await house.connections.disconnect(ALICE, (await house.hold()).id)
        assert receipt.revoked_at_provider == "yes"


async def _connected(house, who: Principal, account: str):
    tokens = TokenSet(Secret(f"{account}-access"), Secret(f"{account}-refresh"))
    return await house.grants.put(who, "acme", CredentialKind.OAUTH2, Account(account), tokens)


async def test_a_revocation_that_waits_does_not_end_what_was_connected_again_since(acme, clock):
    """At Google a late revocation of the old token would end the new consent, too."""
    async with acme(ends_all=True) as (house, scripted):
        scripted.reply = DOWN
        await house.connections.disconnect(ALICE, (await house.hold()).id)
        await house.hold()
        scripted.reply = OK
        clock.advance(timedelta(minutes=2))
        assert await house.revocations.settle() == 1
        assert len(scripted.requests) == 1
        assert await outbox(house, clock) == 0


async def test_an_access_token_that_has_run_out_is_renewed_where_only_a_living_one_ends_the_grant(acme, clock):
    async with acme(auth="bearer") as (house, scripted):
        connection = await house.hold()
        clock.advance(timedelta(hours=2))
        scripted.reply = http("200 OK", {"access_token": "new-access", "refresh_token": "new-refresh"})
        receipt = await house.connections.disconnect(ALICE, connection.id)
        assert receipt.revoked_at_provider == "yes"
        (refresh, _), (revoke, _) = asked(scripted)
        assert (refresh, revoke) == ("POST /token HTTP/1.1", "POST /revoke HTTP/1.1")
        assert b"authorization: bearer new-access" in scripted.requests[-1].lower()


async def test_a_grant_that_cannot_be_renewed_for_that_has_ended_by_itself(acme, clock):
    async with acme(auth="bearer") as (house, scripted):
        connection = await house.hold()
        clock.advance(timedelta(hours=2))
        scripted.reply = http("400 Bad Request", {"error": "invalid_grant"})
        receipt = await house.connections.disconnect(ALICE, connection.id)
        assert receipt.revoked_at_provider == "yes"
        assert len(scripted.requests) == 1

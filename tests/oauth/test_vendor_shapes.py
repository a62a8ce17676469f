"""The four vendors' own ways, from connect to disconnect: twins, with the shipped descriptions pointed at them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.clock import MovableClock
from gateway.errors import ScopeMissingError
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.twins.description import shipped
from gateway.testing.twins.twin import Twin, make_twin
from gateway.types import ConnectionStatus, Credential
from tests.oauth.conftest import ALICE, CALLBACK, House

CONTACTS = "crm.objects.contacts.read"
GMAIL, EVENTS = "https://www.googleapis.com/auth/gmail.readonly", "https://www.googleapis.com/auth/calendar.events"
JOURNEYS = {
    "hubspot": ((CONTACTS,), timedelta(minutes=31), "alice@example.com (twin.hubspot.example)", 1),
    "google": ((GMAIL,), timedelta(hours=1), "alice@example.com", 1),
    "salesforce": (("api",), timedelta(hours=3), "alice@twin.example", 1),
    "microsoft": (("Mail.Read",), timedelta(hours=1), "alice@example.com", 0),
}
"""What to ask for, after how long its token is dead, the account's label, how often it can be asked to revoke."""


@pytest.fixture
def at(house_of: Any, clock: MovableClock) -> Any:
    """A house whose acme is a twin."""

    @asynccontextmanager
    async def make(name: str, **changes: Any) -> AsyncIterator[tuple[House, Twin]]:
        twin = make_twin(name, clock)
        twin.server.register(RegisteredClient("our id", "our secret", (CALLBACK,)))
        async with twin.served(), house_of({**twin.table(), **changes}) as house:
            yield house, twin

    return make


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_connection_lives_from_consent_to_disconnect(at: Any, clock: MovableClock, name: str) -> None:
    scopes, life, label, revocations = JOURNEYS[name]
    async with at(name) as (house, twin):
        await house.connect(*scopes)
        first = await house.credential(*scopes)
        assert isinstance(first, Credential)
        assert first.account == label

        clock.advance(life)
        second = await house.credential(*scopes)
        assert isinstance(second, Credential)
        assert second.token != first.token
        assert twin.log.count("refresh") == 1

        [connection] = await house.connections.list(ALICE)
        await house.connections.disconnect(ALICE, connection.id)
        assert twin.log.count("revoke") == revocations
        assert not isinstance(await house.credential(*scopes), Credential)
        assert (twin.log.replays(), twin.log.after_revoke(), twin.log.most_at_once()) == ([], [], 1)


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_person_who_removes_the_app_there_is_asked_to_connect_again(
    at: Any, clock: MovableClock, name: str
) -> None:
    scopes, life, *_ = JOURNEYS[name]
    async with at(name) as (house, twin):
        await house.connect(*scopes)
        twin.server.grants.revoke_all("alice")
        clock.advance(life)

        assert not isinstance(await house.credential(*scopes), Credential)
        assert (await house.row()).status is ConnectionStatus.NEEDS_REAUTH
        await house.connect(*scopes)
        assert isinstance(await house.credential(*scopes), Credential)
        assert len(await house.connections.list(ALICE)) == 1


@pytest.mark.parametrize("name", JOURNEYS)
async def test_a_vendor_that_has_had_enough_is_waited_for(at: Any, clock: MovableClock, name: str) -> None:
    scopes, life, *_ = JOURNEYS[name]
    async with at(name) as (house, twin):
        await house.connect(*scopes)
        twin.script.add({"on": "refresh", "fault": "rate_limited"})
        clock.advance(life)

        assert not isinstance(await house.credential(*scopes), Credential)
        assert (await house.row()).status is ConnectionStatus.ACTIVE
        clock.advance(timedelta(minutes=16))
        assert isinstance(await house.credential(*scopes), Credential)


async def test_salesforces_host_is_taken_from_each_answer(at: Any, clock: MovableClock) -> None:
    async with at("salesforce") as (house, twin):
        await house.connect()
        assert (await house.credential("api")).extras == {"instance_url": twin.url}

        twin.server.behaviour.token_extras = {"instance_url": "https://evil.example"}
        clock.advance(timedelta(hours=3))
        assert "evil" not in str((await house.credential("api")).extras)


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example.com", "http://acme.my.salesforce.com", "https://acme.my.salesforce.com.evil.example",
        "https://evil.example/.salesforce.com", "https://acme.my.salesforce.com\n", 7, None, {"a": 1},
    ],
    ids=str,
)  # fmt: skip
async def test_a_host_that_is_not_salesforces_never_reaches_a_tool(at: Any, host: object) -> None:
    async with at("salesforce", extras=shipped("salesforce")["extras"]) as (house, twin):
        twin.server.behaviour.token_extras = {"instance_url": host}
        await house.connect()
        assert (await house.credential("api")).extras == {}


async def test_hubspots_account_is_a_person_in_a_portal(at: Any) -> None:
    async with at("hubspot") as (house, _):
        await house.connect(CONTACTS)
        assert (await house.credential(CONTACTS)).extras == {"hub_id": "62515"}
        [connection] = await house.connections.list(ALICE)
        assert connection.account_id.startswith("62515")


async def test_google_grants_under_other_names_and_lets_people_untick(at: Any) -> None:
    async with at("google") as (house, _):
        flow = await house.begin(GMAIL, EVENTS)
        started = await house.flows.start(flow.id, flow.principal)
        async with Browser() as browser:
            page = await browser.consent(
                started.authorization_url, "alice", values={f"scope:{EVENTS}": ""}, stop_at=CALLBACK
            )
        query = dict(parse_qsl(urlsplit(page.url).query))
        await house.flows.complete("acme", query, started.browser_token.reveal(), ALICE)

        assert isinstance(await house.credential("email", "profile", GMAIL), Credential)
        withheld = await house.credential(EVENTS)
        assert isinstance(withheld, ScopeMissingError)
        assert EVENTS in str(withheld)


async def test_microsoft_does_not_name_offline_access_yet_it_counts_as_granted(at: Any, clock: MovableClock) -> None:
    async with at("microsoft") as (house, twin):
        await house.connect("mail.read")
        assert isinstance(await house.credential("offline_access", "mail.read"), Credential)
        clock.advance(timedelta(hours=2))
        assert isinstance(await house.credential("offline_access", "mail.read"), Credential)
        assert twin.log.count("refresh") == 1

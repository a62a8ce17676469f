"""A consent, step by step, and what must not be able to bend it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from gateway.errors import (
    FlowError,
    FlowNotFoundError,
    ProviderMisconfiguredError,
    ProviderNotConfiguredError,
    ProviderUnavailableError,
    UnknownProviderError,
    WrongBrowserError,
)
from gateway.secret import Secret
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.twins.description import shipped
from gateway.types import CredentialKind, FlowStatus, Principal, Requirement
from tests.oauth.conftest import CALLBACK, http

ALICE = Principal("https://login.example.com", "alice")
BOB = Principal("https://login.example.com", "bob")
KEY = Requirement("my_service", CredentialKind.API_KEY)


async def test_a_consent_ends_in_a_connection_that_calls_can_use(house, server):
    flow = await house.connect("contacts.read")
    assert flow.status is FlowStatus.CONNECTED
    [connection] = await house.connections.list(ALICE)
    assert (connection.id, connection.provider, connection.account_label) == (
        flow.connection_id, "acme", "alice@example.com",
    )  # fmt: skip
    credential = await house.credential("contacts.read")
    assert server.grants.find_access(credential.token).grant.person.name == "alice"
    assert await house.actions() == ["connection.created", "flow.begun", "flow.started"]


async def test_the_link_is_our_own_page_and_names_nothing_but_the_flow(house):
    flow = await house.begin("contacts.read")
    assert await house.flows.url(flow) == f"http://127.0.0.1:9/connect/{flow.id}"
    assert len(flow.id) >= 43


async def test_the_same_need_is_asked_for_once(house):
    first = await house.begin("contacts.read")
    assert (await house.begin("contacts.read")).id == first.id
    assert (await house.begin("contacts.write")).id != first.id
    assert (await house.begin("contacts.read", principal=BOB)).id != first.id


async def test_a_link_about_to_die_is_not_handed_out_again(house, clock):
    first = await house.begin()
    clock.advance(timedelta(minutes=8))
    assert (await house.begin()).id != first.id


async def test_the_authorization_request_carries_pkce_state_nonce_and_the_exact_redirect(house):
    flow = await house.begin("contacts.read")
    started = await house.flows.start(flow.id, ALICE)
    query = parse_qs(urlsplit(started.authorization_url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert len(query["state"][0]) >= 43
    assert query["nonce"]
    assert query["redirect_uri"] == ["http://127.0.0.1:9/oauth/callback/acme"]
    assert query["scope"] == ["contacts.read email offline_access openid profile"]
    assert started.max_age == 600


async def test_nothing_of_a_flow_lies_in_the_database_in_clear(house, tmp_path):
    flow = await house.begin()
    back = await house.come_back(flow)
    await house.flows.complete("acme", back.query, back.browser, ALICE)
    credential = await house.credential()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    for value in (back.query["state"], back.query["code"], back.browser, credential.token):
        assert value.encode() not in stored


async def test_a_state_works_once_however_many_try_at_a_time(house, server):
    back = await house.come_back(await house.begin())
    results = await asyncio.gather(
        *(house.flows.complete("acme", back.query, back.browser, ALICE) for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(result, FlowNotFoundError) for result in results) == 49
    assert server.count("code", None) == 1


async def test_pressing_connect_again_makes_the_former_state_worthless(house, server):
    flow = await house.begin()
    former = await house.come_back(flow)
    back = await house.come_back(flow)
    with pytest.raises(FlowNotFoundError):
        await house.flows.complete("acme", former.query, former.browser, ALICE)
    assert (await house.flows.complete("acme", back.query, back.browser, ALICE)).status is FlowStatus.CONNECTED


async def test_another_browser_cannot_finish_a_flow(house, server):
    """A pushed callback: the attacker's code and state in the victim's browser (RFC 9700 section 4.7)."""
    for browser in (None, "", "another browser's token"):
        back = await house.come_back(await house.begin())
        with pytest.raises(WrongBrowserError):
            await house.flows.complete("acme", back.query, browser, ALICE)
    assert server.count("code", None) == 0
    assert await house.connections.list(ALICE) == []


async def test_another_person_cannot_see_start_finish_or_decline_a_flow(house, server):
    """A forwarded link: the victim's account must not end up with the person who sent it."""
    flow = await house.begin()
    for step in (
        house.flows.describe(flow.id, BOB),
        house.flows.start(flow.id, BOB),
        house.flows.decline(flow.id, BOB),
        house.flows.wait(flow.id, BOB, 0),
    ):
        with pytest.raises(FlowNotFoundError) as foreign:
            await step
    with pytest.raises(FlowNotFoundError) as unknown:
        await house.flows.describe("no such flow", BOB)
    assert str(foreign.value) == str(unknown.value)
    back = await house.come_back(flow)
    with pytest.raises(FlowNotFoundError):
        await house.flows.complete("acme", back.query, back.browser, BOB)
    assert server.count("code", None) == 0
    assert await house.connections.list(BOB) == await house.connections.list(ALICE) == []


async def test_a_code_for_one_provider_is_not_taken_at_anothers_callback(house, server):
    """Mix-up: RFC 9700 section 4.4."""
    back = await house.come_back(await house.begin())
    with pytest.raises(FlowNotFoundError):
        await house.flows.complete("evil", back.query, back.browser, ALICE)
    assert server.count("code", None) == 0


async def test_of_two_providers_each_is_sent_the_codes_of_its_own_flows_alone(house_of, server, issuer, endpoint):
    """Mix-up between two providers of one gateway, both configured, neither of which names itself on the redirect."""
    evil, url = endpoint
    evil.reply = http("200 OK", {"access_token": "evil-access", "token_type": "bearer"})
    acme = {"authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token"}
    async with house_of(acme, evil={"authorization_url": f"{url}/authorize", "token_url": f"{url}/token"}) as house:
        honest = await house.come_back(await house.begin("read"))
        lure = await house.flows.begin(ALICE, "a host", Requirement("evil"), "tool")
        started = await house.flows.start(lure.id, ALICE)
        evils_state = dict(parse_qsl(urlsplit(started.authorization_url).query))["state"]

        with pytest.raises(FlowNotFoundError):
            await house.flows.complete("evil", honest.query, honest.browser, ALICE)
        mixed = honest.query | {"state": evils_state}
        with pytest.raises(FlowNotFoundError):
            await house.flows.complete("acme", mixed, started.browser_token.reveal(), ALICE)
        assert (evil.requests, server.count("code", None)) == ([], 0)

        ended = await house.flows.complete("acme", honest.query, honest.browser, ALICE)
        assert ended.status is FlowStatus.CONNECTED
        assert (evil.requests, server.count("code", None)) == ([], 1)


async def test_the_address_of_a_consent_is_repeated_with_each_refresh_where_a_provider_wants_it(
    house_of, issuer, endpoint, clock
):
    scripted, url = endpoint
    scripted.reply = http("200 OK", {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": 60})
    about = shipped("gitlab")["refresh"]
    table = {"authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token"}
    async with house_of({**table, "refresh": {**about, "url": f"{url}/token"}}) as house:
        await house.connect("offline_access")
        for _ in range(2):
            clock.advance(timedelta(hours=2))
            assert (await house.credential()).token == "new-access"
    forms = [dict(parse_qsl(request.partition(b"\r\n\r\n")[2].decode())) for request in scripted.requests]
    assert [form["redirect_uri"] for form in forms] == [CALLBACK, CALLBACK]


@pytest.mark.parametrize("iss", ["https://evil.example.com", "", None])
async def test_an_answer_from_another_issuer_is_refused_before_the_code_is_sent(house, server, iss):
    back = await house.come_back(await house.begin())
    query = {key: value for key, value in back.query.items() if key != "iss"} | ({} if iss is None else {"iss": iss})
    with pytest.raises(FlowError, match="does not come from Acme"):
        await house.flows.complete("acme", query, back.browser, ALICE)
    assert server.count("code", None) == 0


async def test_an_expired_flow_is_over_at_every_step(house, clock):
    flow = await house.begin()
    back = await house.come_back(flow)
    clock.advance(timedelta(minutes=11))
    for step in (
        house.flows.describe(flow.id, ALICE),
        house.flows.start(flow.id, ALICE),
        house.flows.complete("acme", back.query, back.browser, ALICE),
    ):
        with pytest.raises(FlowNotFoundError):
            await step
    assert await house.flows.wait(flow.id, ALICE, 0) is FlowStatus.FAILED


async def test_a_no_at_the_provider_is_recorded_and_makes_no_token_request(house, server):
    flow = await house.begin()
    back = await house.come_back(flow, approve=False)
    assert back.query["error"] == "access_denied"
    ended = await house.flows.complete("acme", back.query, back.browser, ALICE)
    assert ended.status is FlowStatus.DECLINED
    assert server.count("code", None) == 0
    assert "connection.declined" in await house.actions()


@pytest.mark.parametrize("error", ["invalid_scope", "server_error", "OAUTH_APP_BLOCKED", "<script>alert(1)</script>"])
async def test_an_error_redirect_fails_the_flow_without_a_token_request(house, server, error):
    flow = await house.begin()
    back = await house.come_back(flow)
    query = {"state": back.query["state"], "iss": back.query["iss"], "error": error, "code": back.query["code"]}
    with pytest.raises(FlowError) as failure:
        await house.flows.complete("acme", query, back.browser, ALICE)
    assert "<" not in str(failure.value)
    assert server.count("code", None) == 0
    view = await house.flows.describe(flow.id, ALICE)
    assert (view.status, view.failure) == (FlowStatus.FAILED, str(failure.value))
    assert "connection.failed" in await house.actions()


@pytest.mark.parametrize("code", [None, "", "x" * 5000])
async def test_a_redirect_without_a_usable_code_fails_the_flow(house, server, code):
    back = await house.come_back(await house.begin())
    query = {"state": back.query["state"], "iss": back.query["iss"]} | ({} if code is None else {"code": code})
    with pytest.raises(FlowError, match="no usable code"):
        await house.flows.complete("acme", query, back.browser, ALICE)
    assert server.count("code", None) == 0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 400, "body": {"error": "invalid_grant"}}, FlowError),
        ({"status": 401, "body": {"error": "invalid_client"}}, ProviderMisconfiguredError),
        ({"status": 503, "body": "<html>"}, ProviderUnavailableError),
    ],
)
async def test_a_code_that_is_not_redeemed_fails_the_flow_and_says_why(house, server, fault, expected):
    flow = await house.begin()
    back = await house.come_back(flow)
    server.fail_next(**fault)
    with pytest.raises(expected) as failure:
        await house.flows.complete("acme", back.query, back.browser, ALICE)
    assert back.query["code"] not in str(failure.value)
    assert (await house.flows.describe(flow.id, ALICE)).failure == str(failure.value)
    assert await house.connections.list(ALICE) == []


async def test_a_browser_that_closes_in_the_middle_loses_no_connection(house, server):
    flow = await house.begin()
    back = await house.come_back(flow)
    server.gate.close()
    page = asyncio.create_task(house.flows.complete("acme", back.query, back.browser, ALICE))
    async with asyncio.timeout(5):
        await server.gate.arrival()
    page.cancel()
    await asyncio.gather(page, return_exceptions=True)
    server.gate.open()
    assert await house.flows.wait(flow.id, ALICE, 5) is FlowStatus.CONNECTED
    assert (await house.credential()).account == "alice@example.com"


async def test_connecting_the_same_account_again_replaces_its_tokens(house):
    await house.connect()
    former = await house.credential()
    flow = await house.connect("contacts.read")
    [connection] = await house.connections.list(ALICE)
    assert (connection.id, connection.version) == (flow.connection_id, 2)
    assert (await house.credential()).token != former.token
    assert "connection.replaced" in await house.actions()


async def test_the_first_account_stays_the_default_whichever_is_connected_after_it(house, clock):
    for user in ("alice", "bob", "alice", "bob"):
        clock.advance(timedelta(seconds=1))
        await house.connect(user=user)
        assert (await house.credential()).account == "alice@example.com"
    found = {row.account_label: row for row in await house.connections.list(ALICE)}
    assert {label: (row.version, row.is_default) for label, row in found.items()} == {
        "alice@example.com": (2, True), "bob@example.com": (2, False),
    }  # fmt: skip


async def test_people_do_not_see_each_others_connections(house):
    await house.connect()
    assert (await house.credential(principal=BOB)).provider == "acme"
    assert await house.connections.list(BOB) == []


async def test_an_api_key_is_taken_for_a_provider_that_nobody_described(house):
    flow = await house.flows.begin(ALICE, "test host", KEY, "get_data")
    assert (await house.flows.describe(flow.id, ALICE)).provider_name == "my_service"
    ended = await house.flows.submit_key(flow.id, ALICE, Secret("  a-very-secret-key\n"))
    assert ended.status is FlowStatus.CONNECTED
    with pytest.raises(FlowNotFoundError):
        await house.flows.submit_key(flow.id, ALICE, Secret("another"))
    assert (await house.actions()) == ["connection.created", "flow.begun"]


@pytest.mark.parametrize("key", ["", "   ", "two words", "line\nbreak", "ключ", "x" * 20_000])
async def test_what_cannot_be_a_key_leaves_the_flow_open_and_is_not_repeated(house, key):
    flow = await house.flows.begin(ALICE, "test host", KEY, "get_data")
    with pytest.raises(FlowError) as refusal:
        await house.flows.submit_key(flow.id, ALICE, Secret(key))
    assert not key.strip() or key not in str(refusal.value)
    assert (await house.flows.submit_key(flow.id, ALICE, Secret("good"))).status is FlowStatus.CONNECTED


async def test_a_key_page_and_a_connect_page_are_not_mixed_up(house):
    flow = await house.flows.begin(ALICE, "test host", KEY, None)
    with pytest.raises(FlowError, match="API key"):
        await house.flows.start(flow.id, ALICE)
    flow = await house.begin()
    with pytest.raises(FlowError, match="Press Connect"):
        await house.flows.submit_key(flow.id, ALICE, Secret("key"))


async def test_a_person_can_say_no_on_our_own_page(house):
    flow = await house.begin()
    assert (await house.flows.decline(flow.id, ALICE)).status is FlowStatus.DECLINED
    with pytest.raises(FlowNotFoundError):
        await house.flows.decline(flow.id, ALICE)


async def test_whoever_waits_learns_at_once(house):
    flow = await house.begin()
    assert await house.flows.wait(flow.id, ALICE, 0) is FlowStatus.PENDING
    waiting = [asyncio.create_task(house.flows.wait(flow.id, ALICE, 5)) for _ in range(3)]
    back = await house.come_back(flow)
    await house.flows.complete("acme", back.query, back.browser, ALICE)
    async with asyncio.timeout(0.5):
        assert await asyncio.gather(*waiting) == [FlowStatus.CONNECTED] * 3


async def test_no_flow_is_begun_that_nobody_could_complete(house):
    with pytest.raises(UnknownProviderError, match=r"\[providers\.nobody\]"):
        await house.flows.begin(ALICE, "host", Requirement("nobody"), None)
    with pytest.raises(ProviderNotConfiguredError, match="ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID"):
        await house.flows.begin(ALICE, "host", Requirement("hubspot"), None)


async def test_the_providers_note_reaches_the_person_whom_it_refused(house_of, issuer, server):
    table = {
        "name": "Acme", "authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token",
        "notes": "Only administrators can connect.",
    }  # fmt: skip
    async with house_of(table) as house:
        back = await house.come_back(await house.begin())
        query = {"state": back.query["state"], "error": "not_installed"}
        with pytest.raises(FlowError, match="Only administrators can connect"):
            await house.flows.complete("acme", query, back.browser, ALICE)
    assert isinstance(server, AuthorizationServer)


async def test_the_record_names_the_account_as_the_person_knows_it(house):
    await house.connect()
    await house.audit.flush()
    [created] = [e for e in await house.store.audit.list_latest(ALICE) if e.action == "connection.created"]
    assert created.account == "alice@example.com"

"""Access in the gateway's own name: client credentials and service accounts."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from joserfc.jwk import RSAKey

from gateway.errors import ProviderMisconfiguredError, ProviderNotConfiguredError, ProviderUnavailableError
from gateway.oauth.apps import ProviderSettings
from gateway.secret import Secret
from gateway.types import Credential, CredentialKind, NeedsConnection, Principal, Requirement
from tests.oauth.conftest import ALICE, BOB, SETTINGS, House, call_of, http

OWN = Requirement("acme", CredentialKind.CLIENT_CREDENTIALS, frozenset({"read"}))
ROBOT = Requirement("acme", CredentialKind.SERVICE_ACCOUNT, frozenset({"read"}))


def answer(token: str = "own-token-1", **more: object) -> bytes:
    return http("200 OK", {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **more})


def table(url: str) -> dict[str, str]:
    return {"authorization_url": "https://acme.example/authorize", "token_url": f"{url}/token"}


def form(request: bytes) -> dict[str, list[str]]:
    return parse_qs(request.partition(b"\r\n\r\n")[2].decode())


async def ask(house: House, need: Requirement = OWN, principal: Principal = ALICE, **more: object) -> object:
    return await house.broker.credential(call_of(principal), need, **more)


async def test_one_request_serves_everybody_until_the_token_is_due(house_of, endpoint, clock):
    scripted, url = endpoint
    scripted.reply = answer()
    async with house_of(table(url)) as house:
        first = await ask(house)
        assert isinstance(first, Credential)
        assert (first.token, first.scopes, first.account) == ("own-token-1", frozenset({"read"}), None)
        assert await ask(house, principal=BOB) is first
        clock.advance(timedelta(minutes=58))
        assert await ask(house) is first
        scripted.reply = answer("own-token-2")
        clock.advance(timedelta(minutes=1, seconds=30))
        assert (await ask(house)).token == "own-token-2"
    assert len(scripted.requests) == 2
    assert form(scripted.requests[0])["grant_type"] == ["client_credentials"]
    assert form(scripted.requests[0])["scope"] == ["read"]


async def test_however_many_ask_at_once_there_is_one_request(house_of, endpoint):
    scripted, url = endpoint
    scripted.reply = answer()
    async with house_of(table(url)) as house:
        found = await asyncio.gather(*(ask(house) for _ in range(50)))
    assert {each.token for each in found} == {"own-token-1"}
    assert len(scripted.requests) == 1


async def test_another_tenant_and_another_set_of_scopes_have_tokens_of_their_own(house_of, endpoint):
    scripted, url = endpoint
    scripted.reply = answer()
    async with house_of(table(url)) as house:
        await ask(house)
        await ask(house, principal=Principal(ALICE.issuer, ALICE.subject, tenant="another"))
        await ask(house, Requirement("acme", CredentialKind.CLIENT_CREDENTIALS))
    assert len(scripted.requests) == 3


async def test_a_token_that_the_api_refuses_is_fetched_anew_once_for_all(house_of, endpoint):
    scripted, url = endpoint
    scripted.reply = answer()
    async with house_of(table(url)) as house:
        refused = await ask(house)
        scripted.reply = answer("own-token-2")
        found = await asyncio.gather(*(ask(house, refused=refused) for _ in range(20)))
    assert {(each.token, each.version) for each in found} == {("own-token-2", 2)}
    assert len(scripted.requests) == 2


async def test_an_outage_leaves_a_token_that_is_still_good_and_is_not_asked_about_at_every_call(
    house_of, endpoint, clock
):
    scripted, url = endpoint
    scripted.reply = answer()
    async with house_of(table(url)) as house:
        first = await ask(house)
        scripted.reply = http("503 Service Unavailable", "")
        clock.advance(timedelta(minutes=59, seconds=30))
        assert await ask(house) is first
        assert await ask(house) is first
        assert len(scripted.requests) == 2
        clock.advance(timedelta(minutes=1))
        assert isinstance(await ask(house), ProviderUnavailableError)
        scripted.reply = answer("own-token-2")
        clock.advance(timedelta(seconds=10))
        assert (await ask(house)).token == "own-token-2"


async def test_a_registration_that_is_refused_names_the_settings_and_is_not_tried_at_every_call(house_of, endpoint):
    scripted, url = endpoint
    scripted.reply = http("401 Unauthorized", {"error": "invalid_client"})
    async with house_of(table(url)) as house:
        for _ in range(3):
            refused = await ask(house)
            assert isinstance(refused, ProviderMisconfiguredError)
            assert "client_id, client_secret" in refused.message
            assert "[providers.acme]" in refused.message
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("need", "settings", "names"),
    [(OWN, ProviderSettings(client_id="our id"), "client_secret"), (ROBOT, SETTINGS, "service_account")],
)
async def test_what_is_not_set_is_named(house_of, endpoint, need, settings, names):
    _, url = endpoint
    async with house_of(table(url), settings) as house:
        refused = await ask(house, need)
    assert isinstance(refused, ProviderNotConfiguredError)
    assert f"Set {names} under [providers.acme]" in refused.message


async def test_a_service_account_signs_for_its_token(house_of, endpoint):
    scripted, url = endpoint
    scripted.reply = answer()
    pem = RSAKey.generate_key(2048).as_pem(private=True).decode()
    key = json.dumps({"client_email": "robot@acme.example", "private_key": pem, "private_key_id": "k1"})
    settings = ProviderSettings(client_id="our id", service_account=Secret(key))
    async with house_of(table(url), settings) as house:
        assert (await ask(house, ROBOT)).token == "own-token-1"
    sent = form(scripted.requests[0])
    assert sent["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert sent["assertion"][0].count(".") == 2


async def test_our_own_access_never_stands_in_for_a_person_who_has_not_connected(house_of, endpoint):
    scripted, url = endpoint
    scripted.reply = answer()
    async with house_of(table(url)) as house:
        await ask(house)
        assert isinstance(await ask(house, Requirement("acme", scopes=frozenset({"read"}))), NeedsConnection)
    assert len(scripted.requests) == 1

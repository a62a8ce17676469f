"""Tokens without a code: our own registration's, a service account's, and those consented to on another device."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import SettingsError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.assertion import ServiceAccountKey, read_key_file
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError
from gateway.providers.reader import read_provider
from gateway.secret import Secret
from tests.oauth.conftest import http

TOKEN = http("200 OK", {"access_token": "granted", "expires_in": 3600})
SCOPES = frozenset({"write", "read"})


@pytest.fixture
def app(endpoint):
    _, url = endpoint

    def make(secret: str | None = "our secret", **table: Any) -> ProviderApp:
        known = {"authorization_url": f"{url}/a", "token_url": f"{url}/token", "device": {"url": f"{url}/device"}}
        acme = read_provider("acme", known | table, "test")
        return ProviderApp(acme, "our id", Secret(secret) if secret else None, frozenset())

    return make


def form(endpoint) -> dict[str, list[str]]:
    return parse_qs(endpoint[0].requests[-1].partition(b"\r\n\r\n")[2].decode())


def line(endpoint) -> str:
    return str(endpoint[0].requests[-1].split(b" HTTP")[0].decode())


async def test_our_own_registration_asks_in_its_own_name(house, app, endpoint):
    """RFC 6749 section 4.4."""
    endpoint[0].reply = TOKEN
    answer = await house.client.client_credentials(app(), SCOPES)
    assert answer.access_token == Secret("granted")
    assert form(endpoint) == {
        "grant_type": ["client_credentials"], "scope": ["read write"],
        "client_id": ["our id"], "client_secret": ["our secret"],
    }  # fmt: skip


async def test_a_provider_may_have_another_place_and_more_words_for_that(house, app, endpoint):
    endpoint[0].reply = TOKEN
    own = {"url": f"{endpoint[1]}/app/token", "params": {"audience": "api"}}
    await house.client.client_credentials(app(client_credentials=own), frozenset())
    assert line(endpoint) == "POST /app/token"
    assert form(endpoint).keys() == {"grant_type", "audience", "client_id", "client_secret"}


def key_file(key: RSAKey | ECKey, **changes: Any) -> Secret:
    pem = key.as_pem(private=True).decode()
    file = {"type": "service_account", "client_email": "robot@acme.example", "private_key": pem}
    return Secret(json.dumps(file | {"private_key_id": "key-1"} | changes))


@pytest.mark.parametrize(("key", "algorithm"), [(RSAKey.generate_key(2048), "RS256"), (ECKey.generate_key(), "ES256")])
async def test_a_service_account_signs_for_itself(house, app, endpoint, key, algorithm):
    """RFC 7523 section 3, as Google has it."""
    endpoint[0].reply = TOKEN
    await house.client.assertion(
        app(service_account={"scopes_in_assertion": True}), SCOPES, read_key_file(key_file(key), "boss@acme.example")
    )
    sent = form(endpoint)
    assert sent.keys() == {"grant_type", "assertion"}
    assert sent["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    token = jwt.decode(sent["assertion"][0], key, algorithms=[algorithm])
    assert token.header["kid"] == "key-1"
    now = int(house.clock.now().timestamp())
    assert token.claims.pop("jti")
    assert token.claims == {
        "iss": "robot@acme.example", "sub": "boss@acme.example", "aud": f"{endpoint[1]}/token", "scope": "read write",
        "iat": now, "exp": now + 600,
    }  # fmt: skip


async def test_scopes_stand_beside_the_assertion_where_the_provider_wants_them_there(house, app, endpoint):
    endpoint[0].reply = TOKEN
    key = RSAKey.generate_key(2048)
    about = {"audience": "https://aud.example", "url": f"{endpoint[1]}/robots"}
    await house.client.assertion(app(service_account=about), SCOPES, read_key_file(key_file(key)))
    claims = jwt.decode(form(endpoint)["assertion"][0], key).claims
    assert (claims["aud"], claims["sub"], "scope" in claims) == ("https://aud.example", "robot@acme.example", False)
    assert form(endpoint)["scope"] == ["read write"]
    assert line(endpoint) == "POST /robots"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"client_email": "a", "private_key": "the-secret-key-itself"}', '{"client_email": 1}'],
)
def test_a_key_file_that_is_none_is_refused_without_being_repeated(text):
    with pytest.raises(SettingsError, match=r"Give the JSON file") as error:
        read_key_file(Secret(text))
    assert "the-secret-key-itself" not in str(error.value)


def test_a_key_is_not_printed():
    assert "PRIVATE" not in repr(ServiceAccountKey("robot", Secret("-----BEGIN PRIVATE KEY-----")))


DEVICE = {
    "device_code": "the-device-code", "user_code": "WDJB-MJHT", "verification_uri": "https://acme.example/device",
    "verification_uri_complete": "https://acme.example/device?user_code=WDJB-MJHT", "expires_in": 900, "interval": 7,
}  # fmt: skip


async def test_a_device_is_given_two_codes(house, app, endpoint, clock):
    """RFC 8628 section 3.1."""
    endpoint[0].reply = http("200 OK", DEVICE)
    answer = await house.client.device_authorization(app(), SCOPES)
    assert (line(endpoint), form(endpoint)) == ("POST /device", {"client_id": ["our id"], "scope": ["read write"]})
    assert (answer.device_code, answer.user_code) == (Secret("the-device-code"), "WDJB-MJHT")
    assert answer.verification_uri == "https://acme.example/device"
    assert answer.verification_uri_complete == "https://acme.example/device?user_code=WDJB-MJHT"
    assert (answer.expires_at - clock.now(), answer.interval) == (timedelta(minutes=15), timedelta(seconds=7))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interval": None, "expires_in": None}, (300, 5)),
        ({"interval": 0, "expires_in": -1}, (300, 5)),
        ({"interval": 10**9, "expires_in": 1e30}, (1800, 60)),
        ({"interval": "3", "expires_in": "60"}, (60, 3)),
        ({"interval": True, "expires_in": [1]}, (300, 5)),
    ],
    ids=str,
)
async def test_strange_times_of_a_device_are_bounded(house, app, endpoint, changes, expected):
    endpoint[0].reply = http("200 OK", DEVICE | changes)
    answer = await house.client.device_authorization(app(), SCOPES)
    assert ((answer.expires_at - house.clock.now()).total_seconds(), answer.interval.total_seconds()) == expected


async def test_googles_own_word_for_the_address_is_understood(house, app, endpoint):
    url = "https://www.google.com/device"
    endpoint[0].reply = http("200 OK", DEVICE | {"verification_uri": None, "verification_url": url})
    assert (await house.client.device_authorization(app(), SCOPES)).verification_uri == url


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None}, {"device_code": "a\nb"}, {"user_code": None}, {"user_code": "x" * 65}, {"user_code": 7},
        {"user_code": "AB\u202eCD"}, {"verification_uri": "javascript:alert(1)"}, {"verification_uri": None},
        {"verification_uri": "http://acme.example/device"}, {"verification_uri": ["https://acme.example"]},
    ],
    ids=str,
)  # fmt: skip
async def test_what_a_person_must_not_be_shown_is_no_answer(house, app, endpoint, changes):
    endpoint[0].reply = http("200 OK", DEVICE | changes)
    with pytest.raises(TokenEndpointError) as error:
        await house.client.device_authorization(app(), SCOPES)
    assert error.value.kind is ErrorKind.UNAVAILABLE


async def test_a_provider_without_devices_is_not_asked(house, endpoint):
    acme = read_provider("acme", {"authorization_url": f"{endpoint[1]}/a", "token_url": f"{endpoint[1]}/t"}, "test")
    with pytest.raises(TokenEndpointError):
        await house.client.device_authorization(ProviderApp(acme, "our id", None, frozenset()), SCOPES)
    assert endpoint[0].requests == []


@pytest.mark.parametrize("secret", ["our secret", None])
async def test_polling_asks_with_the_device_code(house, app, endpoint, secret):
    """RFC 8628 section 3.4."""
    endpoint[0].reply = TOKEN
    answer = await house.client.device_token(app(secret), Secret("the-device-code"))
    assert answer.access_token == Secret("granted")
    proof = {"client_secret": ["our secret"]} if secret else {}
    assert form(endpoint) == proof | {
        "grant_type": ["urn:ietf:params:oauth:grant-type:device_code"], "device_code": ["the-device-code"],
        "client_id": ["our id"],
    }  # fmt: skip


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "403 Forbidden", "428 Precondition Required"])
@pytest.mark.parametrize(
    "expected",
    [
        ("authorization_pending", ErrorKind.UNAVAILABLE),
        ("slow_down", ErrorKind.UNAVAILABLE),
        ("access_denied", ErrorKind.REFUSED),
        ("expired_token", ErrorKind.REFUSED),
        ("invalid_grant", ErrorKind.REFUSED),
        ("invalid_client", ErrorKind.MISCONFIGURED),
    ],
)
async def test_polling_is_told_whether_to_ask_again(house, app, endpoint, status, expected):
    endpoint[0].reply = http(status, {"error": expected[0]})
    with pytest.raises(TokenEndpointError) as error:
        await house.client.device_token(app(), Secret("the-device-code"))
    assert (error.value.code, error.value.kind) == expected

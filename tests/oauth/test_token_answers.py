"""What providers answer a refresh with, and what becomes of it: a token, or one of three errors; never a lost token.

Each reply goes over a real socket, to a connection whose access token has ended.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from datetime import timedelta

import pytest

from gateway.errors import ProviderMisconfiguredError, ProviderUnavailableError, ScopeMissingError
from gateway.oauth.client import OAuthClient
from gateway.oauth.http import ProviderTransport
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError, read_answer, safe_detail
from gateway.providers.reader import read_provider
from gateway.secret import Secret
from gateway.types import ConnectionStatus, Credential, NeedsConnection
from tests.oauth.conftest import http

OK = {"access_token": "new-access-token", "token_type": "Bearer", "expires_in": 3600}
JSON = "Content-Type: application/json"


def ok(**changes: object) -> bytes:
    answer = {key: value for key, value in {**OK, **changes}.items() if value is not ...}
    return http("200 OK", answer, JSON)


GOOD = {
    "as the RFC has it": ok(),
    "life as text": ok(expires_in="3600"),
    "life as a fraction in text": ok(expires_in="3599.5"),
    "life of zero": ok(expires_in=0),
    "negative life": ok(expires_in=-1),
    "life of 1e30": ok(expires_in=1e30),
    "life that is not a number": http("200 OK", '{"access_token": "new-access-token", "expires_in": NaN}'),
    "endless life": http("200 OK", '{"access_token": "new-access-token", "expires_in": Infinity}'),
    "life in words": ok(expires_in="an hour"),
    "life as a list": ok(expires_in=[3600]),
    "no life": ok(expires_in=...),
    "no token type": ok(token_type=...),
    "token type null": ok(token_type=None),
    "token type in capitals": ok(token_type="BEARER"),
    "error null": ok(error=None),
    "refresh token null": ok(refresh_token=None),
    "refresh token empty": ok(refresh_token=""),
    "scopes in a list": ok(scope=["read", "b"]),
    "scope of a strange type": ok(scope=7),
    "id_token null": ok(id_token=None),
    "wrong content type": http("200 OK", json.dumps(OK), "Content-Type: text/html; charset=utf-16"),
    "status 201": http("201 Created", OK),
    "compressed unasked": http("200 OK", gzip.compress(json.dumps(OK).encode()), "Content-Encoding: gzip"),
    "deflated unasked": http("200 OK", zlib.compress(json.dumps(OK).encode()), "Content-Encoding: deflate"),
}

REFUSED = {
    "invalid_grant": http("400 Bad Request", {"error": "invalid_grant", "error_description": "expired"}),
    "invalid_grant with 401": http("401 Unauthorized", {"error": "invalid_grant"}),
    "invalid_grant with 200": http("200 OK", {"error": "invalid_grant"}),
    "hubspot without error": http("400 Bad Request", {"status": "BAD_REFRESH_TOKEN", "message": "bad token"}),
    "github": http("200 OK", {"error": "bad_refresh_token"}),
    "slack": http("200 OK", {"ok": False, "error": "token_revoked"}),
    "error as an object": http("400 Bad Request", {"error": {"code": "invalid_grant", "message": "gone"}}),
}

MISCONFIGURED = {
    "invalid_client": http("401 Unauthorized", {"error": "invalid_client"}),
    "unauthorized_client": http("400 Bad Request", {"error": "unauthorized_client"}),
    "invalid_scope": http("400 Bad Request", {"error": "invalid_scope"}),
    "access_denied": http("403 Forbidden", {"error": "access_denied"}),
    "a token we cannot send": ok(token_type="mac"),
}

UNAVAILABLE = {
    "HTML": http("200 OK", "<html>Service temporarily unavailable</html>", "Content-Type: text/html"),
    "HTML with 403": http("403 Forbidden", "<html>blocked</html>"),
    "no body": http("200 OK", b""),
    "a list": http("200 OK", "[1, 2]"),
    "text": http("200 OK", '"token"'),
    "null": http("200 OK", "null"),
    "no access token": ok(access_token=...),
    "access token null": ok(access_token=None),
    "access token a number": ok(access_token=5),
    "access token an object": ok(access_token={"value": "x"}),
    "token with a line break": ok(access_token="a\r\nX-Evil: 1"),
    "token with a space": ok(access_token="a b"),
    "token beyond ASCII": ok(access_token="tökén"),
    "token of 20,000 characters": ok(access_token="x" * 20_000),
    "refresh token with a line break": ok(refresh_token="a\nb"),
    "a key twice": http("200 OK", '{"access_token": "one", "access_token": "two"}'),
    "cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing at all": b"",
    "UTF-16": http("200 OK", json.dumps(OK).encode("utf-16")),
    "deeply nested": http("200 OK", "[" * 100_000),
    "a token and then 5 MB of nothing": b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(OK).encode() + b" " * 5_000_000,
    "a token in a bomb": http(
        "200 OK", gzip.compress(json.dumps(OK).encode() + b" " * 50_000_000), "Content-Encoding: gzip"
    ),
    "false compression": http("200 OK", json.dumps(OK).encode(), "Content-Encoding: gzip"),
    "a redirect": http("302 Found", b"", "Location: http://127.0.0.1:9/elsewhere"),
    "500": http("500 Internal Server Error", {"error": "server_error"}),
    "500 with invalid_grant": http("500 Internal Server Error", {"error": "invalid_grant"}),
    "503": http("503 Service Unavailable", "<html>"),
    "429": http("429 Too Many Requests", {"error": "slow_down"}, "Retry-After: 60"),
    "429 without error": http("429 Too Many Requests", {"status": "error", "errorType": "RATE_LIMIT"}),
    "429 with invalid_grant": http("429 Too Many Requests", {"error": "invalid_grant"}),
    "error without error": http("400 Bad Request", {"status": "error", "category": "VALIDATION_ERROR"}),
    "ok false": http("200 OK", {"ok": False}),
    "error true beside a token": ok(error=True),
    "error beside a token": ok(error="temporarily_unavailable"),
    "an error nobody knows": http("400 Bad Request", {"error": "the_moon_is_full"}),
    "an error full of markup": http("400 Bad Request", {"error": "<script>\r\n"}),
}


@pytest.fixture
async def expired(house_of, endpoint, clock):
    """A house with a connection whose access token has just ended, and the endpoint that its refresh will meet."""
    scripted, url = endpoint
    table = {
        "name": "Acme", "authorization_url": f"{url}/authorize", "token_url": f"{url}/token",
        "refused": ["BAD_REFRESH_TOKEN"], "expires_in_default": 1200,
    }  # fmt: skip
    async with house_of(table) as house:
        await house.hold("read")
        clock.advance(timedelta(hours=2))
        yield house, scripted


@pytest.mark.parametrize("reply", GOOD.values(), ids=GOOD)
async def test_a_token_is_taken_from_every_honest_answer(expired, reply, clock):
    house, scripted = expired
    scripted.reply = reply
    credential = await house.credential("read")
    assert isinstance(credential, Credential)
    assert credential.token == "new-access-token"
    assert timedelta(seconds=30) <= credential.expires_at - clock.now() <= timedelta(days=90)
    tokens = await house.grants.open(await house.row())
    assert tokens.refresh_token == Secret("old-refresh-token")


@pytest.mark.parametrize("reply", REFUSED.values(), ids=REFUSED)
async def test_a_definite_no_ends_the_connection_and_asks_the_person(expired, reply):
    house, scripted = expired
    scripted.reply = reply
    outcome = await house.credential("read")
    assert isinstance(outcome, NeedsConnection)
    assert "Acme no longer accepts the connection" in outcome.message
    row = await house.row()
    assert row.status is ConnectionStatus.NEEDS_REAUTH
    assert "connection.needs_reauth" in await house.actions()
    await house.credential("read")
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("reply", MISCONFIGURED.values(), ids=MISCONFIGURED)
async def test_a_fault_of_ours_is_the_operators_and_leaves_the_connection_alone(expired, reply, clock):
    house, scripted = expired
    scripted.reply = reply
    assert isinstance(await house.credential("read"), ProviderMisconfiguredError)
    await still_there(house)
    assert isinstance(await house.credential("read"), ProviderMisconfiguredError)
    assert len(scripted.requests) == 1, "one bad registration is not tried again for every call"
    scripted.reply = ok()
    clock.advance(timedelta(minutes=5))
    assert (await house.credential("read")).token == "new-access-token"


@pytest.mark.parametrize("reply", UNAVAILABLE.values(), ids=UNAVAILABLE)
async def test_anything_else_is_an_outage_and_keeps_the_tokens(expired, reply, clock):
    house, scripted = expired
    scripted.reply = reply
    outcome = await house.credential("read")
    assert isinstance(outcome, ProviderUnavailableError)
    assert "<" not in str(outcome)
    await still_there(house)
    assert isinstance(await house.credential("read"), ProviderUnavailableError)
    assert len(scripted.requests) == 1, "the back-off holds"
    scripted.reply = ok()
    clock.advance(timedelta(minutes=5))
    assert (await house.credential("read")).token == "new-access-token"


async def still_there(house) -> None:
    row = await house.row()
    assert row.status is ConnectionStatus.ACTIVE
    assert row.lease_owner is None
    tokens = await house.grants.open(row)
    assert tokens.refresh_token == Secret("old-refresh-token")
    assert tokens.access_token == Secret("old-access-token")


async def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then(expired, clock):
    house, scripted = expired
    scripted.reply = http("429 Too Many Requests", {"error": "slow_down"}, "Retry-After: 120")
    assert "120 s" in str(await house.credential("read"))
    clock.advance(timedelta(seconds=119))
    await house.credential("read")
    assert len(scripted.requests) == 1
    clock.advance(timedelta(seconds=2))
    await house.credential("read")
    assert len(scripted.requests) == 2


async def test_nobody_listening_is_an_outage(house_of, clock, free_port):
    table = {"authorization_url": "https://acme.example/a", "token_url": f"http://127.0.0.1:{free_port}/token"}
    async with house_of(table) as house:
        await house.hold()
        clock.advance(timedelta(hours=2))
        assert isinstance(await house.credential(), ProviderUnavailableError)
        await still_there(house)


@pytest.fixture
async def free_port():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_an_answer_that_never_ends_is_given_up(endpoint, clock, house_of):
    scripted, url = endpoint
    scripted.reply, scripted.drip = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", True
    transport = ProviderTransport()
    table = {"authorization_url": f"{url}/a", "token_url": f"{url}/token"}
    async with house_of(table) as house:
        row = await house.hold()
        client = OAuthClient(transport, clock, timeout=0.2)
        with pytest.raises(TokenEndpointError) as given_up:
            await client.refresh(await house.apps.get("acme"), await house.grants.open(row))
    assert (given_up.value.kind, given_up.value.code) == (ErrorKind.UNAVAILABLE, "timeout")
    await transport.close()


async def test_a_rotated_refresh_token_takes_the_place_of_the_old_one(expired):
    house, scripted = expired
    scripted.reply = ok(refresh_token="new-refresh-token")
    await house.credential("read")
    row = await house.row()
    assert (await house.grants.open(row)).refresh_token == Secret("new-refresh-token")
    assert row.version == 2


async def test_scopes_that_a_refresh_takes_away_are_named_and_not_asked_for_without_the_person(expired):
    house, scripted = expired
    scripted.reply = ok(scope="something else")
    outcome = await house.credential("read")
    assert isinstance(outcome, ScopeMissingError)
    assert "asked for read for alice, and did not grant it" in outcome.message
    assert (await house.row()).scopes == {"something", "else"}


def test_a_date_to_come_back_is_understood_and_bounded(clock):
    provider = read_provider("acme", {"authorization_url": "https://a.example", "token_url": "https://a.example"}, "t")
    for value, expected in {
        "90": 90,
        "999999": 900,
        "Wed, 21 Oct 2099 07:28:00 GMT": 900,
        "Wed, 21 Oct 2015 07:28:00 GMT": 0,
        "soon": None,
        "": None,
    }.items():
        with pytest.raises(TokenEndpointError) as error:
            read_answer(provider, 503, {"retry-after": value}, b"", clock.now())
        assert error.value.retry_after == (None if expected is None else timedelta(seconds=expected))


def test_what_a_provider_says_is_logged_without_what_we_sent():
    sent = Secret("the-refresh-token-value")
    said = safe_detail("token the-refresh-token-value\r\nis bad, client_secret=hunter2hunter2 " + "x" * 500, sent)
    assert "the-refresh-token-value" not in said
    assert "hunter2" not in said
    assert "\n" not in said
    assert len(said) == 300

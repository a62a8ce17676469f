"""How vendors' token answers differ from the RFC's, and how each is read. The shapes are the shipped files'."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.oauth.http import at_path
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError, read_answer, read_revocation_answer
from gateway.providers.catalogue import Catalogue
from gateway.providers.provider import Provider
from gateway.providers.reader import read_provider

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CATALOGUE = Catalogue.load()
PLAIN = read_provider("acme", {"authorization_url": "https://a.example", "token_url": "https://a.example"}, "test")


def shipped(name: str) -> Provider:
    found = CATALOGUE.find(name)
    assert found is not None
    return found


def read(provider: Provider | str, status: int = 200, headers: dict[str, str] | None = None, /, **answer: Any):
    known = shipped(provider) if isinstance(provider, str) else provider
    return read_answer(known, status, headers or {}, json.dumps(answer).encode(), NOW)


def refused(provider: Provider | str, status: int = 200, /, **answer: Any) -> TokenEndpointError:
    with pytest.raises(TokenEndpointError) as error:
        read(provider, status, **answer)
    return error.value


def jwt(**claims: Any) -> str:
    return f"h.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.s"


def in_seconds(ends: datetime | None) -> float | None:
    return None if ends is None else (ends - NOW).total_seconds()


@pytest.mark.parametrize(
    ("provider", "answer", "life"),
    [
        ("square", {"expires_at": "2026-03-31T12:00:00Z"}, 30 * 86400),
        ("square", {"expires_at": "2026-03-01T14:00:00+01:00"}, 3600),
        ("square", {"expires_at": "2026-03-01T13:00:00"}, 3600),
        ("square", {"expires_at": "soon"}, 2592000),
        ("square", {"expires_at": "2020-01-01T00:00:00Z"}, 30),
        ("square", {"expires_at": "9999-12-31T23:59:59Z"}, 90 * 86400),
        ("strava", {"expires_at": 1772373600}, 7200),
        ("strava", {"expires_at": "1772373600"}, 7200),
        ("strava", {"expires_at": 1772373600_000}, 7200),
        ("strava", {"expires_at": 10**400}, 21600),
        ("strava", {"expires_at": -5, "expires_in": 3600}, 3600),
        ("monday", {"access_token": jwt(exp=NOW.timestamp() + 900)}, 900),
        ("mailchimp", {"expires_in": 0}, None),
        ("hubspot", {"expires_in": "1800"}, 1800),
        ("hubspot", {"expires_in": None}, 1800),
        ("hubspot", {"expires_in": True}, 1800),
        ("hubspot", {"expires_in": 1}, 30),
        ("hubspot", {"expires_in": 10**12}, 90 * 86400),
        ("github", {}, None),
        (PLAIN, {"access_token": jwt(exp=NOW.timestamp() + 900)}, None),
    ],
    ids=str,
)
def test_the_end_of_a_token_is_found_wherever_it_stands(provider, answer, life):
    given = read(provider, **{"access_token": "t", "token_type": "bearer", **answer})
    assert in_seconds(given.expires_at) == life


@pytest.mark.parametrize("token", ["a.b.c", "a.%%%.c", jwt(exp="never"), jwt(exp=True), jwt(), "plain", "a.b.c.d"])
def test_a_token_that_is_no_jwt_is_no_error(token):
    assert read("monday", access_token=token).access_token.reveal() == token


@pytest.mark.parametrize(
    ("provider", "field", "value", "life"),
    [
        ("google", "refresh_token_expires_in", 604800, 604800),
        ("quickbooks", "x_refresh_token_expires_in", "8726400", 8726400),
        ("tiktok", "refresh_expires_in", 31536000, 31536000),
        ("airtable", "refresh_expires_in", 5184000, 5184000),
        ("shopify", "refresh_token_expires_in", 0, None),
        ("shopify", "refresh_token_expires_in", "never", None),
        ("webex", "refresh_token_expires_in", 1e30, 20 * 365 * 86400),
    ],
)
def test_the_end_of_the_grant_itself_is_kept_where_it_is_named(provider, field, value, life):
    assert in_seconds(read(provider, access_token="t", **{field: value}).grant_ends_at) == life


@pytest.mark.parametrize(
    ("provider", "answer", "scopes"),
    [
        ("hubspot", {"scopes": ["oauth", "tickets"]}, "oauth tickets"),
        ("twitch", {"scope": ["user:read:email"]}, "user:read:email"),
        ("github", {"scope": "repo,gist"}, "repo gist"),
        ("bitbucket", {"scopes": "account email"}, "account email"),
        ("slack", {"authed_user": {"access_token": "xoxp-1", "scope": "users:read,chat:write"}, "ok": True},
         "users:read chat:write"),
        ("google", {"scope": ""}, None),
        ("google", {}, None),
    ],
    ids=str,
)  # fmt: skip
def test_scopes_are_read_as_text_or_as_a_list(provider, answer, scopes):
    assert read(provider, **{"access_token": "t", **answer}).scopes == (scopes and frozenset(scopes.split()))


def test_slacks_tokens_are_the_persons_or_else_the_bots():
    user = {"access_token": "xoxp-user", "refresh_token": "xoxe-user", "expires_in": 43200, "token_type": "user"}
    both = read("slack", ok=True, access_token="xoxb-bot", token_type="bot", authed_user=user)
    assert (both.access_token.reveal(), both.refresh_token.reveal()) == ("xoxp-user", "xoxe-user")
    assert in_seconds(both.expires_at) == 43200
    bot = read("slack", ok=True, access_token="xoxb-bot", token_type="bot", authed_user={"id": "U1"})
    assert bot.access_token.reveal() == "xoxb-bot"


@pytest.mark.parametrize(
    ("provider", "status", "answer", "kind", "code"),
    [
        ("slack", 200, {"ok": False, "error": "invalid_refresh_token"}, ErrorKind.REFUSED, "invalid_refresh_token"),
        ("slack", 200, {"ok": False, "error": "ratelimited"}, ErrorKind.UNAVAILABLE, "ratelimited"),
        ("slack", 200, {"ok": False}, ErrorKind.UNAVAILABLE, "unexpected"),
        ("github", 200, {"error": "bad_refresh_token"}, ErrorKind.REFUSED, "bad_refresh_token"),
        ("github", 200, {"error": "incorrect_client_credentials"}, ErrorKind.MISCONFIGURED, None),
        ("hubspot", 400, {"status": "BAD_REFRESH_TOKEN", "message": "m"}, ErrorKind.REFUSED, "BAD_REFRESH_TOKEN"),
        ("hubspot", 429, {"status": "error", "errorType": "RATE_LIMIT"}, ErrorKind.UNAVAILABLE, "RATE_LIMIT"),
        ("hubspot", 401, {"status": "error", "message": "m", "category": "X"}, ErrorKind.UNAVAILABLE, "error"),
        ("microsoft", 400, {"error": "interaction_required"}, ErrorKind.REFUSED, "interaction_required"),
        ("microsoft", 400, {"error": "consent_required"}, ErrorKind.REFUSED, "consent_required"),
        ("microsoft", 400, {"error": "temporarily_unavailable"}, ErrorKind.UNAVAILABLE, None),
        ("microsoft", 401, {"error": "invalid_client", "error_codes": [7000222]}, ErrorKind.MISCONFIGURED, None),
        ("atlassian", 403, {"error": "invalid_grant"}, ErrorKind.REFUSED, "invalid_grant"),
        ("atlassian", 401, {"error": "access_denied"}, ErrorKind.MISCONFIGURED, "access_denied"),
        ("salesforce", 400, {"error": "invalid_client_id"}, ErrorKind.MISCONFIGURED, None),
        ("salesforce", 400, {"error": "rate_limit_exceeded"}, ErrorKind.UNAVAILABLE, None),
        ("google", 400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, ErrorKind.REFUSED, None),
        ("facebook", 400, {"error": {"message": "m", "type": "OAuthException", "code": 2}}, ErrorKind.UNAVAILABLE, "2"),
        (PLAIN, 200, {"error": True}, ErrorKind.UNAVAILABLE, "unexpected"),
        (PLAIN, 200, {"error": ""}, ErrorKind.UNAVAILABLE, "unexpected"),
        (PLAIN, 400, {"error": "a name with\nline breaks"}, ErrorKind.UNAVAILABLE, "unexpected"),
        (PLAIN, 400, {"error": ["invalid_grant"]}, ErrorKind.UNAVAILABLE, "unexpected"),
        (PLAIN, 418, {}, ErrorKind.UNAVAILABLE, "http_418"),
    ],
    ids=str,
)  # fmt: skip
def test_errors_are_told_apart_by_what_has_to_be_done(provider, status, answer, kind, code):
    error = refused(provider, status, **answer)
    assert error.kind is kind
    if code:
        assert error.code == code


def test_a_status_of_another_meaning_beside_a_token_is_no_error():
    assert read(PLAIN, access_token="t", status="success").access_token.reveal() == "t"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("1.5", 1.5),
        ("0", 0),
        ("-5", None),
        ("²", None),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun Mar  1 12:02:00 2026", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("9" * 400, None),
        ("Sun, 99 Mar 2026 12:02:00 GMT", None),
    ],
)
def test_every_form_of_retry_after_is_understood(value, seconds):
    with pytest.raises(TokenEndpointError) as error:
        read(PLAIN, 429, {"retry-after": value})
    assert error.value.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_extras_are_kept_under_their_last_word_and_only_if_they_fit():
    table = {"authorization_url": "https://a.example", "token_url": "https://a.example"}
    acme = read_provider("acme", {**table, "extras": {"team.id": "T[0-9]+", "host": r"[a-z]+\.acme\.com"}}, "test")
    given = read(acme, access_token="t", team={"id": "T12"}, host="eu.acme.com.evil.example")
    assert given.extras == {"id": "T12"}


@pytest.mark.parametrize(
    ("status", "body", "ended"),
    [
        (200, b"", True),
        (200, b"true", True),
        (204, b"", True),
        (200, b'{"status": "revoked"}', True),
        (200, b'{"ok": true, "revoked": true}', True),
        (200, b'{"ok": false, "error": "token_revoked"}', True),
        (200, b'{"ok": false, "error": "fatal_error"}', False),
        (400, b'{"error": "invalid_token"}', True),
        (400, b'{"error": "unsupported_token_type"}', False),
        (401, b'{"error": "invalid_client"}', False),
        (404, b"", False),
        (500, b'{"error": "invalid_token"}', False),
        (302, b"", False),
    ],
)
def test_a_revocation_counts_only_if_the_provider_says_so(status, body, ended):
    assert read_revocation_answer(shipped("slack"), status, {}, body, NOW).ended is ended


def test_paths_lead_into_objects_and_lists():
    found = {"data": [{"login": "a"}], "accounts": [{"uri": 1}, {"uri": 2, "main": True}], "https://x.example/id": 7}
    assert at_path(found, "data[0].login") == "a"
    assert at_path(found, "accounts[?main].uri") == 2
    assert at_path(found, "https://x.example/id") == 7
    assert at_path([{"id": 1}], "[0].id") == 1
    for nowhere in ("data[1].login", "data.login", "data[0].login.x", "accounts[?none]", "x[0]", "[0]", ""):
        assert at_path(found, nowhere) in (None, found)
    assert at_path(None, "a") is None

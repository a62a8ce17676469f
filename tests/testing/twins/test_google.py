"""Google's ways."""

from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.clock import MovableClock
from gateway.testing.twins.google import TESTING_LIFE
from tests.testing.twins.conftest import App, Serve

MAIL, CALENDAR = "https://www.googleapis.com/auth/gmail.readonly", "https://www.googleapis.com/auth/calendar.events"
OFFLINE = {"access_type": "offline", "prompt": "consent"}
DEAD = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


@pytest.fixture
async def app(app_of: Serve):
    async with app_of("google", scope=f"openid email profile {MAIL} {CALENDAR}") as app:
        yield app


async def test_a_refresh_token_is_for_those_who_ask_for_one(app: App) -> None:
    online = await app.tokens()
    offline = await app.tokens(**OFFLINE)

    assert online.keys() == {"access_token", "expires_in", "scope", "token_type", "id_token"}
    assert offline.keys() == {*online, "refresh_token"}
    assert online["expires_in"] == 3599


async def test_a_second_consent_gives_no_refresh_token_unless_it_is_really_asked_for(app: App) -> None:
    first = await app.tokens(access_type="offline")
    second = await app.tokens(access_type="offline")
    third = await app.tokens(**OFFLINE)

    assert ["refresh_token" in answer for answer in (first, second, third)] == [True, False, True]


async def test_who_has_agreed_before_is_not_asked_again(app: App) -> None:
    await app.tokens()
    await app.tokens()
    await app.tokens(prompt="consent")

    assert app.twin.log.count("consent") == 2


async def test_a_refresh_gives_no_refresh_token(app: App) -> None:
    tokens = await app.tokens(**OFFLINE)
    answer = (await app.refresh(tokens["refresh_token"])).json()

    assert "refresh_token" not in answer
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_person_may_untick_a_scope_and_a_token_comes_all_the_same(app: App) -> None:
    answer = await app.tokens(values={f"scope:{CALENDAR}": ""}, **OFFLINE)

    assert CALENDAR not in answer["scope"].split()
    assert MAIL in answer["scope"].split()


async def test_signing_in_cannot_be_unticked_and_a_single_scope_has_no_box(app: App) -> None:
    answer = await app.tokens(scope=f"openid email {MAIL}", values={"scope:openid": "", f"scope:{MAIL}": ""})

    assert {"openid", MAIL} < set(answer["scope"].split())


async def test_email_and_profile_come_back_as_addresses(app: App) -> None:
    start = "https://www.googleapis.com/auth/userinfo."

    assert {f"{start}email", f"{start}profile", "openid"} < set((await app.tokens())["scope"].split())


async def test_former_grants_are_added_where_that_is_asked_for(app: App) -> None:
    await app.tokens(scope=f"openid {MAIL}")
    apart = await app.tokens(scope=f"openid {CALENDAR}")
    united = await app.tokens(scope=f"openid {CALENDAR}", include_granted_scopes="true", prompt="consent")

    assert MAIL not in apart["scope"]
    assert {MAIL, CALENDAR} < set(united["scope"].split())


async def test_the_id_token_is_signed_with_rs256_by_a_key_of_the_jwks(app: App) -> None:
    answer = await app.tokens()
    keys = KeySet.import_key_set((await app.http.get(f"{app.twin.url}/oauth2/v3/certs")).json())

    token = jwt.decode(answer["id_token"], keys, algorithms=["RS256"])

    assert (token.header["alg"], token.claims["iss"], token.claims["nonce"]) == ("RS256", app.twin.url, "the-nonce")
    assert token.claims["sub"].isdigit()


async def test_the_redirect_names_the_issuer(app: App) -> None:
    assert (await app.consent())["iss"] == app.twin.url


async def test_tokeninfo_tells_numbers_as_text(app: App) -> None:
    tokens = await app.tokens()
    url = f"{app.twin.url}/tokeninfo"
    found = (await app.http.get(url, params={"access_token": tokens["access_token"]})).json()
    dead = await app.http.get(url, params={"access_token": "nonsense"})

    assert (found["expires_in"], found["email_verified"], found["aud"]) == ("3599", "true", app.twin.client.id)
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_token")


async def test_revoking_ends_the_whole_grant_and_needs_no_proof(app: App) -> None:
    first, second = await app.tokens(**OFFLINE), await app.tokens(**OFFLINE)
    other = await app.tokens("bob", **OFFLINE)
    answer = await app.http.post(f"{app.twin.url}/revoke", data={"token": second["access_token"]})

    assert answer.status_code == 200
    assert (await app.refresh(first["refresh_token"])).json() == DEAD
    assert (await app.refresh(other["refresh_token"])).status_code == 200
    again = await app.http.post(f"{app.twin.url}/revoke", data={"token": second["access_token"]})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


async def test_the_hundred_and_first_grant_ends_the_oldest(app: App) -> None:
    scopes = {"openid"}
    tokens = [app.twin.server.issue("alice", scopes, client_id=app.twin.client.id) for _ in range(101)]

    assert (await app.refresh(tokens[0].refresh_token or "")).json() == DEAD
    assert (await app.refresh(tokens[1].refresh_token or "")).status_code == 200


async def test_in_testing_mode_a_grant_ends_after_seven_days(app: App, clock: MovableClock) -> None:
    app.twin.server.behaviour.refresh_life = TESTING_LIFE
    tokens = await app.tokens(**OFFLINE)
    assert tokens["refresh_token_expires_in"] == 7 * 86_400

    clock.advance(timedelta(days=6, hours=23))
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    clock.advance(timedelta(hours=1))
    assert (await app.refresh(tokens["refresh_token"])).json() == DEAD


async def test_six_months_without_use_end_a_grant(app: App, clock: MovableClock) -> None:
    tokens = await app.tokens(**OFFLINE)
    clock.advance(timedelta(days=180))

    assert (await app.refresh(tokens["refresh_token"])).json() == DEAD


async def test_the_api_says_unauthenticated(app: App, clock: MovableClock) -> None:
    tokens = await app.tokens()
    good = await app.get("/gmail/v1/users/me/messages", tokens["access_token"])
    clock.advance(timedelta(hours=1))
    dead = await app.get("/gmail/v1/users/me/messages", tokens["access_token"])

    assert len(good.json()["messages"]) == 2
    assert (dead.status_code, dead.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


async def test_the_api_names_a_missing_scope_in_its_body_and_its_challenge(app: App) -> None:
    tokens = await app.tokens(scope=f"openid {MAIL}")
    answer = await app.get("/calendar/v3/calendars/primary/events", tokens["access_token"])

    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_calendar_takes_an_event(app: App) -> None:
    token = (await app.tokens())["access_token"]
    url = f"{app.twin.url}/calendar/v3/calendars/primary/events"
    headers = {"Authorization": f"Bearer {token}"}

    made = await app.http.post(url, json={"summary": "Chess"}, headers=headers)

    assert made.json()["summary"] == "Chess"
    listed = (await app.http.get(url, headers=headers)).json()["items"]
    assert [event["summary"] for event in listed] == ["Tea with the twins", "Chess"]
    assert (await app.http.post(url, json={})).status_code == 401


async def test_a_quota_is_no_matter_of_tokens(app: App) -> None:
    app.twin.script.add({"on": "api", "fault": "rate_limited"}, {"on": "refresh", "fault": "rate_limited"})
    tokens = await app.tokens(**OFFLINE)
    answer = await app.get("/gmail/v1/users/me/messages", tokens["access_token"])

    assert (answer.status_code, answer.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "rate_limit_exceeded"


async def test_userinfo_tells_who_it_is(app: App) -> None:
    tokens = await app.tokens()

    found = (await app.get("/v1/userinfo", tokens["access_token"])).json()

    assert (found["given_name"], found["email"]) == ("Alice", "alice@example.com")
    assert (await app.get("/v1/userinfo", "nonsense")).json()["error_description"] == "Invalid Credentials"


async def test_a_wrong_secret_and_a_wrong_code_are_told_in_googles_words(app: App) -> None:
    code = (await app.consent())["code"]

    assert (await app.redeem(code, client_secret="x")).json()["error_description"].startswith("The provided client")
    assert (await app.redeem("x")).json()["error_description"] == "Malformed auth code."
    assert (await app.redeem(code, redirect_uri="https://x.example")).json()["error"] == "redirect_uri_mismatch"

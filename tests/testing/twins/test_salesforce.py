"""Salesforce's ways."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest

from gateway.clock import MovableClock
from tests.testing.twins.conftest import App, Serve

QUERY = "/services/data/v62.0/query?q=SELECT+Id,Email+FROM+Contact"
DEAD = {"error": "invalid_grant", "error_description": "expired access/refresh token"}


@pytest.fixture
async def app(app_of: Serve):
    async with app_of("salesforce", scope="api refresh_token openid") as app:
        yield app


async def introspect(app: App, token: str) -> dict:
    return (await app.post(f"{app.twin.url}/services/oauth2/introspect", token=token)).json()


async def test_a_token_answer_names_a_host_and_no_lifetime(app: App) -> None:
    answer = await app.tokens()

    assert answer.keys() == {
        "access_token", "refresh_token", "instance_url", "id", "issued_at", "signature", "scope", "token_type",
        "id_token",
    }  # fmt: skip
    assert answer["instance_url"] == app.twin.url
    assert answer["id"].startswith(f"{app.twin.url}/id/00D")
    assert answer["issued_at"] == str(int(app.twin.clock.now().timestamp() * 1000))


async def test_the_signature_is_the_clients_to_check(app: App) -> None:
    answer = await app.tokens()

    signed = hmac.digest(
        (app.twin.client.secret or "").encode(), f"{answer['id']}{answer['issued_at']}".encode(), hashlib.sha256
    )
    assert base64.b64decode(answer["signature"]) == signed


async def test_a_refresh_token_needs_its_scope(app: App) -> None:
    assert "refresh_token" not in await app.tokens(scope="api")
    assert "refresh_token" in await app.tokens(scope="api offline_access")


async def test_a_refresh_that_names_a_scope_is_refused(app: App) -> None:
    tokens = await app.tokens()

    refused = await app.refresh(tokens["refresh_token"], scope="api")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    answer = (await app.refresh(tokens["refresh_token"])).json()
    assert "refresh_token" not in answer
    assert answer["instance_url"] == app.twin.url


async def test_a_session_lives_on_while_it_is_used_and_introspection_tells_until_when(
    app: App, clock: MovableClock
) -> None:
    tokens = await app.tokens()
    for _ in range(3):
        clock.advance(timedelta(minutes=110))
        assert (await app.get(QUERY, tokens["access_token"])).status_code == 200
    told = await introspect(app, tokens["access_token"])
    assert told["exp"] == int((clock.now() + timedelta(hours=2)).timestamp())

    clock.advance(timedelta(hours=2))
    assert (await app.get(QUERY, tokens["access_token"])).status_code == 401
    assert await introspect(app, tokens["access_token"]) == {"active": False}


async def test_introspection_tells_of_a_refresh_token_without_an_end(app: App) -> None:
    tokens = await app.tokens()
    told = await introspect(app, tokens["refresh_token"])

    assert (told["token_type"], told["username"]) == ("refresh_token", "alice@twin.example")
    assert "exp" not in told


async def test_rotation_is_a_setting_and_a_token_that_comes_back_ends_the_chain(app: App) -> None:
    app.twin.server.behaviour.rotates = True
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]

    assert (await app.refresh(first["refresh_token"])).json() == DEAD
    assert (await app.refresh(second["refresh_token"])).json() == DEAD


async def test_the_sixth_approval_silently_ends_the_oldest(app: App) -> None:
    answers = [await app.tokens() for _ in range(6)]

    assert (await app.refresh(answers[0]["refresh_token"])).json() == DEAD
    assert (await app.refresh(answers[1]["refresh_token"])).status_code == 200


async def test_revoking_a_refresh_token_takes_its_sessions_with_it(app: App) -> None:
    tokens = await app.tokens()

    assert (await app.revoke(tokens["refresh_token"])).status_code == 200
    assert (await app.get(QUERY, tokens["access_token"])).status_code == 401
    assert (await app.revoke(tokens["refresh_token"])).json()["error"] == "invalid_token"


async def test_revoking_a_session_leaves_the_refresh_token(app: App) -> None:
    tokens = await app.tokens()

    assert (await app.revoke(tokens["access_token"])).status_code == 200
    assert (await app.get(QUERY, tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_userinfo_and_identity_answer_a_dead_token_with_text(app: App) -> None:
    tokens = await app.tokens()
    path = tokens["id"].removeprefix(app.twin.url)
    userinfo = await app.get("/services/oauth2/userinfo", tokens["access_token"])
    identity = await app.get(path, tokens["access_token"])
    assert {userinfo.json()["user_id"], identity.json()["user_id"]} == {path.rsplit("/", 1)[1]}
    assert userinfo.json()["organization_id"] == identity.json()["organization_id"]

    for dead in (await app.get("/services/oauth2/userinfo", "x"), await app.get(path, "x")):
        assert (dead.status_code, dead.text) == (403, "Bad_OAuth_Token")


async def test_the_apis_errors_are_arrays(app: App) -> None:
    dead = await app.get(QUERY, "nonsense")
    assert (dead.status_code, dead.json()) == (
        401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
    )  # fmt: skip
    lacking = await app.get(QUERY, (await app.tokens(scope="openid"))["access_token"])
    assert (lacking.status_code, lacking.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
    broken = await app.get("/services/data/v62.0/query?q=DROP", (await app.tokens())["access_token"])
    assert (broken.status_code, broken.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")


async def test_a_record_that_is_made_is_found(app: App) -> None:
    token = (await app.tokens("carol"))["access_token"]
    made = await app.http.post(
        f"{app.twin.url}/services/data/v62.0/sobjects/Contact/",
        json={"Email": "new@twin.example"},
        headers={"Authorization": f"Bearer {token}"},
    )
    found = (await app.get(QUERY, token)).json()

    assert (made.status_code, made.json()["success"]) == (201, True)
    assert found["totalSize"] == 2
    assert found["records"][1]["Id"] == made.json()["id"]
    assert found["records"][1].keys() == {"attributes", "Id", "Email"}


async def test_limits_are_no_matter_of_tokens(app: App) -> None:
    app.twin.script.add({"on": "api", "fault": "rate_limited"}, {"on": "refresh", "fault": "rate_limited"})
    tokens = await app.tokens()

    answer = await app.get(QUERY, tokens["access_token"])
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "rate_limit_exceeded"


async def test_its_description_believes_its_own_host_alone(app: App) -> None:
    table = app.twin.table()

    assert "variables" not in table
    assert table["extras"]["instance_url"].replace("\\", "") == app.twin.url


async def test_wrong_registrations_are_told_in_its_own_words(app: App) -> None:
    assert (await app.redeem("x", client_id="x")).json()["error"] == "invalid_client_id"
    assert (await app.redeem("x", client_secret="x")).json()["error_description"] == "invalid client credentials"

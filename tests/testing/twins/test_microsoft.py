"""Microsoft's ways."""

from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.clock import MovableClock
from gateway.testing.twins.microsoft import TENANT
from tests.testing.twins.conftest import App, Serve

SCOPES = "openid email profile offline_access User.Read https://graph.microsoft.com/mail.read"


@pytest.fixture
async def app(app_of: Serve):
    async with app_of("microsoft", scope=SCOPES) as app:
        yield app


async def test_a_token_answer_names_graphs_scopes_and_not_offline_access(app: App) -> None:
    answer = await app.tokens()

    assert answer.keys() == {
        "token_type", "scope", "expires_in", "ext_expires_in", "access_token", "refresh_token", "id_token"
    }  # fmt: skip
    assert answer["scope"].split() == ["Mail.Read", "User.Read", "email", "openid", "profile"]
    assert "refresh_token" not in await app.tokens(scope="openid User.Read")


async def test_a_refresh_rotates_and_the_old_token_stays_valid(app: App, clock: MovableClock) -> None:
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"], scope=SCOPES)).json()
    assert second["refresh_token"] != first["refresh_token"]

    clock.advance(timedelta(days=89))
    assert (await app.refresh(first["refresh_token"])).status_code == 200
    assert (await app.refresh(second["refresh_token"])).status_code == 200


async def test_ninety_days_without_use_end_it(app: App, clock: MovableClock) -> None:
    tokens = await app.tokens()
    clock.advance(timedelta(days=90))

    answer = await app.refresh(tokens["refresh_token"])
    assert (answer.json()["error"], answer.json()["error_codes"]) == ("invalid_grant", [700082])


async def test_an_error_has_a_number_and_names_to_give_to_support(app: App) -> None:
    tokens = await app.tokens()
    app.twin.server.grants.revoke_all("alice")
    answer = await app.refresh(tokens["refresh_token"])

    found = answer.json()
    assert answer.status_code == 400
    assert found.keys() == {
        "error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri", "suberror"
    }  # fmt: skip
    assert (found["error"], found["error_codes"], found["suberror"]) == ("invalid_grant", [50173], "bad_token")
    assert found["error_description"].startswith("AADSTS50173: ")
    assert found["correlation_id"] in found["error_description"]


async def test_a_refresh_may_ask_for_fewer_scopes_however_they_are_spelt(app: App) -> None:
    tokens = await app.tokens()
    answer = (await app.refresh(tokens["refresh_token"], scope="https://graph.microsoft.com/MAIL.READ")).json()

    assert answer["scope"] == "Mail.Read"
    more = await app.refresh(tokens["refresh_token"], scope="Mail.Send")
    assert (more.json()["error"], more.json()["error_codes"]) == ("invalid_scope", [70011])


async def test_a_resource_that_is_not_the_scopes_is_refused(app: App) -> None:
    tokens = await app.tokens()
    conflict = await app.refresh(tokens["refresh_token"], scope="User.Read", resource="https://outlook.office.com")
    matching = await app.refresh(tokens["refresh_token"], scope="User.Read", resource="https://graph.microsoft.com")
    two = await app.refresh(tokens["refresh_token"], scope="User.Read https://outlook.office.com/Mail.Read")

    assert (conflict.json()["error"], conflict.json()["error_codes"]) == ("invalid_target", [9010010])
    assert matching.status_code == 200
    assert two.json()["error_codes"] == [28000]


async def test_the_id_tokens_issuer_is_the_persons_own_directory(app: App) -> None:
    answer = await app.tokens()
    keys = KeySet.import_key_set((await app.http.get(f"{app.twin.url}/common/discovery/v2.0/keys")).json())

    claims = jwt.decode(answer["id_token"], keys, algorithms=["RS256"]).claims

    assert (claims["iss"], claims["tid"]) == (f"{app.twin.url}/{TENANT}/v2.0", TENANT)
    assert claims["preferred_username"] == "alice@example.com"
    assert len(claims["oid"]) == 36


async def test_there_is_no_way_to_revoke(app: App) -> None:
    found = (await app.http.get(f"{app.twin.url}/common/v2.0/.well-known/openid-configuration")).json()

    assert "revocation" not in app.twin.table()
    assert not {"revocation_endpoint", "introspection_endpoint"} & found.keys()
    assert found["token_endpoint"] == f"{app.twin.url}/common/oauth2/v2.0/token"
    assert (await app.http.post(f"{app.twin.url}/revoke")).status_code == 404


async def test_graph_tells_who_it_is_and_what_came(app: App) -> None:
    token = (await app.tokens())["access_token"]
    me = (await app.get("/v1.0/me", token)).json()
    mail = (await app.get("/v1.0/me/messages", token)).json()
    userinfo = (await app.get("/oidc/userinfo", token)).json()

    assert (me["displayName"], me["userPrincipalName"]) == ("Alice Archer", "alice@example.com")
    assert mail["value"][0].keys() >= {"id", "subject", "receivedDateTime", "from", "isRead"}
    assert userinfo["name"] == "Alice Archer"


async def test_graph_says_in_its_own_way_what_is_wrong_with_a_token(app: App, clock: MovableClock) -> None:
    token = (await app.tokens(scope="offline_access User.Read"))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    send = await app.http.post(f"{app.twin.url}/v1.0/me/sendMail", headers=headers)
    mail = await app.get("/v1.0/me/messages", token)
    me = await app.get("/v1.0/me", (await app.tokens(scope="Mail.Send"))["access_token"])
    clock.advance(timedelta(hours=1))
    expired = await app.get("/v1.0/me", token)

    assert (send.status_code, send.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    assert (mail.status_code, mail.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    assert (me.status_code, me.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert (expired.status_code, expired.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert expired.json()["error"]["innerError"].keys() == {"date", "request-id", "client-request-id"}
    assert (await app.get("/oidc/userinfo", token)).status_code == 401


async def test_mail_is_taken(app: App) -> None:
    token = (await app.tokens(scope="Mail.Send"))["access_token"]
    sent = await app.http.post(f"{app.twin.url}/v1.0/me/sendMail", headers={"Authorization": f"Bearer {token}"})

    assert sent.status_code == 202


async def test_being_asked_too_often_it_says_for_how_long_to_wait(app: App) -> None:
    app.twin.script.add({"on": "api", "fault": "rate_limited"}, {"on": "refresh", "fault": "rate_limited"})
    tokens = await app.tokens()
    answer = await app.get("/v1.0/me", tokens["access_token"])

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "temporarily_unavailable"

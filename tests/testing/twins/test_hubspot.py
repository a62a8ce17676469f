"""HubSpot's ways, and its published description of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.clock import MovableClock
from tests.testing.twins.conftest import App, Serve

SCOPES = "oauth crm.objects.contacts.read"

# From the OpenAPI description of HubSpot's OAuth API, 2026-03: what an answer must hold, and what it may.
TOKEN_ANSWER = {
    "access_token": str, "expires_in": int, "hub_id": int, "refresh_token": str, "scopes": list, "token_type": str,
    "token_use": str, "user_id": int,
}  # fmt: skip
ABOUT_REFRESH = {
    "active": bool, "app_id": int, "client_id": str, "hub_domain": str, "hub_id": int, "scopes": list, "token": str,
    "token_type": str, "token_use": str, "user": str, "user_id": int,
}  # fmt: skip
ABOUT_ACCESS = ABOUT_REFRESH | {"expires_in": int, "is_private_distribution": bool, "signed_access_token": dict}
SIGNED = {
    "appId", "appInstallId", "audience", "expiresAt", "hubId", "hublet", "installingUserId", "isPrivateDistribution",
    "isServiceAccount", "isUserLevel", "newSignature", "scopeToScopeGroupPks", "scopes", "signature",
    "trialScopeToScopeGroupPks", "trialScopes", "userId",
}  # fmt: skip
RECORD = {"id", "properties", "createdAt", "updatedAt", "archived"}


@pytest.fixture
async def app(app_of: Serve):
    async with app_of("hubspot", scope=SCOPES) as app:
        yield app


def kinds(found: dict) -> dict:
    return {name: type(value) for name, value in found.items()}


async def test_its_addresses_are_the_published_ones(app: App) -> None:
    table, url = app.twin.table(), app.twin.url

    assert table["authorization_url"] == f"{url}/oauth/authorize"
    assert table["token_url"] == f"{url}/oauth/2026-03/token"
    assert table["introspection"]["url"] == f"{url}/oauth/2026-03/token/introspect"
    assert table["revocation"]["url"] == f"{url}/oauth/2026-03/token/revoke"


async def test_a_token_answer_is_the_published_one(app: App) -> None:
    answer = await app.tokens()

    assert kinds(answer) == TOKEN_ANSWER
    assert (answer["expires_in"], answer["token_use"]) == (1800, "access_token")
    assert answer["scopes"] == sorted(SCOPES.split())


async def test_a_refresh_repeats_the_refresh_token(app: App) -> None:
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()

    assert kinds(second) == TOKEN_ANSWER
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]


async def test_introspection_tells_of_both_kinds_of_token(app: App) -> None:
    tokens = await app.tokens()
    access = (await app.introspect(tokens["access_token"])).json()
    refresh = (await app.introspect(tokens["refresh_token"])).json()

    assert kinds(access) == ABOUT_ACCESS
    assert access["signed_access_token"].keys() == SIGNED
    assert kinds(refresh) == ABOUT_REFRESH
    assert (access["token_use"], refresh["token_use"], access["user"]) == (
        "access_token", "refresh_token", "alice@example.com",
    )  # fmt: skip
    assert (access["hub_id"], access["user_id"]) == (tokens["hub_id"], tokens["user_id"])


async def test_a_token_it_does_not_know_is_inactive_with_200(app: App) -> None:
    answer = await app.introspect("nonsense")

    assert (answer.status_code, answer.json()) == (200, {"active": False})


async def test_a_dead_refresh_token_has_a_status_and_an_error(app: App) -> None:
    answer = await app.refresh("nonsense")

    assert answer.status_code == 400
    assert answer.json().keys() == {"status", "message", "correlationId", "error", "error_description"}
    assert (answer.json()["status"], answer.json()["error"]) == ("BAD_REFRESH_TOKEN", "invalid_grant")
    assert (await app.redeem("nonsense")).json()["status"] == "BAD_AUTH_CODE"


async def test_too_many_requests_are_told_without_an_error_key(app: App) -> None:
    app.twin.script.add({"on": "refresh", "fault": "rate_limited"})
    answer = await app.refresh((await app.tokens())["refresh_token"])

    assert (answer.status_code, answer.json()["errorType"]) == (429, "RATE_LIMIT")
    assert "error" not in answer.json()


async def test_only_a_refresh_token_can_be_revoked(app: App) -> None:
    tokens = await app.tokens()

    assert (await app.revoke(tokens["access_token"])).status_code == 200
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert (await app.revoke(tokens["refresh_token"])).status_code == 200
    assert (await app.refresh(tokens["refresh_token"])).json()["status"] == "BAD_REFRESH_TOKEN"
    assert (await app.get("/crm/v3/objects/contacts", tokens["access_token"])).status_code == 200


async def test_an_optional_scope_that_the_account_lacks_is_dropped_without_a_word(app: App) -> None:
    app.twin.server.behaviour.denied_scopes = frozenset({"crm.objects.deals.read"})
    answer = await app.tokens(optional_scope="crm.objects.deals.read crm.objects.companies.read")

    assert answer["scopes"] == sorted([*SCOPES.split(), "crm.objects.companies.read"])


async def test_the_redirect_names_no_issuer(app: App) -> None:
    assert (await app.consent()).keys() == {"code", "state"}


async def test_pkce_is_welcome_and_not_demanded(app: App) -> None:
    assert (await app.redeem((await app.consent())["code"], code_verifier="w" * 43)).status_code == 400
    plain = await app.consent(code_challenge=None, code_challenge_method=None)
    assert (await app.redeem(plain["code"], code_verifier="")).status_code == 200


async def test_the_api_tells_an_expired_token_from_a_revoked_one(app: App, clock: MovableClock) -> None:
    tokens = await app.tokens()
    good = await app.get("/crm/v3/objects/contacts", tokens["access_token"])
    assert good.json()["results"][0].keys() == RECORD

    clock.advance(timedelta(minutes=31))
    expired = await app.get("/crm/v3/objects/contacts", tokens["access_token"])
    app.twin.server.grants.revoke_all("alice")
    revoked = await app.get("/crm/v3/objects/contacts", tokens["access_token"])

    assert (expired.status_code, expired.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert (revoked.status_code, revoked.json()["category"]) == (401, "INVALID_AUTHENTICATION")


async def test_the_api_names_the_scope_that_is_missing(app: App) -> None:
    tokens = await app.tokens()
    answer = await app.get("/crm/v3/objects/companies", tokens["access_token"])

    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    [error] = answer.json()["errors"]
    assert error["context"] == {"requiredGranularScopes": ["crm.objects.companies.read"]}

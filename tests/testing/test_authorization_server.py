"""The fake authorization server refuses what a real one refuses, and misbehaves only when told to."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.clock import MovableClock
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.grants import RegisteredClient

from .conftest import CALLBACK, App, answer_of


def refused(answer: httpx2.Response, error: str, status: int = 400) -> bool:
    return (answer.status_code, answer.json().get("error")) == (status, error)


async def test_a_consent_ends_in_tokens_of_the_person_who_signed_in(app: App, server: AuthorizationServer) -> None:
    tokens = await app.tokens(user="bob")

    assert (await app.userinfo(tokens["access_token"])).json()["preferred_username"] == "bob"
    assert tokens["expires_in"] == 1800
    assert tokens["scope"] == "contacts openid"
    assert [(asked.what, asked.outcome) for asked in server.log] == [
        ("authorize", "ok"), ("consent", "ok"), ("code", "ok"), ("userinfo", "ok"),
    ]  # fmt: skip


async def test_the_redirect_carries_state_and_issuer(app: App) -> None:
    answer = await app.consent()

    assert answer["state"] == "the-state"
    assert answer["iss"] == app.issuer


async def test_a_person_who_says_no_sends_access_denied_back(app: App, server: AuthorizationServer) -> None:
    answer = await app.consent(approve=False)

    assert answer == {"error": "access_denied", "state": "the-state", "iss": app.issuer}
    assert server.count("consent", "access_denied") == 1


async def test_both_metadata_documents_name_endpoints_that_answer(app: App) -> None:
    oidc = (await app.http.get(f"{app.issuer}/.well-known/openid-configuration")).json()
    oauth = (await app.http.get(f"{app.issuer}/.well-known/oauth-authorization-server")).json()

    assert oidc == oauth
    assert oidc["issuer"] == app.issuer
    for name, url in oidc.items():
        if name.endswith("_endpoint"):
            assert (await app.http.post(url)).status_code in {400, 401, 405}, name


async def test_the_id_token_is_signed_by_a_published_key_and_carries_the_nonce(app: App) -> None:
    tokens = await app.tokens()
    keys = KeySet.import_key_set((await app.http.get(f"{app.issuer}/jwks")).json())

    claims = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims

    assert claims["iss"] == app.issuer
    assert claims["aud"] == "app"
    assert claims["nonce"] == "the-nonce"
    assert claims["sub"] == (await app.userinfo(tokens["access_token"])).json()["sub"]


async def test_without_openid_there_is_no_id_token(app: App) -> None:
    assert "id_token" not in await app.tokens(scope="contacts")


@pytest.mark.parametrize("auth", [("app", "wrong"), ("nobody", "app secret"), ("app", "")])
async def test_a_wrong_client_secret_is_refused(app: App, auth: tuple[str, str]) -> None:
    answer = await app.token(auth=auth, grant_type="refresh_token", refresh_token="x")

    assert refused(answer, "invalid_client", 401)
    assert "Basic" in answer.headers["www-authenticate"]


async def test_the_secret_may_come_in_the_body_but_not_twice(app: App) -> None:
    code = (await app.consent())["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": app.verifier,
        "client_id": "app",
        "client_secret": "app secret",
    }

    assert refused(await app.token(**form), "invalid_request")
    assert (await app.token(auth=None, **form)).status_code == 200


async def test_a_secretless_request_for_a_client_that_has_one_is_refused(app: App) -> None:
    answer = await app.token(auth=None, client_id="app", grant_type="refresh_token", refresh_token="x")

    assert refused(answer, "invalid_client", 401)


async def test_a_public_client_redeems_without_a_secret(app: App) -> None:
    code = (await app.consent(client_id="public"))["code"]

    answer = await app.token(
        auth=None,
        client_id="public",
        grant_type="authorization_code",
        code=code,
        redirect_uri=CALLBACK,
        code_verifier=app.verifier,
    )

    assert answer.status_code == 200


@pytest.mark.parametrize("verifier", ["", "w" * 64])
async def test_a_wrong_or_missing_verifier_is_refused_and_burns_the_code(app: App, verifier: str) -> None:
    code = (await app.consent())["code"]

    assert refused(await app.redeem(code, code_verifier=verifier), "invalid_grant")
    assert refused(await app.redeem(code), "invalid_grant")


@pytest.mark.parametrize(
    "changes", [{"code_challenge": None}, {"code_challenge_method": "plain"}, {"code_challenge_method": None}]
)
async def test_an_authorization_without_s256_is_sent_back_at_once(app: App, changes: dict[str, None]) -> None:
    async with app.browser() as browser:
        page = await browser.open(app.authorization_url(**changes), stop_at=CALLBACK)

    assert answer_of(page)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://app.example/callback/"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": None},
        {"client_id": "nobody"},
    ],
)
async def test_an_unknown_client_or_redirect_uri_is_shown_and_never_followed(
    app: App, changes: dict[str, str | None]
) -> None:
    async with app.browser() as browser:
        page = await browser.open(app.authorization_url(**changes))

    assert page.status == 400
    assert "not registered" in page.text
    assert urlsplit(page.url).path == "/authorize"


async def test_a_registered_loopback_uri_without_port_matches_any_port(app: App) -> None:
    callback = "http://127.0.0.1:54321/callback"

    code = (await app.consent(redirect_uri=callback))["code"]

    assert (await app.redeem(code, redirect_uri=callback)).status_code == 200


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/other", "http://localhost:1/callback", "http://x@127.0.0.1:1/callback", "http://[::1"]
)
def test_the_freedom_of_ports_is_no_freedom_of_anything_else(uri: str) -> None:
    client = RegisteredClient("app", None, ("http://127.0.0.1/callback",))

    assert not client.may_redirect_to(uri)


async def test_a_code_redeemed_with_another_redirect_uri_is_refused(app: App) -> None:
    code = (await app.consent())["code"]

    assert refused(await app.redeem(code, redirect_uri="http://127.0.0.1/callback"), "invalid_grant")


async def test_another_client_cannot_redeem_a_code_nor_use_a_refresh_token(app: App) -> None:
    code = (await app.consent())["code"]
    theirs = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": app.verifier}

    assert refused(await app.token(auth=("other", "other secret"), **theirs), "invalid_grant")
    tokens = (await app.redeem(code)).json()
    stolen = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert refused(await app.token(auth=("other", "other secret"), **stolen), "invalid_grant")


async def test_a_replayed_code_kills_the_tokens_it_gave(app: App) -> None:
    code = (await app.consent())["code"]
    tokens = (await app.redeem(code)).json()

    assert refused(await app.redeem(code), "invalid_grant")
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")


async def test_a_code_lives_for_a_minute(app: App, clock: MovableClock) -> None:
    code = (await app.consent())["code"]
    clock.advance(timedelta(minutes=1))

    assert refused(await app.redeem(code), "invalid_grant")


async def test_an_access_token_dies_when_its_time_is_up_and_a_refresh_gives_another(
    app: App, clock: MovableClock
) -> None:
    tokens = await app.tokens()
    clock.advance(timedelta(minutes=30))

    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    renewed = (await app.refresh(tokens["refresh_token"])).json()
    assert "refresh_token" not in renewed
    assert (await app.userinfo(renewed["access_token"])).status_code == 200


async def test_a_rotated_refresh_token_used_again_ends_the_whole_family(app: App, server: AuthorizationServer) -> None:
    server.behaviour.rotates = True
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()

    assert refused(await app.refresh(first["refresh_token"]), "invalid_grant")
    assert refused(await app.refresh(second["refresh_token"]), "invalid_grant")
    assert (await app.userinfo(second["access_token"])).status_code == 401


async def test_a_refresh_may_narrow_scopes_and_never_widen_them(app: App) -> None:
    tokens = await app.tokens()

    assert (await app.refresh(tokens["refresh_token"], scope="contacts")).json()["scope"] == "contacts"
    assert refused(await app.refresh(tokens["refresh_token"], scope="contacts admin"), "invalid_scope")


async def test_one_revoked_token_takes_the_grant_with_it(app: App) -> None:
    tokens = await app.tokens()

    assert (await app.ask("revoke", tokens["refresh_token"])).status_code == 200
    assert (await app.ask("revoke", "unknown")).status_code == 200
    assert (await app.userinfo(tokens["access_token"])).status_code == 401


async def test_a_person_who_removes_the_app_ends_their_grants_and_nobody_elses(
    app: App, server: AuthorizationServer
) -> None:
    alice, bob = await app.tokens("alice"), await app.tokens("bob")
    unused = (await app.consent())["code"]

    server.grants.revoke_all("alice")

    assert refused(await app.redeem(unused), "invalid_grant")

    assert refused(await app.refresh(alice["refresh_token"]), "invalid_grant")
    assert (await app.refresh(bob["refresh_token"])).status_code == 200


async def test_introspection_knows_living_tokens_and_says_nothing_of_dead_ones(app: App, clock: MovableClock) -> None:
    tokens = await app.tokens()

    alive = (await app.ask("introspect", tokens["access_token"])).json()
    assert (alive["active"], alive["username"], alive["exp"] - alive["iat"]) == (True, "alice", 1800)
    assert (await app.ask("introspect", tokens["refresh_token"])).json()["active"] is True
    clock.advance(timedelta(hours=1))
    assert (await app.ask("introspect", tokens["access_token"])).json() == {"active": False}


async def test_a_parameter_sent_twice_is_refused(app: App) -> None:
    body = "grant_type=refresh_token&refresh_token=a&refresh_token=b"
    form = {"content-type": "application/x-www-form-urlencoded"}

    answer = await app.http.post(f"{app.issuer}/token", content=body, headers=form, auth=("app", "app secret"))

    assert refused(answer, "invalid_request")


async def test_an_unknown_grant_type_is_refused(app: App) -> None:
    assert refused(await app.token(grant_type="password"), "unsupported_grant_type")


async def test_an_unknown_name_is_asked_for_again(app: App) -> None:
    async with app.browser() as browser:
        page = await browser.open(app.authorization_url())
        page = await browser.press(page, "Sign in", user="<mallory>")
        assert "Nobody here is called “<mallory>”." in page.text
        assert "<mallory>" not in page.html
        page = await browser.press(page, "Sign in", user="carol")

    assert "Carol Chen" in page.text


async def test_someone_signed_in_goes_straight_to_consent_unless_prompted(app: App) -> None:
    async with app.browser() as browser:
        await browser.consent(app.authorization_url(), stop_at=CALLBACK)
        assert "Allow" in (await browser.open(app.authorization_url())).title
        assert "Sign in" in (await browser.open(app.authorization_url(prompt="login"))).title


async def test_a_decision_counts_once(app: App) -> None:
    async with app.browser() as browser:
        await browser.open(app.authorization_url())
        page = await browser.press(await browser.open(app.authorization_url()), "Sign in")
        await browser.press(page, "Approve", stop_at=CALLBACK)
        again = await browser.press(page, "Approve", stop_at=CALLBACK)

    assert again.status == 400
    assert "out of date" in again.text


async def test_a_consent_posted_without_being_signed_in_gives_nothing(app: App) -> None:
    async with app.browser() as person, app.browser() as thief:
        page = await person.press(await person.open(app.authorization_url()), "Sign in")
        stolen = await thief.press(page, "Approve", stop_at=CALLBACK)

    assert stolen.status == 400


async def test_ordered_faults_come_first_and_then_it_works_again(app: App, server: AuthorizationServer) -> None:
    tokens = await app.tokens()
    server.fail_next(status=429, headers={"Retry-After": "7"})
    server.fail_next(status=502, body="<h1>Bad gateway</h1>")

    first, second, third = [await app.refresh(tokens["refresh_token"]) for _ in range(3)]

    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert (second.status_code, second.text) == (502, "<h1>Bad gateway</h1>")
    assert third.status_code == 200
    assert (server.count("refresh"), server.count("refresh", "429"), server.count("refresh", None)) == (1, 1, 3)


async def test_other_endpoints_fail_on_order_too(app: App, server: AuthorizationServer) -> None:
    server.fail_next(endpoint="metadata", status=500, body={"error": "server_error"})

    url = f"{app.issuer}/.well-known/openid-configuration"

    assert [(await app.http.get(url)).status_code for _ in range(2)] == [500, 200]


async def test_behaviour_shapes_the_token_answer(app: App, server: AuthorizationServer) -> None:
    server.behaviour.names_lifetime = False
    server.behaviour.refreshable = False
    server.behaviour.denied_scopes = frozenset({"contacts"})
    server.behaviour.token_extras = {"hub_id": 42}

    tokens = await app.tokens()

    assert tokens.keys() == {"access_token", "token_type", "scope", "id_token", "hub_id"}
    assert (tokens["scope"], tokens["hub_id"]) == ("openid", 42)


async def test_a_mixed_up_issuer_can_be_ordered(app: App, server: AuthorizationServer) -> None:
    server.behaviour.redirect_issuer = "https://elsewhere.example"

    assert (await app.consent())["iss"] == "https://elsewhere.example"


async def test_a_method_of_proof_that_is_switched_off_is_refused(app: App, server: AuthorizationServer) -> None:
    server.behaviour.auth_methods = ("client_secret_post",)

    assert refused(await app.refresh("any"), "invalid_client", 401)


async def test_a_closed_gate_holds_token_requests_until_it_opens(app: App, server: AuthorizationServer) -> None:
    tokens = await app.tokens()
    answers: list[int] = []

    async def refresh() -> None:
        answers.append((await app.refresh(tokens["refresh_token"])).status_code)

    server.gate.close()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh)
            await server.gate.arrival()
            assert (await app.userinfo(tokens["access_token"])).status_code == 200
            assert answers == []
            server.gate.open()

    assert answers == [200]


async def test_tokens_without_ceremony_are_as_good_as_others(app: App, server: AuthorizationServer) -> None:
    issued = server.issue("carol", {"contacts"}, client_id="app")

    assert (await app.userinfo(issued.access_token)).json()["name"] == "Carol Chen"
    assert (await app.refresh(str(issued.refresh_token))).json()["scope"] == "contacts"
    assert server.grants.leaks_into(f"Bearer {issued.access_token}")
    assert not server.grants.leaks_into("Bearer something else")


async def test_nothing_it_remembers_prints_a_secret(app: App, server: AuthorizationServer) -> None:
    tokens = await app.tokens()

    shown = repr((server.log, server.clients, list(server.grants._access.values())))

    assert "app secret" not in shown
    assert tokens["access_token"] not in shown

"""What programs ask: tokens, their end, a registration, and what this server is."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.authorization.registration import EACH
from gateway.surfaces.authorization.routes import OPEN_PATHS
from tests.authorization.house import CALLBACK, SECRET
from tests.surfaces.authorization.site import Site, allow, authorize_url

ELSEWHERE = {"origin": "http://localhost:6274"}
BASIC = {"authorization": "Basic " + b64encode(f"intranet:{quote_plus(SECRET)}".encode()).decode()}


@pytest.fixture
async def program(site: Site) -> Any:
    async with site.program() as program:
        yield program


async def signed_in(site: Site, program: httpx2.AsyncClient, alice: httpx2.AsyncClient) -> tuple[str, dict[str, Any]]:
    """A client that Alice has let in, and its tokens."""
    client, verifiers = (await site.register())["client_id"], []
    told = await allow(alice, authorize_url(client, verifiers))
    form = {"code": told["code"], "code_verifier": verifiers[0], "redirect_uri": CALLBACK, "client_id": client}
    answer = await program.post("/token", data={"grant_type": "authorization_code", **form})
    return client, answer.json()


@pytest.mark.parametrize("way", ["basic", "post"])
async def test_a_client_of_the_settings_shows_its_secret_either_way(
    site: Site, program: httpx2.AsyncClient, alice: httpx2.AsyncClient, way: str
) -> None:
    verifiers: list[str] = []
    told = await allow(alice, authorize_url("intranet", verifiers, prompt="consent"))
    form = {
        "grant_type": "authorization_code", "code": told["code"], "code_verifier": verifiers[0],
        "redirect_uri": CALLBACK,
    }  # fmt: skip
    more = {} if way == "basic" else {"client_id": "intranet", "client_secret": SECRET}

    answer = await program.post("/token", data=form | more, headers=BASIC if way == "basic" else {})

    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({}, {}, 401, "invalid_client"),
        ({"client_id": "nobody"}, {}, 401, "invalid_client"),
        ({"client_id": "intranet", "client_secret": "wrong"}, {}, 401, "invalid_client"),
        ({}, BASIC, 400, "invalid_request"),
        ({"grant_type": "password"}, BASIC, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, BASIC, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, BASIC, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, BASIC, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, BASIC, 400, "invalid_grant"),
        ({"grant_type": "client_credentials"}, BASIC, 400, "unauthorized_client"),
        ({"grant_type": ["refresh_token", "refresh_token"]}, BASIC, 400, "invalid_request"),
        ({"grant_type": "refresh_token", "client_secret": SECRET}, BASIC, 400, "invalid_request"),
    ],
)
async def test_what_is_refused_is_refused_in_the_words_of_rfc_6749(
    program: httpx2.AsyncClient, form: dict[str, Any], headers: dict[str, str], status: int, error: str
) -> None:
    answer = await program.post("/token", data=form or {"x": "1"}, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"grant_type": "refresh_token"}', "application/json"),
        (b"grant_type=refresh_token", "text/plain"),
        (b"grant_type=refresh_token", None),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"a=1&" * 100, "application/x-www-form-urlencoded"),
        (b"a=" + b"x" * 10_000, "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(program: httpx2.AsyncClient, body: bytes, kind: str | None) -> None:
    headers = {**BASIC, **({"content-type": kind} if kind else {})}
    answer = await program.post("/token", content=body, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_body_without_end_is_cut_off(program: httpx2.AsyncClient) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await program.post("/token", content=b"a=" + b"x" * 100_000, headers=kind)).status_code == 413
    assert (await program.post("/register", json={"redirect_uris": ["x" * 100_000]})).status_code == 413


async def test_tokens_are_refreshed_and_ended(
    site: Site, program: httpx2.AsyncClient, alice: httpx2.AsyncClient
) -> None:
    client, tokens = await signed_in(site, program, alice)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client}
    fresh = (await program.post("/token", data=form)).json()

    ended = await program.post("/revoke", data={"token": fresh["refresh_token"], "client_id": client})
    assert (ended.status_code, ended.content) == (200, b"")
    again = await program.post("/token", data=form | {"refresh_token": fresh["refresh_token"]})
    assert again.json()["error"] == "invalid_grant"
    assert (await program.post("/revoke", data={"token": "unknown", "client_id": client})).status_code == 200
    assert (await program.post("/revoke", data={"client_id": client})).json()["error"] == "invalid_request"
    assert (await program.post("/revoke", data={"token": "x"})).status_code == 401


async def test_a_program_without_people_gets_a_token(program: httpx2.AsyncClient) -> None:
    form = {"grant_type": "client_credentials", "client_id": "robot", "client_secret": SECRET}

    answer = await program.post("/token", data=form)

    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()


async def test_a_client_registers(program: httpx2.AsyncClient) -> None:
    answer = await program.post("/register", json={"redirect_uris": [CALLBACK], "unknown": {"field": [1]}})

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["token_endpoint_auth_method"] == "client_secret_basic"
    for wrong in (b"[]", b"{", b"\xff", b"[" * 5000, b""):
        refused = await program.post("/register", content=wrong, headers={"content-type": "application/json"})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


async def test_whoever_registers_too_often_is_told_when_to_come_back(site: Site, program: httpx2.AsyncClient) -> None:
    body = {"redirect_uris": [CALLBACK]}
    answers = [(await program.post("/register", json=body)).status_code for _ in range(EACH)]
    assert set(answers) == {201}

    refused = await program.post("/register", json=body)

    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 61


async def test_what_the_server_says_of_itself_is_true_and_all_there(site: Site, program: httpx2.AsyncClient) -> None:
    document = await program.get("/.well-known/oauth-authorization-server")
    said = document.json()

    assert document.headers["cache-control"] == "public, max-age=300"
    assert said == (await program.get("/.well-known/openid-configuration")).json()
    assert said["issuer"] == site.url
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["client_id_metadata_document_supported"] is True
    assert set(said["scopes_supported"]) == {"tools", "offline_access"}
    for name, url in said.items():
        if name.endswith(("_endpoint", "_uri")):
            assert url.startswith(f"{site.url}/")
            assert (await program.get(url)).status_code in (200, 400, 405), name


async def test_a_token_is_what_the_published_keys_say(
    site: Site, program: httpx2.AsyncClient, alice: httpx2.AsyncClient
) -> None:
    client, tokens = await signed_in(site, program, alice)
    published = await program.get("/jwks.json")

    token = jwt.decode(tokens["access_token"], KeySet.import_key_set(published.json()), algorithms=["ES256"])

    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == site.url
    assert token.claims["aud"] == f"{site.url}/mcp"
    assert (token.claims["client_id"], token.claims["scope"], token.claims["sub"]) == (client, "tools", "alice")
    assert published.headers["cache-control"] == "public, max-age=3600"
    assert all("d" not in key for key in published.json()["keys"])


@pytest.mark.parametrize("path", OPEN_PATHS)
async def test_a_client_that_runs_in_a_browser_may_ask_from_its_own_site(
    program: httpx2.AsyncClient, path: str
) -> None:
    method = "GET" if "." in path else "POST"
    wanted = {"access-control-request-method": method, "access-control-request-headers": "authorization,content-type"}
    before = await program.options(path, headers=ELSEWHERE | wanted)
    assert before.status_code == 204
    assert "authorization" in before.headers["access-control-allow-headers"].lower()

    answer = await program.request(method, path, headers=ELSEWHERE)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_the_page_may_not_be_asked_from_another_site(site: Site) -> None:
    async with site.browser("alice") as alice:
        answer = await alice.get("/authorize", headers=ELSEWHERE)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers

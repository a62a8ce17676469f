"""What leaves for a provider: exactly the right fields, in the right place, and nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.oauth.apps import Apps, ProviderApp, ProviderSettings
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError
from gateway.providers.catalogue import Catalogue
from gateway.providers.reader import read_provider
from gateway.secret import Secret
from gateway.types import TokenSet
from tests.oauth.conftest import http

TOKENS = TokenSet(Secret("the-access-token"), Secret("the-refresh-token"), None, frozenset({"read", "write"}))


@pytest.fixture
async def asked(endpoint, house):
    """Refreshes with an acme made of a table, and gives what arrived: headers in lower case, and the body."""
    scripted, url = endpoint
    scripted.reply = http("200 OK", {"access_token": "new"})

    async def refresh(client_id: str = "our id", secret: str | None = "our secret", **table: object):
        acme = read_provider("acme", {"authorization_url": f"{url}/a", "token_url": f"{url}/token", **table}, "test")
        app = ProviderApp(acme, client_id, Secret(secret) if secret else None, frozenset())
        await house.client.refresh(app, TOKENS)
        head, _, body = scripted.requests[-1].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        return lines[0], dict(line.lower().split(": ", 1) for line in lines[1:]), body.decode()

    return refresh


async def test_a_refresh_sends_the_grant_and_our_credentials_and_nothing_more(asked):
    line, headers, body = await asked()
    assert line == "POST /token HTTP/1.1"
    assert parse_qs(body) == {
        "grant_type": ["refresh_token"], "refresh_token": ["the-refresh-token"],
        "client_id": ["our id"], "client_secret": ["our secret"],
    }  # fmt: skip
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in headers


async def test_scopes_are_repeated_only_where_the_provider_wants_them(asked):
    _, _, body = await asked(refresh={"send_scope": True, "params": {"audience": "api"}})
    assert parse_qs(body)["scope"] == ["read write"]
    assert parse_qs(body)["audience"] == ["api"]


async def test_basic_authentication_encodes_both_halves(asked):
    """RFC 6749 section 2.3.1."""
    _, headers, body = await asked("id:1", "s%c+t é", token_auth_method="client_secret_basic")
    scheme, _, value = headers["authorization"].partition(" ")
    assert scheme == "basic"
    assert "client_secret" not in body
    raw = base64.b64encode(b"id%3A1:s%25c%2Bt%20%C3%A9").decode()
    assert value == raw.lower()


async def test_without_a_secret_we_are_a_public_client(asked):
    _, headers, body = await asked(secret=None)
    assert parse_qs(body)["client_id"] == ["our id"]
    assert "client_secret" not in body
    assert "authorization" not in headers


async def test_a_provider_that_wants_json_gets_json(asked):
    _, headers, body = await asked(token_request_format="json", token_auth_method="client_secret_basic")
    assert headers["content-type"] == "application/json"
    assert headers["authorization"].startswith("basic ")
    assert json.loads(body) == {"grant_type": "refresh_token", "refresh_token": "the-refresh-token"}


async def test_a_refresh_without_a_refresh_token_makes_no_request(house, endpoint):
    scripted, url = endpoint
    acme = read_provider("acme", {"authorization_url": f"{url}/a", "token_url": f"{url}/token"}, "test")
    with pytest.raises(TokenEndpointError) as refused:
        await house.client.refresh(ProviderApp(acme, "id", None, frozenset()), replace(TOKENS, refresh_token=None))
    assert refused.value.kind is ErrorKind.REFUSED
    assert scripted.requests == []


def url_for(house, app: ProviderApp, *scopes: str) -> dict[str, list[str]]:
    url = house.client.authorization_url(
        app,
        scopes=frozenset(scopes) | app.scopes,
        state=Secret("the-state"),
        verifier=Secret("v" * 64),
        nonce="the-nonce",
        redirect_uri="http://127.0.0.1:9/oauth/callback/x",
    )
    assert "v" * 64 not in url
    return parse_qs(urlsplit(url).query)


@pytest.mark.parametrize("name", ["hubspot", "google", "salesforce", "microsoft"])
async def test_every_shipped_provider_gets_pkce_and_state(house, name):
    settings = ProviderSettings("our id", Secret("our secret"), scopes=frozenset({"extra"}))
    app = await Apps(Catalogue.load(), {name: settings}).get(name)
    query = url_for(house, app, "needed")
    assert query["code_challenge_method"] == ["S256"]
    assert query["state"] == ["the-state"]
    assert {"needed", "extra", *app.provider.scopes.default} == set(query["scope"][0].split())


async def test_googles_request_asks_for_a_refresh_token(house):
    app = await Apps(Catalogue.load(), {"google": ProviderSettings("id", Secret("secret"))}).get("google")
    query = url_for(house, app)
    assert (query["access_type"], query["prompt"]) == (["offline"], ["consent"])


async def test_hubspots_optional_scopes_go_into_their_own_parameter(house):
    settings = ProviderSettings("id", Secret("secret"), optional_scopes=frozenset({"crm.lists.read"}))
    query = url_for(house, await Apps(Catalogue.load(), {"hubspot": settings}).get("hubspot"))
    assert query["optional_scope"] == ["crm.lists.read"]
    assert query["scope"] == ["oauth"]


async def test_pkce_is_left_out_only_where_a_description_says_so(house):
    table = {"authorization_url": "https://a.example/a", "token_url": "https://a.example/t", "pkce": False}
    app = ProviderApp(read_provider("old", table, "test"), "id", None, frozenset())
    assert "code_challenge" not in url_for(house, app)

"""What leaves for each of the hundred providers, checked request by request against its file.

The checker reads the files itself, as plain TOML, and knows nothing of the code that makes the requests. No request
leaves this machine: the transport keeps it and answers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2
import pytest

from gateway.clock import MovableClock
from gateway.oauth.apps import Apps, ProviderSettings
from gateway.oauth.client import OAuthClient
from gateway.oauth.http import ProviderTransport
from gateway.providers.catalogue import SHIPPED, Catalogue
from gateway.secret import Secret
from gateway.types import TokenSet

NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
CATALOGUE = Catalogue.load()
ID, SECRET = "our:id", "our secret/+"
CALLBACK = "http://127.0.0.1:9/oauth/callback/x"
VERIFIER = "v" * 64
CHOSEN = {
    "account": "1234567", "company": "acme", "host": "acme.cloud.databricks.com", "instance": "acme", "shop": "acme",
    "subdomain": "acme", "auth0": "acme.eu.auth0.com", "okta": "acme.okta.com",
}  # fmt: skip
every_provider = pytest.mark.parametrize("name", NAMES)


class KeepingTransport(ProviderTransport):
    """Keeps each request and answers it with a token."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.kept.append(request)
        return httpx2.Response(200, json={"access_token": "granted-access", "refresh_token": "granted-refresh"})


class Desk:
    """One provider: its file, our registration there, and a client whose requests are kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        table = tomllib.loads((SHIPPED / f"{name}.toml").read_text())
        self.chosen = {
            variable: CHOSEN.get(name, CHOSEN.get(variable, ""))
            for variable, about in table.get("variables", {}).items()
            if "default" not in about
        }
        self.values = {v: about.get("default") for v, about in table.get("variables", {}).items()} | self.chosen
        self.table = self.filled(table)
        self.transport = KeepingTransport()
        self.client = OAuthClient(self.transport, MovableClock())
        settings = ProviderSettings(ID, Secret(SECRET), scopes=frozenset({"wanted"}))
        self.apps = Apps(CATALOGUE, {name: settings})
        self.words = set(re.findall(r"\{(\w+)\}", json.dumps(self.table.get("revocation", {})))) - {"client_id"}
        self.tokens = TokenSet(
            Secret("an-access-token"),
            Secret("a-refresh-token"),
            scopes=frozenset({"b", "a"}),
            extras=dict.fromkeys(self.words, "an-extra"),
        )

    def filled(self, part: Any) -> Any:
        if isinstance(part, str):
            return re.sub(r"\{(\w+)\}", lambda found: self.values.get(found[1]) or found[0], part)
        if isinstance(part, dict):
            return {key: self.filled(value) for key, value in part.items()}
        return [self.filled(item) for item in part] if isinstance(part, list) else part

    async def app(self):
        return await self.apps.get(self.name, variables=self.chosen)

    def proof(self, auth: str | None = None) -> tuple[str | None, dict[str, str]]:
        """The Authorization header and the fields that prove us, as the file has it."""
        client_id = self.table.get("client_id_param", "client_id")
        match auth or self.table.get("token_auth_method", "client_secret_post"):
            case "client_secret_basic":
                return _basic(quote(ID, safe=""), quote(SECRET, safe="")), {}
            case "secret_key_basic":
                return _basic(SECRET, ""), {}
            case "none":
                return None, {client_id: ID}
            case "bearer":
                return "Bearer an-access-token", {}
        return None, {client_id: ID, "client_secret": SECRET}

    def expect(self, request: httpx2.Request, method: str, url: str, fields: dict[str, str], **how: Any) -> None:
        """The request, to the last field. `how`: the kind of proof, and whether the body is JSON."""
        header, proof = self.proof(how.get("auth"))
        address, _, query = url.partition("?")
        body = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        if how.get("json") and request.content:
            body = json.loads(request.content)
            assert request.headers["content-type"] == "application/json"
        sent = dict(parse_qsl(urlsplit(str(request.url)).query, keep_blank_values=True))
        assert (request.method, str(request.url).partition("?")[0]) == (method, address)
        assert request.headers.get("authorization") == header
        assert request.headers["accept"] == "application/json"
        assert body | sent == fields | proof | dict(parse_qsl(query, keep_blank_values=True))
        if method == "GET":
            assert not request.content
        else:
            assert not set(sent) & (set(fields) | set(proof)), "a secret in an address ends up in logs"


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@every_provider
async def test_the_authorization_request_is_what_the_file_says(name):
    desk = Desk(name)
    app, table = await desk.app(), desk.table
    url = desk.client.authorization_url(
        app,
        scopes=app.scopes,
        state=Secret("the-state"),
        verifier=Secret(VERIFIER),
        nonce="the-nonce",
        redirect_uri=CALLBACK,
    )
    scopes = table.get("scopes", {})
    asked = sorted({*scopes.get("default", []), "wanted"})
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    expected = {
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "state": "the-state",
        table.get("client_id_param", "client_id"): ID,
        scopes.get("param", "scope"): scopes.get("separator", " ").join(asked),
        **table.get("authorize_params", {}),
    }
    if table.get("pkce", True):
        expected |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    if "openid" in asked:
        expected["nonce"] = "the-nonce"
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert url.partition("?")[0] == table["authorization_url"]
    assert dict(query) == expected
    assert len(query) == len(expected), "nothing twice"


@every_provider
async def test_the_code_is_redeemed_as_the_file_says(name):
    desk = Desk(name)
    table = desk.table
    await desk.client.exchange(
        await desk.app(),
        code=Secret("the-code"),
        verifier=Secret(VERIFIER),
        redirect_uri=CALLBACK,
        told={"state": "the-state", "context": "stores/abc", "scope": "a b"},
    )
    fields = {"grant_type": "authorization_code", "code": "the-code", "redirect_uri": CALLBACK}
    fields |= {"code_verifier": VERIFIER} if table.get("pkce", True) else {}
    words = {"{state}": "the-state", "{context}": "stores/abc", "{scope}": "a b"}
    constants = {key: words.get(value, value) for key, value in table.get("token_params", {}).items()}
    first, *more = desk.transport.kept
    desk.expect(first, "POST", table["token_url"], fields | constants, json=table.get("token_request_format") == "json")
    if swap := table.get("long_lived"):
        wanted = {**swap.get("params", {}), swap.get("token_param", "access_token"): "granted-access"}
        desk.expect(more.pop(0), swap.get("method", "GET"), swap["url"], wanted)
    assert len(more) <= 1, "at most a question about when the token ends"


@every_provider
async def test_access_is_renewed_as_the_file_says(name):
    desk = Desk(name)
    table, refresh = desk.table, desk.table.get("refresh", {})
    if refresh.get("grant") == "none":
        assert not refresh.keys() & {"url", "params", "idle"}
        return
    tokens = replace(desk.tokens, extras={**desk.tokens.extras, "redirect_uri": CALLBACK})
    await desk.client.refresh(await desk.app(), tokens)
    if refresh.get("grant") == "exchange":
        fields = {refresh["token_param"]: "an-access-token", **refresh["params"]}
    else:
        params = {key: value.replace("{redirect_uri}", CALLBACK) for key, value in refresh.get("params", {}).items()}
        fields = {"grant_type": "refresh_token", "refresh_token": "a-refresh-token", **params}
    if refresh.get("send_scope"):
        fields["scope"] = table.get("scopes", {}).get("separator", " ").join(["a", "b"])
    url, json_body = refresh.get("url", table["token_url"]), table.get("token_request_format") == "json"
    desk.expect(desk.transport.kept[0], refresh.get("method", "POST"), url, fields, json=json_body)


@every_provider
async def test_a_grant_is_revoked_as_the_file_says(name):
    desk = Desk(name)
    about = desk.table.get("revocation")
    if about is None:
        assert not (await desk.client.revoke(await desk.app(), desk.tokens)).ended
        assert desk.transport.kept == []
        return
    assert (await desk.client.revoke(await desk.app(), desk.tokens)).ended
    words = dict.fromkeys(desk.words, "an-extra") | {"client_id": ID}
    fields = {
        key: re.sub(r"\{(\w+)\}", lambda found: words[found[1]], value)
        for key, value in about.get("params", {}).items()
    }
    param, auth = about.get("token_param", "token"), about.get("auth")
    kind = about.get("token", "refresh_token")
    if auth != "bearer":
        fields[param] = {"refresh_token": "a-refresh-token", "access_token": "an-access-token"}[kind]
        if param == "token" and about.get("format", "form") == "form":
            fields["token_type_hint"] = kind
    url = re.sub(r"\{(\w+)\}", lambda found: quote(words[found[1]], safe=""), about["url"])
    json_body = about.get("format") == "json"
    (request,) = desk.transport.kept
    desk.expect(request, about.get("method", "POST"), url, fields, auth=auth, json=json_body)


HUBSPOT = {
    "/oauth/2026-03/token": {
        "client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_verifier",
        "grant_type", "redirect_uri", "refresh_token", "scope",
    },
    "/oauth/2026-03/token/introspect": {"client_id", "client_secret", "token", "token_type_hint"},
    "/oauth/2026-03/token/revoke": {"client_id", "client_secret", "token", "token_type_hint"},
}  # fmt: skip
"""The form fields that each path takes, from HubSpot's OpenAPI document of its OAuth API, version 2026-03."""


async def test_hubspots_requests_have_the_paths_and_fields_of_its_own_description():
    desk = Desk("hubspot")
    app = await desk.app()
    await desk.client.exchange(app, code=Secret("c"), verifier=Secret(VERIFIER), redirect_uri=CALLBACK)
    await desk.client.refresh(app, desk.tokens)
    await desk.client.introspect(app, desk.tokens)
    await desk.client.revoke(app, desk.tokens)
    paths = []
    for request in desk.transport.kept:
        parts = urlsplit(str(request.url))
        assert (request.method, parts.scheme, parts.netloc, parts.query) == ("POST", "https", "api.hubapi.com", "")
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert dict(parse_qsl(request.content.decode())).keys() <= HUBSPOT[parts.path]
        paths.append(parts.path)
    assert set(paths) == HUBSPOT.keys()

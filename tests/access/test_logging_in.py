"""The SDK's own OAuth client finds its way in: discovery, registration, login, and step-up when it comes to that.

The authorization server is oidc-provider, which we did not write; the person at the browser is played on its own pages.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from gateway.testing.browser import Browser
from tests.access.conftest import Serve, TeamGateway, TokenIssuer

CALLBACK = "http://127.0.0.1:49152/callback"


class Kept(TokenStorage):
    """What the client keeps, in memory; `scopes` of each token that it got."""

    def __init__(self) -> None:
        self.token: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        self.scopes: list[str | None] = []

    async def get_tokens(self) -> OAuthToken | None:
        return self.token

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.token = tokens
        self.scopes.append(tokens.scope)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Somebody at a browser, to whom the client hands the address at which to log in."""

    def __init__(self, browser: Browser, name: str) -> None:
        self.browser, self.name = browser, name
        self.went: list[str] = []

    async def go(self, url: str) -> None:
        page = await self.browser.consent(url, user=self.name, stop_at=CALLBACK)
        self.went.append(page.url)

    async def come_back(self) -> AuthorizationCodeResult:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.went[-1]).query).items()}
        assert "code" in query, query
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


@pytest.fixture(scope="module")
def gateway(serve: Serve, token_issuer: TokenIssuer) -> TeamGateway:
    return serve(f'[access]\nissuer = "{token_issuer.url}"\nstep_up = true\n')


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_new_client_logs_a_person_in_and_asks_for_more_when_a_tool_needs_it(
    gateway: TeamGateway, mode: str
) -> None:
    kept = Kept()
    metadata = OAuthClientMetadata(client_name="a client", redirect_uris=[CALLBACK], application_type="native")
    with anyio.fail_after(60):
        async with Browser() as browser:
            person = Person(browser, "ada")
            login = OAuthClientProvider(gateway.mcp, metadata, kept, person.go, person.come_back)
            async with (
                httpx2.AsyncClient(auth=login, trust_env=False, timeout=30) as http,
                Client(streamable_http_client(gateway.mcp, http_client=http), mode=mode) as client,
            ):
                assert (await client.call_tool("greet", {})).content[0].text == "hello"
                assert (await client.call_tool("wipe", {})).content[0].text == "wiped"

    first, second = ({*str(scope).split()} for scope in kept.scopes)
    assert "tools:destructive" not in first
    assert {"tools", "tools:destructive"} <= second

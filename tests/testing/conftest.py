"""An authorization server, reached in process, and an app that is registered there."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from gateway.clock import MovableClock
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.page import Page

CALLBACK = "https://app.example/callback"


@dataclass
class App:
    """A client of the server, doing by hand what an OAuth library does."""

    issuer: str
    http: httpx2.AsyncClient
    transport: httpx2.ASGITransport
    verifier: str

    def browser(self) -> Browser:
        """Another person's browser."""
        return Browser(httpx2.AsyncClient(transport=self.transport))

    def authorization_url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        params: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": CALLBACK,
            "scope": "openid contacts",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        given = {name: value for name, value in (params | changes).items() if value is not None}
        return f"{self.issuer}/authorize?{urlencode(given)}"

    async def consent(self, *, user: str = "alice", approve: bool = True, **changes: str | None) -> dict[str, str]:
        """What the callback receives."""
        async with self.browser() as browser:
            page = await browser.consent(
                self.authorization_url(**changes),
                user,
                approve=approve,
                stop_at=changes.get("redirect_uri") or CALLBACK,
            )
        return answer_of(page)

    async def token(self, auth: tuple[str, str] | None = ("app", "app secret"), **form: str) -> httpx2.Response:
        return await self.http.post(f"{self.issuer}/token", data=form, auth=auth)

    async def redeem(self, code: str, **changes: str) -> httpx2.Response:
        form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": self.verifier} | changes
        return await self.token(grant_type="authorization_code", **form)

    async def refresh(self, refresh_token: str, **more: str) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token, **more)

    async def tokens(self, user: str = "alice", **changes: str | None) -> dict[str, Any]:
        answer = await self.redeem((await self.consent(user=user, **changes))["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def userinfo(self, access_token: str) -> httpx2.Response:
        return await self.http.get(f"{self.issuer}/userinfo", headers={"Authorization": f"Bearer {access_token}"})

    async def ask(self, endpoint: str, token: str) -> httpx2.Response:
        return await self.http.post(f"{self.issuer}/{endpoint}", data={"token": token}, auth=("app", "app secret"))


def answer_of(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def server(clock: MovableClock) -> AuthorizationServer:
    return AuthorizationServer(
        RegisteredClient("app", "app secret", (CALLBACK, "http://127.0.0.1/callback")),
        RegisteredClient("other", "other secret", (CALLBACK,)),
        RegisteredClient("public", None, (CALLBACK,)),
        clock=clock,
    )


@pytest.fixture
async def app(server: AuthorizationServer) -> AsyncIterator[App]:
    transport = httpx2.ASGITransport(server)
    async with httpx2.AsyncClient(transport=transport) as http:
        yield App("https://vendor.example", http, transport, secrets.token_urlsafe(48))

"""A twin on a real port, and an app that is registered there and does by hand what an OAuth library does."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from gateway.clock import MovableClock
from gateway.testing.browser import Browser
from gateway.testing.twins.twin import Twin, make_twin

PATIENCE = 5.0


@dataclass
class App:
    """The client of a twin. `params` go into every authorization request."""

    twin: Twin
    http: httpx2.AsyncClient
    params: dict[str, str] = field(default_factory=dict)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:9/oauth/callback/{self.twin.id}"

    def authorization_url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        params: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.twin.client.id,
            "redirect_uri": self.redirect_uri,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        given = {name: value for name, value in (params | self.params | changes).items() if value is not None}
        address = self.twin.table()["authorization_url"].replace("{tenant}", "common")
        return f"{address}?{urlencode(given)}"

    async def consent(
        self, user: str = "alice", *, approve: bool = True, values: dict[str, str] | None = None, **changes: str | None
    ) -> dict[str, str]:
        """What the callback receives."""
        async with Browser() as browser:
            page = await browser.consent(
                self.authorization_url(**changes), user, approve=approve, values=values, stop_at=self.redirect_uri
            )
        return dict(parse_qsl(urlsplit(page.url).query))

    async def post(self, url: str, **form: str) -> httpx2.Response:
        own = {"client_id": self.twin.client.id, "client_secret": self.twin.client.secret or ""}
        return await self.http.post(url.replace("{tenant}", "common"), data={**own, **form})

    async def redeem(self, code: str, **changes: str) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return await self.post(self.twin.table()["token_url"], **{**form, "code_verifier": self.verifier, **changes})

    async def refresh(self, refresh_token: str, **more: str) -> httpx2.Response:
        url = self.twin.table()["token_url"]
        return await self.post(url, grant_type="refresh_token", refresh_token=refresh_token, **more)

    async def tokens(self, user: str = "alice", values: dict[str, str] | None = None, **changes: str | None) -> Any:
        """A good token answer after a consent."""
        answer = await self.redeem((await self.consent(user, values=values, **changes))["code"])
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def revoke(self, token: str) -> httpx2.Response:
        return await self.post(self.twin.table()["revocation"]["url"], token=token)

    async def introspect(self, token: str) -> httpx2.Response:
        return await self.post(self.twin.table()["introspection"]["url"], token=token)

    async def get(self, path: str, token: str | None) -> httpx2.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.get(f"{self.twin.url}{path}", headers=headers)


Serve = Callable[..., AbstractAsyncContextManager[App]]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def app_of(clock: MovableClock) -> Serve:
    """Serves the twin of a name, and gives its app."""

    @asynccontextmanager
    async def serve(name: str, **params: str) -> AsyncIterator[App]:
        twin = make_twin(name, clock)
        async with twin.served(), httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            yield App(twin, http, params)

    return serve


@pytest.fixture
async def app(app_of: Serve) -> AsyncIterator[App]:
    """The hostile twin's."""
    async with app_of("hostile", scope="openid contacts") as app:
        yield app

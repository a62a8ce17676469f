"""A gateway whose people sign in at the browser, with the company's identity provider beside it; and their browsers."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from gateway import app
from gateway.access.authenticator import local_principal
from gateway.access.sign_in import SignIn
from gateway.clock import MovableClock
from gateway.deferred import Accounts
from gateway.entry import entry_of
from gateway.settings import load_settings
from gateway.testing.browser import Browser
from gateway.testing.page import Page
from gateway.types import CredentialKind, Flow, Principal, Requirement
from gateway.web_app import bind, serve_until_left, team_app
from tests.journeys.oidc_provider import CLIENT_SECRET, oidc_provider

CALLBACK = "http://127.0.0.1:49153/callback"
SECRET = CLIENT_SECRET
PASSWORD = "four plain words in a row"

TOOLKIT = '''
from gateway import ToolKitClient

client = ToolKitClient(app_name="fixture")


@client.tool(read_only=True)
def greet() -> str:
    """Say hello."""
    return "hello"

'''


@dataclass
class Office:
    url: str
    company: str
    accounts: Accounts
    sign_in: SignIn
    clock: MovableClock

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"

    async def invitation(self, email: str, name: str | None = None) -> str:
        """The address of a new one."""
        assert self.sign_in.local
        invited = await self.sign_in.local.invite(email, name, by=local_principal())
        return f"{self.url}/invitation/{invited.code.reveal()}"

    async def member(self, email: str) -> None:
        """An account with PASSWORD, whose owner has gone home."""
        async with Browser() as browser:
            page = await browser.open(await self.invitation(email))
            page = await browser.press(page, "Set password", {"password": PASSWORD})
            assert "second factor" in page.title, page.text

    async def begin_flow(self, person: Principal) -> Flow:
        """What a tool that needs a key of theirs begins."""
        need = Requirement("anthropic", CredentialKind.API_KEY)
        return await self.accounts.flows.begin(person, "a host", need, "count")

    async def by_company(self, browser: Browser, name: str, path: str = "/connections") -> Page:
        """Where somebody ends up who wants to see a page, and signs in with the company's provider."""
        page = await browser.open(f"{self.url}{path}")
        page = await browser.press(page, "Continue with")
        while page.url.startswith(self.company):
            page = await browser.press(page, "", user=name)
        return page


@asynccontextmanager
async def company() -> AsyncIterator[str]:
    """The issuer of the company's identity provider: oidc-provider, which we did not write."""
    async with oidc_provider("http://127.0.0.1/login/callback") as provider:
        yield provider.issuer


@asynccontextmanager
async def office(folder: Path, access: str = "builtin = true\nlocal_accounts = true\n") -> AsyncIterator[Office]:
    """It is open while the block lasts. Its clock may be moved forward by less than an hour in all: the company has its
    own."""
    async with company() as issuer:
        (folder / "tools.py").write_text(TOOLKIT)
        login = f'login_issuer = "{issuer}"\nlogin_client_id = "gateway"\nlogin_client_secret = "{SECRET}"\n'
        (folder / "gateway.toml").write_text(f"[access]\n{login}{access}")
        (folder / "gateway.toml").chmod(0o600)
        environ = {
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        clock = MovableClock()
        gateway = app.build(load_settings(folder / "gateway.toml", environ), clock=clock)
        async with app.listening(gateway):
            gateway.load([str(folder / "tools.py")])
            with bind("127.0.0.1", 0) as listener:
                port = listener.getsockname()[1]
                gateway.base_url = f"http://127.0.0.1:{port}"
                accounts = await gateway.accounts.open()
                entry = entry_of(
                    gateway.settings.access, accounts, gateway.audit, gateway.base_url, local=gateway.principal
                )
                assert entry.sign_in
                gateway.authenticator = entry.authenticator
                async with serve_until_left(team_app(gateway, accounts, entry, "127.0.0.1", port), listener):
                    yield Office(gateway.base_url, issuer, accounts, entry.sign_in, clock)


@asynccontextmanager
async def bare(office: Office, **more: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser by hand: keeps cookies, follows nothing."""
    headers = {"accept": "text/html", **more.pop("headers", {})}
    async with httpx2.AsyncClient(base_url=office.url, trust_env=False, timeout=20, headers=headers, **more) as client:
        yield client

"""A team's gateway with everything in it that a page can show: people, accounts, programs, a past.

It is the real application on a socket, with one provider's twin beside it: the same server is the company's identity
provider, where people's accounts are, and where a program describes itself. Its clock stands, so that what a page shows
is the same every time.

Below: the application. Above: states, which says how one gets to each page.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import app
from gateway.access.passwords import Passwords
from gateway.app import Gateway
from gateway.clock import MovableClock
from gateway.deferred import Accounts
from gateway.entry import Entry, entry_of
from gateway.people_types import LocalAccount
from gateway.secret import Secret
from gateway.settings import load_settings
from gateway.surfaces.doors import Doors
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from gateway.types import Connection, Flow, Principal, Requirement
from gateway.web_app import bind, serve_until_left, team_app

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
PASSWORD = Secret("four plain words in a row")
SITE, DEVICE, ANY_APP = "https://claude.ai/api/mcp/auth_callback", "http://127.0.0.1:33418/", "cursor://anysphere/cb"
VERIFIER, CHALLENGE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

TOOLKIT = '''
from gateway import Credential, ToolKitClient

client = ToolKitClient(app_name="crm")
SCOPES = {
    "hubspot": ["crm.objects.contacts.read"],
    "google": ["https://www.googleapis.com/auth/calendar"],
    "acme": ["openid", "email"],
    "zendesk": ["tickets:read"],
}


@client.tool(auth_provider="hubspot", scopes=SCOPES["hubspot"], read_only=True)
def find_contacts(credential: Credential) -> str:
    """Find contacts by name or address."""
    return "none"


@client.tool(auth_provider="hubspot", scopes=["crm.objects.contacts.write", "tickets"], destructive=True)
def delete_contact(credential: Credential) -> str:
    """Delete a contact for good."""
    return "deleted"


@client.tool(auth_provider="google", scopes=SCOPES["google"])
def list_events(credential: Credential) -> str:
    """What is in the calendar."""
    return "nothing"


@client.tool(auth_provider="acme", scopes=SCOPES["acme"])
def whoami(credential: Credential) -> str:
    """Whose account it is."""
    return "somebody"


@client.tool(auth_provider="zendesk", scopes=SCOPES["zendesk"])
def list_tickets(credential: Credential) -> str:
    """Open tickets."""
    return "none"


@client.tool(auth_provider="openai", auth_type="apiKey")
def transcribe(credential: Credential) -> str:
    """Write down what is said in a recording."""
    return "nothing"
'''


class Seen(NamedTuple):
    """One answer that went out: `route` is the one that gave it, None where none was entered."""

    method: str
    route: str | None
    status: int
    media_type: str
    cookies: tuple[str, ...]


class Porch:
    """ASGI, in front of the gateway: notes every answer."""

    def __init__(self, inside: ASGIApp, routes: list[BaseRoute]) -> None:
        self.seen: list[Seen] = []
        self._inside = inside
        self._routes = routes

    @property
    def page(self) -> Seen:
        """The last answer that was a page."""
        return next(each for each in reversed(self.seen) if each.media_type == "text/html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
                kind = dict(headers).get("content-type", "").partition(";")[0]
                cookies = tuple(value for name, value in headers if name == "set-cookie")
                self.seen.append(Seen(scope["method"], self._route(scope), message["status"], kind, cookies))
            await send(message)

        await self._inside(scope, receive, noted if scope["type"] == "http" else send)

    def _route(self, scope: Scope) -> str | None:
        return next((each.path for each in self._routes if each.matches(scope)[0] is Match.FULL), None)


@dataclass
class Hall:
    """`people` are the accounts kept here, by first name. `routes` and `doors` are the application's."""

    folder: Path
    url: str
    gateway: Gateway
    accounts: Accounts
    entry: Entry
    provider: AuthorizationServer
    issuer: str
    clock: MovableClock
    porch: Porch
    routes: list[BaseRoute]
    doors: Doors
    people: dict[str, LocalAccount] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)

    def principal(self, name: str) -> Principal:
        assert self.entry.sign_in
        assert self.entry.sign_in.local
        return self.entry.sign_in.local.principal(self.people[name])

    async def join(self, name: str, full_name: str) -> None:
        """An account, and a browser's session."""
        sign_in = self.entry.sign_in
        assert sign_in
        assert sign_in.local
        invited = await sign_in.local.invite(f"{name}@example.com", full_name, by=self.gateway.principal)
        self.people[name] = await sign_in.local.accept(invited.code.reveal(), PASSWORD)
        self.sessions[name] = (await sign_in.arrive(sign_in.local.arrival(self.people[name]), None)).reveal()

    async def invitation(self, email: str, name: str | None = None) -> str:
        """The path of a new one."""
        assert self.entry.sign_in
        assert self.entry.sign_in.local
        invited = await self.entry.sign_in.local.invite(email, name, by=self.gateway.principal)
        return f"/invitation/{invited.code.reveal()}"

    async def flow(self, person: Principal, need: Requirement, client: str = "Claude Desktop", **more: Any) -> Flow:
        """A consent that is asked for."""
        tool = more.pop("tool", "find_contacts")
        return await self.accounts.flows.begin(person, client, need, tool, **more)

    async def keep(self, connection: Connection) -> None:
        """Put a connection among the others, whose tokens nobody is ever going to need."""
        assert await self.accounts.store.connections.insert(connection)

    async def connection(self, name: str, provider: str) -> Connection:
        """Theirs, at a provider where they have one."""
        [found] = [
            each for each in await self.accounts.connections.list(self.principal(name)) if each.provider == provider
        ]
        return found

    async def consent(self, name: str, flow: Flow, user: str) -> None:
        """Go through with a consent, at another window of the same browser."""
        async with Browser(self.client(name)) as browser:
            page = await browser.consent(f"{self.url}/connect/{flow.id}", user)
            assert page.status == 200, page.text

    def client(self, name: str | None = None) -> httpx2.AsyncClient:
        """Somebody's browser without its hands."""
        cookies = {"atp-session": self.sessions[name]} if name else {}
        return httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=20, cookies=cookies)

    @property
    def described(self) -> str:
        """The id of a program that describes itself, at the address that this is."""
        [host] = self.gateway.settings.access.document_hosts
        return f"http://{host}/programs/notes.json"

    async def authorize(self, client_name: str, redirect_uri: str, **more: str) -> str:
        """The path that a new program of this name sends people to."""
        assert self.entry.own
        assert self.entry.own.registration
        told = {"client_name": client_name, "redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none"}
        registered = await self.entry.own.registration.register(told, "192.0.2.1")
        return self.authorize_as(registered["client_id"], redirect_uri, **more)

    async def let_in(self, name: str, path: str) -> None:
        """Say yes to a program, and have it fetch its tokens."""
        async with self.client(name) as client:
            browser = Browser(client)
            back = await browser.press(await browser.open(self.url + path), "Allow", stop_at=_addressee(path))
            form = {"grant_type": "authorization_code", "code_verifier": VERIFIER, "code": _of(back.url, "code")}
            form |= {name: _of(path, name) for name in ("client_id", "redirect_uri")}
            assert (await client.post("/token", data=form)).status_code == 200

    def authorize_as(self, client_id: str, redirect_uri: str, **more: str) -> str:
        asked = {"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "state": "s"}
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "resource": f"{self.url}/mcp"}
        return f"/authorize?{urlencode(asked | more)}"


def _of(url: str, name: str) -> str:
    return parse_qs(urlsplit(url).query)[name][0]


def _addressee(path: str) -> str:
    return _of(path, "redirect_uri").partition("?")[0]


@asynccontextmanager
async def hall(folder: Path, base_url: str | None = None) -> AsyncIterator[Hall]:
    """It is open while the block lasts. With `base_url` it believes that browsers reach it there."""
    places = ("http://127.0.0.1", base_url or "")
    callbacks = tuple(f"{place}{path}" for place in places for path in ("/oauth/callback/acme", "/login/callback"))
    clock = MovableClock(NOW)
    twin = AuthorizationServer(RegisteredClient("gateway", "a secret between the two", callbacks), clock=clock)
    programs: dict[str, dict[str, Any]] = {}

    async def describe(request: Any) -> JSONResponse:
        return JSONResponse(programs[request.url.path])

    beside = Starlette(routes=[Route("/programs/{name}", describe), Mount("/", twin)])
    async with serving(beside) as address:
        issuer = address.replace("127.0.0.1", "localhost")
        about = f"{address}/programs/notes.json"
        uris = [SITE, "http://127.0.0.1/"]
        programs["/programs/notes.json"] = {"client_id": about, "client_name": "Notes", "redirect_uris": uris}
        gateway = app.build(load_settings(*_settings(folder, issuer, address)), clock=clock, for_a_team=True)
        async with app.listening(gateway):
            gateway.load([str(folder / "crm.py")])
            with bind("127.0.0.1", 0) as listener:
                port = listener.getsockname()[1]
                url = gateway.base_url = base_url or f"http://127.0.0.1:{port}"
                accounts = await gateway.accounts.open()
                entry = entry_of(gateway.settings.access, accounts, gateway.audit, url, local=gateway.principal)
                gateway.authenticator = entry.authenticator
                assert entry.sign_in
                assert entry.sign_in.local
                entry.sign_in.local._passwords = Passwords(PasswordHasher(1, 64, 1))  # there is little time
                edge: Any = team_app(gateway, accounts, entry, "127.0.0.1", port)
                routes = list(edge._app._rest.routes)
                porch = Porch(edge, routes)
                made = Hall(folder, url, gateway, accounts, entry, twin, issuer, clock, porch, routes, edge._doors)
                async with serve_until_left(porch, listener):
                    yield made


def _settings(folder: Path, issuer: str, programs: str) -> tuple[Path, Mapping[str, str]]:
    (folder / "crm.py").write_text(TOOLKIT)
    shared = {"client_id": "gateway", "client_secret": "a secret between the two"}
    tables: dict[str, dict[str, Any]] = {
        "access": {
            "builtin": True,
            "local_accounts": True,
            "login_issuer": issuer,
            "login_client_id": "gateway",
            "login_client_secret": "a secret between the two",
            "document_hosts": [programs.removeprefix("http://")],
        },
        "access.clients.intranet": {"name": "Intranet", "redirect_uris": [SITE]},
        "providers.acme": {"name": "Acme", "issuer": issuer, **shared},
        **{f"providers.{name}": shared for name in ("google", "hubspot", "microsoft", "salesforce", "zendesk")},
        "providers.openai": {"name": "OpenAI"},
        "providers.freshdesk": {"name": "Freshdesk"},
    }
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    ]
    (folder / "gateway.toml").write_text("\n".join(lines))
    return folder / "gateway.toml", {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }

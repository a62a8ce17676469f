"""What every proof stands on: a provider that keeps a log, a clock for all, and gateways wired as people run them.

The provider, called acme, answers on a real port. Its log and its memory are the oracle: how often it was asked, and
whether a token that a tool was given is alive. Tools answer with their token's digest, because a token is redacted.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from gateway import app
from gateway.app import Gateway
from gateway.clock import Clock, SystemClock
from gateway.deferred import Outside
from gateway.oauth.grants import Grants
from gateway.oauth.live_tokens import LiveTokens
from gateway.settings import Settings, load_settings
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import Grant, RegisteredClient
from gateway.testing.serving import serving
from gateway.toolkit.context import NullChannel
from gateway.types import Call, Client, Connection, Done, Flow, Outcome, Principal, Requirement, TokenSet
from gateway.vault.key_sources import new_key
from tests.proofs.standing_clock import StandingClock

BASE_URL = "http://127.0.0.1:9"
CALLBACK = f"{BASE_URL}/oauth/callback/acme"
LIFE = timedelta(hours=1)
EXPIRED = timedelta(hours=2)
LEASE = timedelta(seconds=31)
NEED = Requirement("acme")

TOOLKIT = """
import hashlib
import json
import urllib.request

from gateway import ToolKitClient

client = ToolKitClient(app_name="proof")


@client.tool(auth_provider="acme", auth_type="OAuth2")
async def which(auth_token: str) -> str:
    "Say which token this is, without saying it."
    return hashlib.sha256(auth_token.encode()).hexdigest()


@client.tool(auth_provider="acme", auth_type="OAuth2")
def whoami(auth_token: str) -> str:
    "Ask the provider whose token this is."
    request = urllib.request.Request("{issuer}/userinfo", headers={{"Authorization": f"Bearer {{auth_token}}"}})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["preferred_username"]
"""


@dataclass(frozen=True)
class Place:
    """Where a gateway of this world runs: all that another process has to be told."""

    database: str
    key: str
    issuer: str
    clock: str
    toolkit: str

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def environ(self) -> dict[str, str]:
        """Its settings, as they stand in the environment behind ATP_GATEWAY_."""
        acme = "PROVIDERS__ACME"
        return {
            "SERVER_PORT": "0",
            "DATABASE_URL": self.database,
            "VAULT_KEY": self.key,
            f"{acme}__CLIENT_ID": "our id",
            f"{acme}__CLIENT_SECRET": "our secret",
            f"{acme}__ISSUER": self.issuer,
        }

    def settings(self) -> Settings:
        return load_settings(None, {f"ATP_GATEWAY_{name}": text for name, text in self.environ().items()})

    @asynccontextmanager
    async def gateway(self, clock: Clock, outside: Outside | None = None) -> AsyncIterator[Gateway]:
        """A gateway with one tool, without a listener."""
        gateway = app.build(self.settings(), clock=clock, outside=outside)
        gateway.base_url = BASE_URL
        gateway.load([self.toolkit])
        async with app.listening(gateway):
            yield gateway


@dataclass
class World:
    """One provider and the place of the gateways that use it."""

    place: Place
    server: AuthorizationServer
    clock: StandingClock

    @asynccontextmanager
    async def gateway(self, outside: Outside | None = None) -> AsyncIterator[Gateway]:
        async with self.place.gateway(self.clock, outside) as gateway:
            yield gateway

    async def row(self, gateway: Gateway) -> Connection:
        [connection] = await rows(gateway)
        return connection

    async def connect(self, gateway: Gateway, user: str = "alice", principal: Principal | None = None) -> Flow:
        """A person, by default the gateway's own, goes through the provider's pages and signs in there as `user`."""
        flows, me = (await gateway.accounts.open()).flows, principal or gateway.principal
        flow = await flows.begin(me, "proof", NEED, "whoami")
        started = await flows.start(flow.id, me)
        async with Browser() as browser:
            page = await browser.consent(started.authorization_url, user, stop_at=f"{gateway.base_url}/oauth/callback/")
        return await flows.complete("acme", query_of(page.url), started.browser_token.reveal(), me)

    async def refresh_token_is_alive(self, gateway: Gateway) -> bool:
        """Whether the provider would still take the refresh token that is stored."""
        return await self.takes(gateway, await self.row(gateway))

    async def takes(self, gateway: Gateway, row: Connection) -> bool:
        """Whether the provider would take this row's refresh token."""
        stored = (await tokens_of(gateway, row)).refresh_token
        return stored is not None and self.server.grants.find_live_refresh(stored.reveal()) is not None


@asynccontextmanager
async def world_in(folder: Path, database: str) -> AsyncIterator[World]:
    """A world on this database, for the block. Its provider is strict: it rotates, and a token that was replaced ends
    the grant when it comes back."""
    clock = StandingClock(folder / "clock")
    server = AuthorizationServer(registered(), clock=clock)
    server.behaviour.access_lifetime = LIFE
    server.behaviour.rotates = True
    async with serving(server) as issuer:
        yield World(place_in(folder, database, issuer), server, clock)


async def tokens_of(gateway: Gateway, row: Connection) -> TokenSet:
    accounts = await gateway.accounts.open()
    clock = SystemClock()
    return await Grants(accounts.store.connections, accounts.vault, LiveTokens(clock), clock).open(row)


def agree(world: World, authorization_url: str, user: str) -> dict[str, str]:
    """What the provider's redirect brings us once a person has agreed, without their walk through its pages."""
    asked = query_of(authorization_url)
    grant = Grant(asked["client_id"], world.server.people[user], frozenset(asked.get("scope", "").split()))
    code = world.server.grants.put_code(grant, asked["redirect_uri"], asked["code_challenge"], asked.get("nonce"))
    return {"code": code, "state": asked["state"], "iss": world.place.issuer}


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


async def call(gateway: Gateway, tool: str = "whoami") -> Outcome:
    """What a host does."""
    return await gateway.executor.call(Call(gateway.principal, Client("proof"), tool, {}, "1", NullChannel()))


async def rows(gateway: Gateway) -> list[Connection]:
    return await (await gateway.accounts.open()).store.connections.list_all(gateway.principal)


def registered() -> RegisteredClient:
    return RegisteredClient("our id", "our secret", (CALLBACK, "http://127.0.0.1/oauth/callback/acme"))


def place_in(folder: Path, database: str, issuer: str) -> Place:
    toolkit = folder / "proof.py"
    toolkit.write_text(TOOLKIT.format(issuer=issuer))
    return Place(database, new_key().reveal(), issuer, str(folder / "clock"), str(toolkit))


def said(outcome: Outcome) -> str:
    """What a tool answered; for every other outcome, what it was."""
    return str(outcome.result.structured) if isinstance(outcome, Done) else repr(outcome)

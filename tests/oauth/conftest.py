"""A person, a gateway's OAuth side put together as in production, and an authorization server on a real port."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.oauth.apps import Apps, ProviderSettings
from gateway.oauth.broker import Broker
from gateway.oauth.choice import Choice
from gateway.oauth.client import OAuthClient
from gateway.oauth.connections import Connections
from gateway.oauth.consent import Consent
from gateway.oauth.discovery import Discovery
from gateway.oauth.flows import Flows
from gateway.oauth.grants import Grants
from gateway.oauth.http import ProviderTransport
from gateway.oauth.identity import Account, Accounts
from gateway.oauth.live_tokens import LiveTokens
from gateway.oauth.overview import Overview
from gateway.oauth.own_access import OwnAccess
from gateway.oauth.refresher import Refresher
from gateway.oauth.revocations import Revocations
from gateway.oauth.unstored import Unstored
from gateway.providers.catalogue import Catalogue
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from gateway.toolkit.context import NullChannel
from gateway.types import (
    Call,
    Client,
    Connection,
    Credential,
    CredentialKind,
    Flow,
    NeedsConnection,
    Principal,
    Requirement,
    TokenSet,
)
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.oauth.town import town  # noqa: F401 - a fixture

ALICE = Principal("https://login.example.com", "alice")
BOB = Principal("https://login.example.com", "bob")
BASE_URL = "http://127.0.0.1:9"
CALLBACK = f"{BASE_URL}/oauth/callback/acme"
NO_FOLDER = Path(os.devnull) / "pending-refresh"
"""Of a gateway that has nowhere to write."""


class House:
    """Everything between the executor and the provider, with one provider called acme."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        clock: MovableClock,
        tables: Mapping[str, Any],
        settings: ProviderSettings,
        *,
        pending: Path = NO_FOLDER,
    ) -> None:
        self.store, self.vault, self.clock = store, vault, clock
        self.base_url = BASE_URL
        self.transport = ProviderTransport()
        self.audit = AuditLog(store.audit.append, clock)
        self.client = OAuthClient(self.transport, clock)
        self.live = LiveTokens(clock)
        self.grants = Grants(store.connections, vault, self.live, clock)
        self.apps = Apps(
            Catalogue.load(tables), dict.fromkeys(["acme", *tables], settings), Discovery(self.transport, clock)
        )
        accounts = Accounts(self.client, self.transport, clock)
        self.flows = Flows(
            store.flows,
            self.grants,
            apps=self.apps,
            consent=Consent(self.client, accounts, self.grants, vault=vault, audit=self.audit, clock=clock),
            audit=self.audit,
            clock=clock,
            base_url=self._where,
        )
        self.unstored = Unstored(
            pending, store.leases, self.grants, vault=vault, audit=self.audit, clock=clock
        )  # fmt: skip
        self.refresher = Refresher(
            store.leases, self.grants, self.unstored, apps=self.apps, client=self.client, audit=self.audit, clock=clock
        )
        self.own = OwnAccess(self.apps, self.client, clock)
        self.choice = Choice(store.connections, self.live, clock)
        self.broker = Broker(
            self.choice,
            self.grants,
            own=self.own,
            flows=self.flows,
            apps=self.apps,
            refresher=self.refresher,
            clock=clock,
        )
        self.revocations = Revocations(
            store.revocations,
            store.connections,
            vault,
            apps=self.apps,
            client=self.client,
            audit=self.audit,
            clock=clock,
        )
        self.connections = Connections(
            store.connections,
            self.grants,
            self.unstored,
            apps=self.apps,
            revocations=self.revocations,
            audit=self.audit,
        )

        self.overview = Overview(store.connections, self.grants, flows=self.flows, apps=self.apps, audit=self.audit)

    async def _where(self) -> str:
        return self.base_url

    async def close(self) -> None:
        await self.refresher.close()
        await self.choice.close()
        await self.own.close()
        await self.flows.close()
        await self.connections.close()
        await self.revocations.close()
        await self.audit.close()
        await self.transport.close()

    async def credential(
        self, *scopes: str, principal: Principal = ALICE, provider: str = "acme"
    ) -> Credential | NeedsConnection | Exception:
        requirement = Requirement(provider, scopes=frozenset(scopes))
        return await self.broker.credential(call_of(principal), requirement)

    async def begin(self, *scopes: str, principal: Principal = ALICE) -> Flow:
        return await self.flows.begin(principal, "test host", Requirement("acme", scopes=frozenset(scopes)), "tool")

    async def come_back(self, flow: Flow, user: str = "alice", *, approve: bool = True) -> Returned:
        """Press Connect and go through the provider's pages up to the redirect to us."""
        started = await self.flows.start(flow.id, flow.principal)
        async with Browser() as browser:
            page = await browser.consent(started.authorization_url, user, approve=approve, stop_at=CALLBACK)
        return Returned(dict(parse_qsl(urlsplit(page.url).query)), started.browser_token.reveal())

    async def connect(self, *scopes: str, principal: Principal = ALICE, user: str = "alice") -> Flow:
        flow = await self.begin(*scopes, principal=principal)
        back = await self.come_back(flow, user)
        return await self.flows.complete("acme", back.query, back.browser, principal)

    async def actions(self, principal: Principal = ALICE) -> list[str]:
        """What the audit says was done, sorted: the clock stands still."""
        await self.audit.flush()
        return sorted(event.action for event in await self.store.audit.list_latest(principal))

    async def hold(self, *scopes: str, life: timedelta | None = timedelta(hours=1), **more: Any) -> Connection:
        """A connection with made-up tokens, as if it had been made just now."""
        variables = more.pop("variables", None)
        tokens = TokenSet(
            Secret(more.pop("access", "old-access-token")),
            more.pop("refresh", Secret("old-refresh-token")),
            self.clock.now() + life if life else None,
            frozenset(scopes),
            more.pop("extras", {}),
        )
        return await self.grants.put(
            ALICE, "acme", CredentialKind.OAUTH2, Account("account-1", "alice"), tokens, variables=variables
        )

    async def row(self) -> Connection:
        [connection] = await self.store.connections.list_all(ALICE)
        return connection


@dataclass(frozen=True)
class Returned:
    query: dict[str, str]
    browser: str


def call_of(principal: Principal = ALICE, account: str | None = None) -> Call:
    return Call(principal, Client("test host"), "tool", {}, "call-1", NullChannel(), account)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def vault() -> Vault:
    return Vault(Keyring([new_key()]))


@pytest.fixture
def database(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    store = await Store.open(database)
    yield store
    await store.close()


@pytest.fixture
async def server(clock: MovableClock) -> AuthorizationServer:
    server = AuthorizationServer(RegisteredClient("our id", "our secret", (CALLBACK,)), clock=clock)
    server.behaviour.access_lifetime = timedelta(hours=1)
    return server


@pytest.fixture
async def issuer(server: AuthorizationServer) -> AsyncIterator[str]:
    async with serving(server) as url:
        yield url


SETTINGS = ProviderSettings(client_id="our id", client_secret=Secret("our secret"), name="Acme")


@pytest.fixture
async def house(store: Store, vault: Vault, clock: MovableClock, issuer: str) -> AsyncIterator[House]:
    """Acme is configured by its issuer alone."""
    house = House(store, vault, clock, {}, replace(SETTINGS, issuer=issuer))
    yield house
    await house.close()


@pytest.fixture
def house_of(store: Store, vault: Vault, clock: MovableClock) -> Any:
    """Makes a house whose acme is described by a table; so may others be."""

    @asynccontextmanager
    async def make(
        table: Mapping[str, Any], settings: ProviderSettings = SETTINGS, **others: Mapping[str, Any]
    ) -> AsyncIterator[House]:
        house = House(store, vault, clock, {"acme": table, **others}, settings)
        try:
            yield house
        finally:
            await house.close()

    return make


class ScriptedEndpoint:
    """A token endpoint on a raw socket: it sends the bytes it was given, honest HTTP or not."""

    def __init__(self) -> None:
        self.reply = b""
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.drip = False
        """Send the reply and then nothing, and do not close."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            self.requests.append(head + await reader.readexactly(int(found[1]) if found else 0))
            self.asked.set()
            writer.write(self.reply)
            await writer.drain()
            if self.drip:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up
        finally:
            writer.close()


def http(status: str, body: bytes | str | Any, *headers: str) -> bytes:
    """A reply as it goes over the wire. What is not text is sent as JSON."""
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    raw = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[ScriptedEndpoint, str]]:
    scripted = ScriptedEndpoint()
    server = await asyncio.start_server(scripted.answer, "127.0.0.1", 0)
    yield scripted, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()

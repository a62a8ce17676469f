"""A gateway's ATP surface on a real port, with stand-ins for the oauth room, and the clients that apps use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from atp_sdk.clients import LLMClient as Published  # here: once a toolkit was loaded, the name is ours
from looped import LoopedLLMClient
from starlette.applications import Starlette

from gateway.access.policy import OnePersonPolicy
from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.errors import GatewayError, KeyRefusedError, ToolError, UnknownProviderError
from gateway.executor import Executor
from gateway.key_types import ApiKey, KeyKind
from gateway.secret import Secret
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.app_routes import app_routes
from gateway.surfaces.atp.calls import AppCredentials
from gateway.surfaces.atp.consents import Consents
from gateway.surfaces.atp.keys import SettingsAppKey, StoredAppKeys
from gateway.surfaces.atp.return_urls import ReturnUrls
from gateway.surfaces.atp.tasks import Tasks
from gateway.surfaces.atp.toolkits import Toolkits
from gateway.surfaces.atp.users import AppUsers
from gateway.surfaces.atp.webhooks import AppWebhooks
from gateway.testing.serving import serving
from gateway.toolkit.context import Context
from gateway.toolkit.llm_client import LLMClient
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool
from gateway.types import (
    AuditEvent,
    Call,
    Connection,
    ConnectionStatus,
    Credential,
    CredentialKind,
    Flow,
    NeedsConnection,
    Principal,
    Requirement,
    TokenSet,
)

KEY = "app-key-7f3a9c51d2"
LOCAL_KEY = "key-of-the-settings-5e1"
ME = Principal("local", "me")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAME_SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@dataclass
class Held:
    """How many calls of a tool that waits are running, and how many were cancelled."""

    running: int = 0
    cancelled: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@dataclass
class House:
    """What the surface stands on, for a test to arrange and to look at: people's accounts, tools, events."""

    registry: Registry = field(default_factory=Registry)
    flows: list[Flow] = field(default_factory=list)
    grants: dict[tuple[Principal, str], tuple[Connection, TokenSet]] = field(default_factory=dict)
    choices: dict[Principal, dict[tuple[str, CredentialKind], tuple[str, ...]]] = field(default_factory=dict)
    accounts: list[str | None] = field(default_factory=list)
    """The accounts that calls named."""
    opened: int = 0
    down: GatewayError | None = None
    events: list[AuditEvent] = field(default_factory=list)
    base_url: str = ""
    leaving: list[Callable[[], None]] = field(default_factory=list)
    """What clients have to do before the gateway stops."""
    keys: dict[str, ApiKey] = field(default_factory=dict)

    # FindKey
    async def find_key(self, text: str, kind: KeyKind) -> ApiKey | KeyRefusedError:
        return self.keys.get(text) or KeyRefusedError("This is no key of this gateway.")

    def let_in(self, text: str, name: str, **more: Any) -> None:
        """Have the app have a key; `more` is what it may do."""
        usual = {"may": frozenset({"call", "connect"}), "tenant": "default"}
        self.keys[text] = ApiKey(text, KeyKind.APP, name, prefix="atpg_app_prefix", created_at=NOW, **usual | more)

    # FlowStarter
    async def begin(
        self,
        principal: Principal,
        client: str,
        requirement: Requirement,
        tool: str | None,
        return_url: str | None = None,
    ) -> Flow:
        if requirement.provider == "nowhere":
            raise UnknownProviderError("Nobody described the provider nowhere. Add [providers.nowhere].")
        flow = Flow(
            id=f"flow{len(self.flows)}",
            principal=principal,
            client=client,
            provider=requirement.provider,
            kind=requirement.kind,
            scopes=requirement.scopes,
            tool=tool,
            created_at=NOW,
            expires_at=NOW + timedelta(minutes=10),
            return_url=return_url,
        )
        self.flows.append(flow)
        return flow

    async def url(self, flow: Flow) -> str:
        return f"https://gateway.example/connect/{flow.id}"

    # GrantReader
    async def find_connection(self, principal: Principal, provider: str) -> Connection | None:
        found = self.grants.get((principal, provider))
        return found[0] if found else None

    async def grant(self, principal: Principal, provider: str) -> tuple[Connection, TokenSet] | None:
        if self.down:
            raise self.down
        self.opened += 1
        return self.grants.get((principal, provider))

    # Credentials
    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        self.accounts.append(call.account)
        found = self.grants.get((call.principal, requirement.provider))
        if found is None:
            url = "https://gateway.example/connect/needed"
            return NeedsConnection(url, "needed", requirement.provider, "HubSpot", "Connect HubSpot first.")
        return Credential(requirement.provider, found[1].access_token.reveal())

    def describe(self, provider: str) -> None:
        return None

    async def list_connected(self, tenant: str, issuer: str) -> Sequence[Principal]:
        found = {p for p, _ in self.grants if (p.tenant, p.issuer) == (tenant, issuer)}
        return sorted(found, key=lambda p: p.subject)

    async def write(self, events: Sequence[AuditEvent]) -> None:
        self.events.extend(events)

    def connect(
        self,
        user: str,
        provider: str = "hubspot",
        token: str = "token-of-nobody",
        app: str = "shop",
        tenant: str = "default",
    ) -> None:
        """Have one of the app's users be connected."""
        principal = Principal(f"app:{app}", user, tenant)
        connection = Connection(
            id=f"connection-{len(self.grants)}",
            principal=principal,
            provider=provider,
            kind=CredentialKind.OAUTH2,
            account_id="account",
            account_label="ada@example.com",
            scopes=frozenset({"b", "a"}),
            status=ConnectionStatus.ACTIVE,
            sealed=b"",
            created_at=NOW,
            updated_at=NOW,
            expires_at=NOW + timedelta(hours=1),
        )
        tokens = TokenSet(Secret(token), Secret("refresh-" + token), NOW + timedelta(hours=1), frozenset({"b", "a"}))
        self.grants[principal, provider] = connection, tokens

    async def offered(self, principal: Principal) -> dict[tuple[str, CredentialKind], tuple[str, ...]]:
        return self.choices.get(principal, {})

    def hold(self, name: str, until: asyncio.Event) -> Held:
        """A tool that is called `name` and runs until the event; what it gives says when and how that went."""
        held = Held()

        async def run(arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> Any:
            held.running += 1
            held.changed.set()
            try:
                await context.progress(1, 2, "half")
                await until.wait()
            except asyncio.CancelledError:
                held.cancelled += 1
                raise
            finally:
                held.running -= 1
                held.changed.set()
            return arguments

        self.registry.add(Tool(name, "crm", "Waits.", NAME_SCHEMA, run, lambda _: None))
        return held

    def add(
        self, name: str, run: Callable[..., Any], requirement: Requirement | None = None, toolkit: str = "crm"
    ) -> None:
        async def run_it(arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> Any:
            return run(**arguments, **({"auth_token": credential.token} if credential else {}))

        def check(arguments: Mapping[str, Any]) -> str | None:
            return None if "name" in arguments else "name is missing. Call again with it."

        self.registry.add(Tool(name, toolkit, f"Does {name}.", NAME_SCHEMA, run_it, check, requirement))


def _fail(name: str) -> str:
    raise ToolError(f"{name} is no company")


def _crash(name: str) -> str:
    raise RuntimeError("at db.internal with password hunter2")


@pytest.fixture
def house() -> House:
    """Four tools: one that needs an account, one that needs none, one that says no, one that is broken. Two apps."""
    house, needs = House(), Requirement("hubspot", scopes=frozenset({"crm.write"}))
    house.add("create_company", lambda name, auth_token: {"made": name, "with": f"…{auth_token[-4:]}"}, needs)
    house.add("echo", lambda name: {"name": name})
    house.add("refuse", _fail)
    house.add("crash", _crash)
    house.let_in(KEY, "shop", return_urls=("https://shop.example/back/done?x=1",))
    house.let_in("another-key-0123", "other")
    return house


Serve = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def serve(house: House) -> Serve:
    """Puts the surface on a port. `registrations` are of webhooks; other keyword arguments change what the app of the
    settings may do, for there to be one."""

    @asynccontextmanager
    async def on_a_port(registrations: Any = None, **changes: Any) -> AsyncIterator[House]:
        audit, policy, users = AuditLog(house.write, SystemClock()), OnePersonPolicy(), AppUsers(house.list_connected)
        toolkits = Toolkits(house.registry, policy, users)
        consents = Consents(
            users=users,
            flows=house,
            grants=house,
            provider_name={"hubspot": "HubSpot", "mailer": "Mailer"}.__getitem__,
            registry=house.registry,
            audit=audit,
        )
        tasks = Tasks(Executor(house.registry, policy, AppCredentials(house), audit), toolkits, users, house)
        usual = {"may": frozenset({"call", "connect"}), "person": ME}
        local = App("app", ReturnUrls(["https://shop.example/back/"]), **usual | changes)
        keys = SettingsAppKey(Secret(LOCAL_KEY), local, StoredAppKeys(house.find_key))
        webhooks = AppWebhooks(registrations, users)
        async with serving(Starlette(routes=app_routes(keys, consents, tasks, toolkits, webhooks))) as base_url:
            house.base_url = base_url
            yield house
            for leave in house.leaving:
                await asyncio.to_thread(leave)
        await audit.close()

    return on_a_port


@pytest.fixture(params=[Published, LLMClient, LoopedLLMClient])
def client_class(request: pytest.FixtureRequest) -> Any:
    """The clients an app may have: the SDK as published, and both of our own. They are to see the same gateway."""
    return request.param


@pytest.fixture
def app_client(client_class: type[Any], house: House) -> Callable[..., Any]:
    """Builds a client for the served house."""
    return lambda key=KEY: client_class(api_key=key, base_url=house.base_url)

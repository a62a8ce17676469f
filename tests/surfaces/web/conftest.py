"""The pages behind the edge on a real server, for two people with a browser each, and a fake of the rooms below."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from starlette.types import ASGIApp

from gateway.authorization_types import AccessGrant, ClientSource, RegisteredClient
from gateway.errors import FlowError, FlowNotFoundError, GatewayError, WrongBrowserError
from gateway.oauth.visits import may_enter
from gateway.secret import Secret
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.instance import Instance
from gateway.surfaces.listener import Listener
from gateway.surfaces.web.health import Health
from gateway.surfaces.web.tool_use import ToolUse
from gateway.surfaces.web.web_pages import BROWSER_PATHS, PUBLIC_PATHS, VISITOR_PATHS, Rooms, WebPages
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool
from gateway.types import (
    Access,
    AuditEvent,
    Connection,
    ConnectionStatus,
    CredentialKind,
    Flow,
    FlowStatus,
    Principal,
    Requirement,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROVIDER_NAMES = {"hubspot": "HubSpot", "stripe": "Stripe", "google": "Google"}


def person(name: str) -> Principal:
    return Principal("https://login.example.com", name)


@dataclass(frozen=True)
class Field:
    name: str
    prompt: str
    value: str = ""


@dataclass(frozen=True)
class Entry:
    connection: Connection
    name: str
    provider_name: str
    withheld: tuple[str, ...] = ()
    is_choice: bool = False
    may_add: bool = True


@dataclass(frozen=True)
class View:
    provider_name: str
    client: str
    tool: str | None
    scopes: list[str]
    kind: CredentialKind
    status: FlowStatus
    failure: str | None
    expires_at: datetime
    fields: tuple[Field, ...] = ()
    account: str | None = None
    connected: str | None = None
    withheld: tuple[str, ...] = ()
    another: bool = False
    is_own_wish: bool = False
    is_mistaken: bool = False
    app_user: str | None = None


@dataclass(frozen=True)
class Gone:
    connection: Connection
    revoked_at_provider: str
    access_page: str | None
    retried_until: datetime | None = None


@dataclass(frozen=True)
class Start:
    authorization_url: str
    browser_token: Secret
    max_age: int = 600


class FakeFlows:
    """Flows in a dict. `refusal` is raised by the next `submit_key` or `complete`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rows: dict[str, Flow] = {}
        self.keys: dict[str, str] = {}
        self.variables: dict[str, Mapping[str, str] | None] = {}
        self.views: dict[str, dict[str, object]] = {}
        self.refusal: GatewayError | None = None
        self.changes = 0

    def add(self, subject: str = "alice", **more: object) -> Flow:
        given = {
            "id": secrets.token_urlsafe(24),
            "principal": person(subject),
            "client": "Claude Desktop",
            "provider": "hubspot",
            "kind": CredentialKind.OAUTH2,
            "scopes": frozenset({"crm.objects.contacts.read", "oauth"}),
            "tool": "get_contacts",
            "created_at": NOW,
            "expires_at": NOW + timedelta(minutes=10),
            **more,
        }
        flow = Flow(**given)  # type: ignore[arg-type]
        self.rows[flow.id] = flow
        return flow

    async def admit(self, flow_id: str, visitor: Principal | None, browser_token: str | None) -> Principal:
        flow = self.rows.get(flow_id)
        if flow is None or flow.expires_at <= NOW or not may_enter(flow, visitor, browser_token):
            raise FlowNotFoundError("gone")
        return flow.principal

    async def describe(self, flow_id: str, principal: Principal) -> View:
        flow = self._get(flow_id, principal)
        name = PROVIDER_NAMES.get(flow.provider, flow.provider)
        return View(
            name, flow.client, flow.tool, sorted(flow.scopes), flow.kind, flow.status, flow.failure, flow.expires_at,
            app_user=flow.principal.subject if flow.principal.app else None, **self.views.get(flow_id, {}),
        )  # type: ignore[arg-type]  # fmt: skip

    async def start(
        self,
        flow_id: str,
        principal: Principal,
        variables: Mapping[str, str] | None = None,
        *,
        browser_token: str | None = None,
    ) -> Start:
        flow = self._get(flow_id, principal)
        self.variables[flow_id] = variables
        if self.refusal:
            raise self.refusal
        state, token = secrets.token_urlsafe(24), Secret(self._kept(flow, browser_token) or secrets.token_urlsafe(24))
        self._put(flow, state_hash=_hash(state), browser_hash=_hash(token.reveal()))
        return Start(f"https://provider.example/authorize?client_id=us&state={state}", token)

    async def complete(
        self, provider_id: str, query: Mapping[str, str], browser_token: str | None, visitor: Principal | None
    ) -> Flow:
        if self.refusal:
            raise self.refusal
        states = {flow.state_hash: flow for flow in self.rows.values() if flow.state_hash}
        flow = states.get(_hash(query.get("state", "")))
        if flow is None or flow.provider != provider_id:
            raise FlowNotFoundError("gone")
        if flow.principal != (flow.principal if flow.principal.app else visitor) or flow.browser_hash != _hash(
            browser_token or ""
        ):
            raise WrongBrowserError("another browser")
        if query.get("error") == "access_denied":
            return self._put(flow, status=FlowStatus.DECLINED, state_hash=None)
        if "code" not in query:
            raise FlowError("HubSpot sent no code. Please start again.")
        return self._put(flow, status=FlowStatus.CONNECTED, state_hash=None, connection_id="c0ffee")

    async def submit_key(
        self,
        flow_id: str,
        principal: Principal,
        api_key: Secret,
        *,
        username: str | None = None,
        variables: Mapping[str, str] | None = None,
        browser_token: str | None = None,
    ) -> Flow:
        flow = self._get(flow_id, principal)
        self.variables[flow_id] = variables
        kept = self._kept(flow, browser_token)
        if self.refusal:
            raise self.refusal
        self.keys[flow_id] = api_key.reveal() if username is None else f"{username}:{api_key.reveal()}"
        return self._put(flow, status=FlowStatus.CONNECTED, browser_hash=kept and _hash(kept))

    async def decline(self, flow_id: str, principal: Principal, *, browser_token: str | None = None) -> Flow:
        flow = self._get(flow_id, principal)
        kept = self._kept(flow, browser_token)
        return self._put(flow, status=FlowStatus.DECLINED, browser_hash=kept and _hash(kept))

    def _kept(self, flow: Flow, browser_token: str | None) -> str | None:
        if flow.principal.app is None:
            return None
        if browser_token is None or flow.browser_hash not in (None, _hash(browser_token)):
            raise FlowNotFoundError("gone")
        return browser_token

    def _get(self, flow_id: str, principal: Principal) -> Flow:
        flow = self.rows.get(flow_id)
        if flow is None or flow.principal != principal or flow.expires_at <= NOW:
            raise FlowNotFoundError("gone")
        return flow

    def _put(self, flow: Flow, **changes: object) -> Flow:
        self.changes += 1
        self.rows[flow.id] = replace(flow, **changes)  # type: ignore[arg-type]
        return self.rows[flow.id]


class FakeConnections:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rows: list[Connection] = []
        self.events: list[AuditEvent] = []
        self.revoked_at_provider = "yes"
        self.begun: list[tuple[str, ...]] = []
        self.withheld: tuple[str, ...] = ()
        self.set_up: list[str] = []
        self.used: dict[tuple[str, str | None], datetime] = {}

    def add(self, subject: str = "alice", **more: object) -> Connection:
        given = {
            "id": secrets.token_hex(8),
            "principal": person(subject),
            "provider": "hubspot",
            "kind": CredentialKind.OAUTH2,
            "account_id": "7052064",
            "account_label": "alice@example.com",
            "scopes": frozenset({"crm.objects.contacts.read"}),
            "status": ConnectionStatus.ACTIVE,
            "sealed": b"sealed-bytes",
            "created_at": NOW - timedelta(days=30),
            "updated_at": NOW - timedelta(hours=2),
            **more,
        }
        self.rows.append(Connection(**given))  # type: ignore[arg-type]
        return self.rows[-1]

    async def entries(self, principal: Principal) -> list[Entry]:
        theirs = [row for row in self.rows if row.principal == principal]
        return [
            Entry(
                row,
                row.account_label or ("API key" if row.kind is CredentialKind.API_KEY else row.account_id),
                PROVIDER_NAMES.get(row.provider, row.provider),
                self.withheld,
                is_choice=sum(other.provider == row.provider for other in theirs) > 1,
                may_add=row.kind is not CredentialKind.API_KEY,
            )
            for row in theirs
        ]

    async def make_default(self, principal: Principal, connection_id: str) -> Connection | None:
        found = self._find(principal, connection_id)
        if found is None:
            return None
        self.rows = [replace(row, is_default=row.id == connection_id) for row in self.rows]
        return found

    async def ask_again(
        self, principal: Principal, connection_id: str, more: frozenset[str] = frozenset()
    ) -> Flow | None:
        return self._begin(" ".join(["again", *sorted(more)]), self._find(principal, connection_id))

    async def add_another(self, principal: Principal, connection_id: str) -> Flow | None:
        return self._begin("another", self._find(principal, connection_id))

    async def connect(self, principal: Principal, requirement: Requirement) -> Flow:
        self.begun.append((requirement.provider, requirement.kind, *sorted(requirement.scopes)))
        return self._flow("new", principal, requirement.provider, requirement.kind, requirement.scopes)

    def configured(self, principal: Principal) -> list[Requirement]:
        return [Requirement(provider) for provider in self.set_up]

    def can_connect(self, principal: Principal, requirement: Requirement) -> bool:
        return requirement.provider in self.set_up or requirement.kind is not CredentialKind.OAUTH2

    def lacks(self, connection: Connection, scopes: frozenset[str]) -> frozenset[str]:
        return scopes - connection.scopes

    async def last_uses(self, principal: Principal) -> dict[tuple[str, str | None], datetime]:
        return self.used

    def _find(self, principal: Principal, connection_id: str) -> Connection | None:
        return next((row for row in self.rows if (row.principal, row.id) == (principal, connection_id)), None)

    def _begin(self, what: str, row: Connection | None) -> Flow | None:
        if row is None:
            return None
        self.begun.append((what, row.id))
        return self._flow(what.partition(" ")[0], row.principal, row.provider, row.kind, row.scopes)

    def _flow(
        self, what: str, principal: Principal, provider: str, kind: CredentialKind, scopes: frozenset[str]
    ) -> Flow:
        until = NOW + timedelta(minutes=10)
        return Flow(f"flow-{what}", principal, "My connections", provider, kind, scopes, None, NOW, until)

    async def disconnect(self, principal: Principal, connection_id: str) -> Gone | None:
        found = [row for row in self.rows if (row.principal, row.id) == (principal, connection_id)]
        self.rows = [row for row in self.rows if row not in found]
        until = NOW + timedelta(hours=24)
        return Gone(found[0], self.revoked_at_provider, "https://provider.example/access", until) if found else None

    async def list_history(
        self, principal: Principal, limit: int, *, calls: bool | None = None, before: str | None = None
    ) -> list[AuditEvent]:
        mine = [event for event in self.events if event.principal == principal]
        mine = [event for event in mine if calls in (None, event.action in ("tool.called", "tool.begun"))]
        ids = [event.id for event in mine]
        return mine[ids.index(before) + 1 if before in ids else 0 :][:limit]


class FakeGrants:
    """Programs that people let in: grants and clients in one."""

    @property
    def grants(self) -> FakeGrants:
        return self

    @property
    def clients(self) -> FakeGrants:
        return self

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rows: list[AccessGrant] = []
        self.known: dict[str, RegisteredClient] = {}

    def add(self, subject: str = "alice", *redirect_uris: str, **more: object) -> AccessGrant:
        given = {
            "id": secrets.token_hex(16),
            "principal": person(subject),
            "client_id": secrets.token_hex(8),
            "client_name": "Claude",
            "resource": "http://127.0.0.1/mcp",
            "scopes": frozenset({"tools"}),
            "groups": frozenset(),
            "created_at": NOW - timedelta(days=3),
            "used_at": NOW - timedelta(hours=1),
            "expires_at": NOW + timedelta(days=362),
            **more,
        }
        grant = AccessGrant(**given)  # type: ignore[arg-type]
        self.rows.append(grant)
        is_document = grant.client_id.startswith("https:")
        source = ClientSource.DOCUMENT if is_document else ClientSource.REGISTRATION
        uris = redirect_uris or ("https://claude.ai/api/mcp/auth_callback",)
        client = RegisteredClient(grant.client_id, source, grant.client_name, uris, frozenset({"authorization_code"}))
        self.known[client.id] = client
        return grant

    async def list_live(self, principal: Principal) -> list[AccessGrant]:
        return [row for row in self.rows if row.principal == principal]

    async def end(self, grant_id: str, principal: Principal) -> bool:
        there = len(self.rows)
        self.rows = [row for row in self.rows if (row.id, row.principal) != (grant_id, principal)]
        return len(self.rows) < there

    async def find_at_token(self, client_id: str) -> RegisteredClient | None:
        return self.known.get(client_id)


class Visible:
    """Everybody sees every tool, but those that `hidden` names."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()

    def may_see(self, principal: Principal, tool: Tool) -> bool:
        return tool.name not in self.hidden

    def may_call(self, principal: Principal, tool: Tool) -> None:
        return None

    def must_ask(self, principal: Principal, tool: Tool) -> bool:
        return False


async def _run(*_: object) -> None: ...


class ByCookie:
    """Signed in is who carries the cookie `person`."""

    async def program(self, headers: Mapping[str, str]) -> Access | None:
        return None

    async def browser(self, headers: Mapping[str, str]) -> Access | None:
        cookies = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";"))
        return Access(person(cookies["person"])) if cookies.get("person") else None


@dataclass
class Site:
    """A running gateway's pages."""

    flows: FakeFlows = field(default_factory=FakeFlows)
    connections: FakeConnections = field(default_factory=FakeConnections)
    grants: FakeGrants = field(default_factory=FakeGrants)
    registry: Registry = field(default_factory=Registry)
    policy: Visible = field(default_factory=Visible)
    url: str = ""
    secure: bool = False
    is_ready: bool | None = True

    def app(self, base_url: str) -> ASGIApp:
        rooms = Rooms(
            self.flows,
            self.connections,
            self.connections,
            self.connections,
            ToolUse(self.registry, self.policy),
            lambda provider: PROVIDER_NAMES.get(provider, provider),
            self.grants,
        )
        web = WebPages(
            rooms,
            form_key=b"k" * 32,
            secure=self.secure,
            mcp_url=f"{base_url}/mcp",
        )

        async def is_ready() -> bool:
            if self.is_ready is None:
                raise RuntimeError("the store is gone")
            return self.is_ready

        inner = application([*web.routes(), *Health(is_ready, Instance(b"i" * 32)).routes()])
        port = int(base_url.rpartition(":")[2])
        doors = Doors(browser=BROWSER_PATHS, visitor=VISITOR_PATHS, public=PUBLIC_PATHS)
        return Edge(inner, ByCookie(), doors, Addresses.of(base_url, "127.0.0.1", port))

    def add_tool(self, name: str, provider: str | None = None, *scopes: str, **more: object) -> None:
        kind = more.pop("kind", CredentialKind.OAUTH2)
        need = Requirement(provider, kind, frozenset(scopes)) if provider else None  # type: ignore[arg-type]
        self.registry.add(Tool(name, "crm", "", {"type": "object"}, _run, lambda _: None, need, **more))  # type: ignore[arg-type]

    def reset(self) -> None:
        for each in (self.flows, self.connections, self.grants):
            each.reset()
        for tool in self.registry.tools():
            self.registry.drop(tool.name)
        self.policy.hidden.clear()
        self.is_ready = True

    def browser(self, name: str | None) -> httpx2.AsyncClient:
        """A cookie jar, signed in as `name`; follows no redirect by itself."""
        cookies = {"person": name} if name else {}
        return httpx2.AsyncClient(
            base_url=self.url, cookies=cookies, headers={"accept": "text/html,*/*;q=0.8"}, trust_env=False
        )


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Site]:
    site = Site()
    listener = Listener(site.app, Instance(b"i" * 32), port=0)
    site.url = await listener.base_url()
    yield site
    await listener.aclose()


@pytest.fixture
async def site(running: Site) -> Site:
    running.reset()
    return running


@pytest.fixture
async def alice(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.browser("alice") as browser:
        yield browser


@pytest.fixture
async def bob(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.browser("bob") as browser:
        yield browser


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()

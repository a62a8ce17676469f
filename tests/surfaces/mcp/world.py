"""A whole MCP surface around a registry of a test's own tools, and stand-ins for what lies below it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.policy import Policy
from gateway.access.scopes import EVERY
from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.errors import FlowNotFoundError, GatewayError, NotAllowedError, StoreUnavailableError
from gateway.executor import Executor
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.listing import NoChoice
from gateway.surfaces.mcp.server import GatewayServer, Identity
from gateway.surfaces.mcp.surface import McpSurface
from gateway.toolkit.client import ToolKitClient
from gateway.toolkit.pool import Pool
from gateway.toolkit.registry import Registry
from gateway.toolkit.sink import loading_into
from gateway.toolkit.tool import Tool
from gateway.types import Access, AuditEvent, Call, Credential, FlowStatus, NeedsConnection, Principal, Requirement

ALICE = Principal("https://login.example", "alice")
BOB = Principal("https://login.example", "bob")


@dataclass
class RegistrySink:
    """Takes a client's tools straight into a registry, as the loader does for a file's."""

    registry: Registry
    toolkit: str = "kit"
    pool: Pool = field(default_factory=Pool)

    def add(self, tool: Tool) -> None:
        self.registry.add(tool)

    def drop(self, name: str) -> bool:
        return self.registry.drop(name)


class FakeConsents:
    """Credentials and consents in one: who has connected what, whoever waits for it, and which approvals were used."""

    def __init__(self) -> None:
        self.connected: set[tuple[str, str]] = set()
        self.accounts: list[str | None] = []
        self.status: dict[str, FlowStatus] = {}
        self.waiting = asyncio.Event()
        self.waits: list[tuple[str, str, float]] = []
        self.refusal: GatewayError | None = None
        self._changed = asyncio.Condition()
        self.used: set[str] = set()
        self.is_away = False
        """Whether nobody can tell what was used."""

    async def claim(self, call: str) -> bool:
        if self.is_away:
            raise StoreUnavailableError("away")
        is_fresh = call not in self.used
        self.used.add(call)
        return is_fresh

    async def release(self, call: str) -> None:
        if self.is_away:
            raise StoreUnavailableError("away")
        self.used.discard(call)

    def describe(self, provider: str) -> None:
        return None

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        self.accounts.append(call.account)
        if self.refusal is not None:
            return self.refusal
        subject, provider = call.principal.subject, requirement.provider
        if (subject, provider) in self.connected:
            return Credential(provider, "token-of-" + subject)
        flow_id = f"flow-{subject}-{provider}"
        if self.status.get(flow_id, FlowStatus.PENDING) is not FlowStatus.PENDING:
            flow_id += "-again"
        self.status.setdefault(flow_id, FlowStatus.PENDING)
        url = f"https://gateway.example/connect/{flow_id}"
        return NeedsConnection(url, flow_id, provider, provider.title(), f"Connect {provider.title()} first.")

    async def wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus:
        self.waits.append((flow_id, principal.subject, seconds))
        self.waiting.set()
        if flow_id not in self.status:
            raise FlowNotFoundError("unknown")
        with anyio.move_on_after(seconds):
            async with self._changed:
                await self._changed.wait_for(lambda: self.status[flow_id] is not FlowStatus.PENDING)
        return self.status[flow_id]

    async def finish(self, subject: str, provider: str, status: FlowStatus = FlowStatus.CONNECTED) -> None:
        async with self._changed:
            self.status[f"flow-{subject}-{provider}"] = status
            if status is FlowStatus.CONNECTED:
                self.connected.add((subject, provider))
            self._changed.notify_all()


class NamedPolicy:
    """Bob does not see what is named `hidden…`; nobody may call what is named `forbidden…`."""

    def may_see(self, principal: Principal, tool: Tool) -> bool:
        return principal.subject != "bob" or not tool.name.startswith("hidden")

    def may_call(self, principal: Principal, tool: Tool) -> NotAllowedError | None:
        return NotAllowedError("You may not call this tool.") if tool.name.startswith("forbidden") else None

    def must_ask(self, principal: Principal, tool: Tool) -> bool:
        return False


class Edge:
    """Stands for the edge: whoever says `Bearer NAME` is that person, `Bearer NAME/CLIENT` through that client.

    No header is Alice; `nobody` is no one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
            name = dict(headers).get(b"authorization", b"Bearer alice").decode().removeprefix("Bearer ")
            scope = {**scope, "headers": headers, "state": dict(scope.get("state", {}))}
            if name != "nobody":
                subject, _, client = name.partition("/")
                principal = Principal("https://login.example", subject)
                scope["state"].update(principal=principal, access=Access(principal, client, scopes=EVERY))
        await self._app(scope, receive, send)


class World:
    """Everything a test of the surface needs. Tools are declared with `world.tool`, as in a toolkit file."""

    def __init__(self, limits: Limits, accounts: Any = None, policy: Policy | None = None) -> None:
        self.accounts = accounts or NoChoice()
        self.registry = Registry()
        self.events: list[AuditEvent] = []
        self.consents = FakeConsents()
        self.audit = AuditLog(self._write, SystemClock())
        self.limits = limits
        self.keys = [b"k" * 32]
        self.session_keys: list[bytes] = []
        with loading_into(RegistrySink(self.registry)):
            self.toolkit = ToolKitClient(app_name="kit")
        policy = policy or NamedPolicy()
        self.surface = McpSurface(
            Executor(self.registry, policy, self.consents, self.audit),
            self.registry,
            policy,
            self.consents,
            state_keys=lambda: self.keys,
            identity=Identity("gateway", "1.2.3", instructions="Use the tools."),
            accounts=self.accounts,
            limits=limits,
        )
        self.tool = self.toolkit.tool

    async def _write(self, events: Sequence[AuditEvent]) -> None:
        self.events.extend(events)

    def server(self, principal: Principal = ALICE) -> GatewayServer:
        return self.surface.server(lambda _: principal)

    @asynccontextmanager
    async def http(self) -> AsyncIterator[str]:
        """Serve on a real socket; gives the base URL."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            addresses = [f"127.0.0.1:{port}"], [f"http://127.0.0.1:{port}"]
            transport = self.surface.http(*addresses, session_keys=self.session_keys)
            app = Edge(Starlette(routes=transport.routes, lifespan=lambda _: transport.lifespan()))
            config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            with anyio.fail_after(5):
                while not server.started:
                    await anyio.lowlevel.checkpoint()
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                server.should_exit = True
                await serving


def text_of(result: Any) -> str:
    """The text of a tool's result."""
    return "\n".join(part.text for part in result.content if part.type == "text")

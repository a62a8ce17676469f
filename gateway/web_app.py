"""The HTTP side, put together: which routes, through which doors, behind which edge.

`team_app` is all of it, for `serve`; `pages_app` is what a person's browser needs, for the listener of `stdio`. Wiring
only; beside `gateway.app`, which uses it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway.at_rest import database_url
from gateway.deferred import Accounts
from gateway.entry import Entry
from gateway.errors import SettingsError
from gateway.executor import Executor
from gateway.key_types import Permission
from gateway.providers.addresses import is_loopback
from gateway.safe_settings import is_open
from gateway.settings import Settings
from gateway.surfaces import protected_resource
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.instance import Instance
from gateway.surfaces.proxies import Proxies
from gateway.surfaces.server import Server, server_config
from gateway.surfaces.sockets import listening_socket
from gateway.surfaces.web.health import Health
from gateway.surfaces.web.host_page import Asks
from gateway.surfaces.web.tool_use import ToolUse
from gateway.surfaces.web.web_pages import (
    BROWSER_PATHS,
    PUBLIC_PATHS,
    SIGN_IN,
    SIGN_IN_PATHS,
    VISITOR_PATHS,
    Rooms,
    WebPages,
)
from gateway.toolkit.replica import Replica

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.authorization.server import AuthorizationServer
    from gateway.remote.registration import Registration
    from gateway.remote.remote_toolkits import RemoteToolkits
    from gateway.remote.replicas import Replicas
    from gateway.surfaces.atp.keys import AppKeys
    from gateway.surfaces.mcp.http import HttpTransport

_MCP_PATHS = ("/mcp", "/sse", "/messages/")
_ATP_PATHS = ("/api/v1/atp/llm-client/*", "/ws/v1/atp/llm-client/*", "/openapi.json", "/metrics")


def team_app(gateway: Gateway, accounts: Accounts, entry: Entry, host: str, port: int) -> ASGIApp:
    """Everything: MCP, the pages, health, and the ATP surface, for which keys may be made at any time."""
    addresses = Addresses.of(gateway.base_url, host, port, gateway.settings.server.replica_url)
    mcp = gateway.mcp(accounts.vault.derive("request-state")).http(
        addresses.hosts,
        addresses.origins,
        entry.bearer,
        step_up=gateway.settings.access.step_up,
        session_keys=accounts.vault.derive("mcp-session"),
    )
    afar = from_afar(gateway, accounts)
    atp = [*_atp_routes(gateway, accounts), *afar.routes, *_document_routes(gateway.base_url, accounts, host)]
    atp += _metrics_routes(gateway, accounts, mcp, host)
    pages = _page_routes(gateway, accounts, gateway.base_url, f"{gateway.base_url}/mcp", entry)
    resource, own = entry.resource, _own_authorization(gateway, accounts, entry)
    signs_in = entry.sign_in is not None
    pages += _sign_in_routes(accounts, entry, gateway.base_url)
    routes = [*mcp.routes, *pages, *atp, *(resource.routes() if resource else ()), *own.routes]
    doors = Doors(
        program=_MCP_PATHS,
        browser=BROWSER_PATHS,
        visitor=(*VISITOR_PATHS, *(SIGN_IN_PATHS if signs_in else ())),
        public=(*PUBLIC_PATHS, *_ATP_PATHS, *afar.paths, *own.public),
        open_to_all=(*(protected_resource.PATHS if resource else ()), *own.open_to_all),
        replica=afar.replica_paths,
        sign_in=SIGN_IN if signs_in else None,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with mcp.lifespan():
            afar.open()
            yield
        await afar.close()
        await own.close()

    app = application(routes, lifespan)
    settings = gateway.settings
    return Edge(
        app,
        entry.authenticator,
        doors,
        addresses,
        bearer=entry.bearer,
        proxies=Proxies(settings.server.trusted_proxies) if settings.server.trusted_proxies else None,
        access_log=settings.log.requests,
    )


def pages_app(gateway: Gateway, accounts: Accounts, base_url: str) -> ASGIApp:
    """The pages and health, for a listener that is reached as `base_url`."""
    port = int(base_url.rpartition(":")[2])
    routes = _page_routes(gateway, accounts, base_url)
    doors = Doors(browser=BROWSER_PATHS, visitor=VISITOR_PATHS, public=PUBLIC_PATHS)
    return Edge(application(routes), gateway.authenticator, doors, Addresses.of(base_url, "127.0.0.1", port))


def instance_of(settings: Settings, accounts: Accounts) -> Instance:
    """What proves to another process that it has the same vault key and database as this one."""
    return Instance(accounts.vault.derive(f"instance of {database_url(settings)}")[0])


@dataclass(frozen=True, slots=True)
class OwnAuthorization:
    """The built-in authorization server's routes and doors, and its end. Empty where there is none."""

    routes: Sequence[BaseRoute] = ()
    public: Sequence[str] = ()
    open_to_all: Sequence[str] = ()
    server: AuthorizationServer | None = None

    async def close(self) -> None:
        if self.server is not None:
            await self.server.close()


def _own_authorization(gateway: Gateway, accounts: Accounts, entry: Entry) -> OwnAuthorization:
    if entry.own is None:
        return OwnAuthorization()
    from gateway.surfaces.authorization.routes import OPEN_PATHS, PUBLIC_PATHS, authorization_routes

    routes = authorization_routes(
        entry.own,
        entry.authenticator.browser,
        form_key=accounts.vault.derive("form-token")[0],
        secure=gateway.base_url.startswith("https:"),
        audit=gateway.audit,
        clock=accounts.clock,
    )
    return OwnAuthorization(routes, PUBLIC_PATHS, OPEN_PATHS, entry.own)


def _sign_in_routes(accounts: Accounts, entry: Entry, base_url: str) -> list[BaseRoute]:
    if entry.sign_in is None:
        return []
    from gateway.surfaces.web.sign_in_routes import sign_in_routes

    return [*sign_in_routes(entry.sign_in, base_url, accounts.vault.derive("form-token")[0])]


def _page_routes(
    gateway: Gateway,
    accounts: Accounts,
    base_url: str,
    mcp_url: str | None = None,
    entry: Entry | None = None,
) -> list[BaseRoute]:
    keeps_accounts = entry is not None and entry.sign_in is not None and entry.sign_in.local is not None
    rooms = Rooms(
        accounts.flows,
        accounts.overview,
        accounts.connections,
        accounts.store.audit,
        ToolUse(gateway.registry, gateway.policy),
        accounts.apps.display_name,
        entry.own if entry else None,
    )
    pages = WebPages(
        rooms,
        form_key=accounts.vault.derive("form-token")[0],
        secure=base_url.startswith("https:"),
        mcp_url=mcp_url,
        own_issuer=base_url if keeps_accounts else None,
        asks=_asks(gateway.settings, entry),
        signs_in=entry is not None and entry.sign_in is not None,
    )

    async def is_ready() -> bool:
        await accounts.store.marks.find("ready")
        return not gateway.audit.is_stuck

    return [*pages.routes(), *Health(is_ready, instance_of(gateway.settings, accounts)).routes()]


def _asks(settings: Settings, entry: Entry | None) -> Asks:
    """What a program has to bring."""
    if not is_open(settings.access):
        return Asks.NOTHING
    return Asks.SIGN_IN if entry is not None and entry.resource is not None else Asks.KEY


def _atp_routes(gateway: Gateway, accounts: Accounts) -> list[BaseRoute]:
    from gateway.surfaces.atp.app_routes import app_routes
    from gateway.surfaces.atp.calls import AppCredentials
    from gateway.surfaces.atp.consents import Consents
    from gateway.surfaces.atp.tasks import Tasks
    from gateway.surfaces.atp.toolkits import Toolkits
    from gateway.surfaces.atp.users import AppUsers
    from gateway.surfaces.atp.webhooks import AppWebhooks

    people = accounts.store.connections.list_people
    users = AppUsers(lambda tenant, issuer: people(tenant, issuer, 2))
    toolkits = Toolkits(gateway.registry, gateway.policy, users)
    consents = Consents(
        users=users,
        flows=accounts.flows,
        grants=accounts.handover,
        provider_name=accounts.apps.display_name,
        registry=gateway.registry,
        audit=gateway.audit,
    )
    executor = Executor(
        gateway.registry, gateway.policy, AppCredentials(accounts.broker), gateway.audit, rates=gateway.rates
    )
    tasks = Tasks(executor, toolkits, users, accounts.choice)
    webhooks = AppWebhooks(accounts.webhooks.registrations, users)
    return list(app_routes(_app_keys(gateway, accounts), consents, tasks, toolkits, webhooks))


def _document_routes(base_url: str, accounts: Accounts, host: str) -> list[BaseRoute]:
    from gateway.surfaces.atp.openapi.reading import Reading

    return list(Reading(None if _is_own_machine(base_url, host) else accounts.keys).routes())


def _metrics_routes(gateway: Gateway, accounts: Accounts, mcp: HttpTransport, host: str) -> list[BaseRoute]:
    from gateway.metrics import Metrics
    from gateway.surfaces.web.metrics_page import MetricsPage

    def toolkit_of(name: str) -> str | None:
        tool = gateway.registry.find(name)
        return tool.toolkit if tool else None

    metrics = Metrics(toolkit_of)
    metrics.gauge("mcp_sessions", "Sessions of MCP hosts that are open.", lambda: mcp.sessions)
    metrics.gauge("audit_waiting", "Events that are not on record yet.", lambda: gateway.audit.waiting)
    metrics.gauge("tools", "Tools that are registered.", lambda: len(gateway.registry.tools()))
    gateway.audit.subscribe(metrics.heard)
    own_machine = _is_own_machine(gateway.base_url, host)
    return list(MetricsPage(metrics, None if own_machine else accounts.keys).routes())


def _is_own_machine(base_url: str, host: str) -> bool:
    """Whether nobody but this machine's own programs can ask."""
    return is_loopback(host) and is_loopback(urlsplit(base_url).hostname or "")


@dataclass(frozen=True, slots=True)
class FromAfar:
    """The ways in for toolkits from afar, and for other gateways that call those."""

    routes: Sequence[BaseRoute]
    paths: Sequence[str]
    replica_paths: Sequence[str]
    registration: Registration
    toolkits: RemoteToolkits

    def open(self) -> None:
        if self.replica_paths:
            self.toolkits.open()

    async def close(self) -> None:
        await self.registration.close()
        await self.toolkits.close()


def from_afar(gateway: Gateway, accounts: Accounts) -> FromAfar:
    """Wire what toolkits from afar need. Their keys may be made at any time."""
    from gateway.remote.registration import Registration
    from gateway.remote.remote_toolkits import RemoteToolkits
    from gateway.surfaces.atp.toolkit_inbox import ToolkitInbox
    from gateway.surfaces.atp.toolkit_keys import ToolkitKeys
    from gateway.surfaces.atp.toolkit_requests import ToolkitRequests
    from gateway.surfaces.atp.toolkit_routes import TOOLKIT_PATHS, toolkit_routes
    from gateway.surfaces.atp.toolkit_socket import ToolkitSockets

    rows, keys = accounts.store.remote, ToolkitKeys(accounts.keys)
    url = gateway.settings.server.replica_url
    own = Replica(secrets.token_hex(16), url) if url else None
    toolkits = RemoteToolkits(rows, gateway.registry, replicas=_replicas(own, accounts) if own else None)
    review = gateway.settings.toolkits.review
    registration = Registration(
        rows,
        toolkits,
        gateway.registry,
        audit=gateway.audit,
        clock=accounts.clock,
        review=is_open(gateway.settings.access) if review is None else review,
    )
    routes = toolkit_routes(
        ToolkitRequests(keys, registration), ToolkitInbox(keys, toolkits), ToolkitSockets(keys, toolkits)
    )
    if own is None:
        return FromAfar(routes, TOOLKIT_PATHS, (), registration, toolkits)
    from gateway.remote.holder import Holder, Refused
    from gateway.remote.sealed_call import CallSeal
    from gateway.surfaces.replica_call import REPLICA_PATHS, replica_routes

    holder = Holder(CallSeal(accounts.vault.derive, own), toolkits.find, accounts.clock)

    async def answer(call: bytes) -> bytes | Refused:
        gateway.audit.calls_under_way += 1  # another gateway has it on record; a stop waits for it here
        try:
            return await holder.answer(call)
        finally:
            gateway.audit.calls_under_way -= 1

    routes += replica_routes(answer)
    return FromAfar(routes, TOOLKIT_PATHS, REPLICA_PATHS, registration, toolkits)


def _replicas(own: Replica, accounts: Accounts) -> Replicas:
    from gateway.remote.elsewhere import Elsewhere
    from gateway.remote.replicas import Replicas

    return Replicas(accounts.store.replicas, own, Elsewhere(accounts.vault.derive, accounts.clock), accounts.clock)


def _app_keys(gateway: Gateway, accounts: Accounts) -> AppKeys:
    """The keys that administrators make, and before them the one of the settings, whose app is the local person's."""
    from gateway.surfaces.atp.app import App
    from gateway.surfaces.atp.keys import SettingsAppKey, StoredAppKeys
    from gateway.surfaces.atp.return_urls import ReturnUrls

    settings, stored = gateway.settings.atp, StoredAppKeys(accounts.keys.find)
    if not settings.app_key:
        return stored
    tokens = {Permission.TOKENS} if settings.hand_out_tokens else set()
    app = App(
        name="app",
        return_urls=ReturnUrls(settings.return_urls, loopback=True),
        may=frozenset({Permission.CALL, Permission.CONNECT, *tokens}),
        person=gateway.principal,
    )
    return SettingsAppKey(settings.app_key, app, stored)


@contextmanager
def bind(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket for the block. SettingsError when the address cannot be had."""
    try:
        listener = listening_socket(host, port)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port, or [server] port."
        ) from None
    with listener:
        yield listener


@asynccontextmanager
async def serve_until_left(
    app: Any,
    listener: socket.socket,
    calls_under_way: Callable[[], int] = lambda: 0,
    proxies: Proxies = Proxies(),  # noqa: B008 - it trusts nobody
) -> AsyncIterator[None]:
    """The app answers on the socket for the block, and until the calls under way have been answered."""
    server = Server(server_config(app, proxies), calls_under_way)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
    up.cancel()
    if running.done():
        await running
    try:
        yield
    finally:
        server.stop()
        await running

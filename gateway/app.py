"""The only place that builds objects: settings in, a running gateway out.

`build` wires the rooms together and opens nothing. Then one of three: `serving` listens on HTTP, `over_stdio` serves
one host on stdin and stdout, `listening` serves nothing but the pages for people, when somebody needs them. The
command line, the demo and the tests all come through here.

Below: everything. What the HTTP side consists of stands in `gateway.web_app`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING

from gateway.access.authenticator import Authenticator, OnePerson, local_principal
from gateway.access.policy import OnePersonPolicy, Policy, TeamPolicy
from gateway.access.rates import Rates
from gateway.access.rules import read_rules
from gateway.audit import AuditLog
from gateway.clock import Clock, SystemClock
from gateway.deferred import Accounts, DeferredAccounts, Outside
from gateway.errors import SettingsError
from gateway.executor import Executor
from gateway.settings import AccessSettings, Settings
from gateway.toolkit.loader import Loader, LoadReport
from gateway.toolkit.registry import Registry
from gateway.types import Principal

if TYPE_CHECKING:
    from gateway.access.programs import Browser
    from gateway.isolation.processes import Processes
    from gateway.surfaces.listener import Listener
    from gateway.surfaces.mcp.surface import McpSurface

log = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Tools that act in a person's own accounts. When a call answers with a link to connect an account, show the link "
    "to the person and call again once they have finished. Never ask them for passwords, tokens or keys."
)
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ")
"""What a worker process finds in its environment whatever the settings say."""


@dataclass(slots=True)
class Gateway:
    """The rooms, wired. `base_url` is where browsers reach the pages, once they are served."""

    settings: Settings
    registry: Registry
    loader: Loader
    policy: Policy
    rates: Rates
    executor: Executor
    accounts: DeferredAccounts
    audit: AuditLog
    authenticator: Authenticator
    principal: Principal
    isolation: Processes | None = None
    base_url: str = ""
    loaded: LoadReport = field(default_factory=LoadReport)
    listener: Listener | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def load(self, toolkits: Sequence[str]) -> LoadReport:
        """Load toolkits by path or module name. With `[toolkits] strict`, the first broken one is raised."""
        self.loaded = self.loaded.plus(self.loader.load(*toolkits))
        if self.isolation is not None and toolkits:
            self.isolation.check_names(self.settings.toolkits.load)
        if self.settings.toolkits.strict and self.loaded.errors:
            raise self.loaded.errors[0]
        return self.loaded

    def mcp(self, state_keys: Sequence[bytes]) -> McpSurface:
        """The MCP surface over this gateway's tools. `state_keys` seal what hosts hand back; replicas share them."""
        from gateway.surfaces.mcp.server import Identity
        from gateway.surfaces.mcp.surface import McpSurface

        identity = Identity("atp-gateway", metadata.version("atp-gateway"), "ATP Gateway", INSTRUCTIONS)
        return McpSurface(
            self.executor,
            self.registry,
            self.policy,
            self.accounts,
            state_keys=lambda: state_keys,
            identity=identity,
            accounts=self.accounts,
        )

    async def stopped(self) -> None:
        """Wait until the gateway is told to stop: `stop()`, or a signal where it listens to those."""
        await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()

    async def close(self) -> None:
        """Stop the pages, finish refreshes, write what is left of the audit, close the database."""
        if self.listener is not None:
            await self.listener.aclose()
        if self.isolation is not None:
            await self.isolation.close()
        await self.accounts.finish()
        try:
            await self.audit.close()
        finally:
            await self.accounts.close()


def build(
    settings: Settings,
    *,
    authenticator: Authenticator | None = None,
    clock: Clock | None = None,
    outside: Outside | None = None,
    for_a_team: bool = False,
) -> Gateway:
    """Wire a gateway. Nothing is opened, loaded or listened on yet. What is not given is the real thing.

    `for_a_team`: rules decide who may call what, and a call is put on record before it is given a token, unless the
    settings say otherwise.
    """
    clock = clock or SystemClock()
    registry, principal = Registry(), local_principal()
    policy = _policy(settings.access) if for_a_team else OnePersonPolicy()
    rates = Rates(settings.access.calls_per_minute) if for_a_team else Rates()

    async def base_url() -> str:
        return gateway.base_url or await _listener_url(gateway)

    isolation = _isolation(settings)
    accounts = DeferredAccounts(settings, base_url, clock, outside)
    if settings.audit.keep_days is not None and settings.audit.keep_days < 1:
        raise SettingsError("[audit] keep_days must be 1 or more. Leave it out to keep what was done for ever.")
    asked = settings.audit.strict
    audit = accounts.audit = AuditLog(
        accounts.write_events, clock, strict=for_a_team if asked is None else asked, key=accounts.audit_key
    )
    gateway = Gateway(
        settings=settings,
        registry=registry,
        loader=Loader(registry, isolation=isolation),
        policy=policy,
        rates=rates,
        executor=Executor(registry, policy, accounts, audit, rates=rates),
        accounts=accounts,
        audit=audit,
        authenticator=authenticator or OnePerson(principal),
        principal=principal,
        isolation=isolation,
    )
    return gateway


def _policy(access: AccessSettings) -> Policy:
    rules = read_rules(access.rules, access.issuer or access.login_issuer)
    return TeamPolicy(rules) if rules else OnePersonPolicy()


async def _note_rules(access: AccessSettings, accounts: Accounts, audit: AuditLog) -> None:
    from gateway.access.rules_on_record import note_rules

    rules = read_rules(access.rules, access.issuer or access.login_issuer)
    await note_rules(rules, access.calls_per_minute, accounts.store.marks, audit)


def _isolation(settings: Settings) -> Processes | None:
    """The worker processes that the settings ask for; None where every toolkit runs in this one."""
    chosen = settings.toolkits
    names = frozenset(chosen.isolation) - {"inline"}
    if not names:
        return None
    if sys.platform == "win32":
        raise SettingsError("[toolkits] isolation: worker processes need Linux or macOS. Leave it out on Windows.")
    from gateway.isolation.process import Terms
    from gateway.isolation.processes import Processes

    environment = {name: os.environ[name] for name in (*_PASSED_ON, *chosen.environment) if name in os.environ}
    return Processes(
        Terms(environment, chosen.worker_memory << 20), None if "process" in names else names, chosen.workers
    )


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[Gateway]:
    """The gateway for as long as the block lasts. Its pages are served on loopback from their first use on."""
    if gateway.isolation is not None:
        gateway.isolation.open()
    try:
        yield gateway
    finally:
        await gateway.close()


async def over_stdio(gateway: Gateway) -> None:
    """Serve one host over stdin and stdout until it closes its end.

    The database, if there is one, is opened by the host's first list of tools at the latest. Where the settings do not
    fit it, such as with another vault key, serving ends with that SettingsError.
    """
    gateway.accounts.keep_up = True
    async with listening(gateway):
        # What is sealed here comes back to this process or to none: a key of its own will do, and need no vault.
        serving = asyncio.ensure_future(gateway.mcp([secrets.token_bytes(32)]).stdio(gateway.principal))
        refused = asyncio.ensure_future(gateway.accounts.refused())
        try:
            done, _ = await asyncio.wait({serving, refused}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            refused.cancel()
            await asyncio.gather(serving, refused, return_exceptions=True)
        (serving if serving in done else refused).result()


@asynccontextmanager
async def serving(
    settings: Settings,
    toolkits: Sequence[str],
    *,
    authenticator: Authenticator | None = None,
    browser: Browser | None = None,
    clock: Clock | None = None,
    handle_signals: bool = False,
) -> AsyncIterator[Gateway]:
    """A gateway that answers HTTP for as long as the block lasts; `base_url` says where.

    SettingsError when it may not, or cannot, listen where the settings say. `browser` says who sits at a browser, where
    the settings let people in. With `handle_signals`, SIGINT and SIGTERM end `stopped()`.
    """
    from gateway.entry import Entry, entry_of
    from gateway.people_entry import base_url_of, check_sign_in, say_who_cannot_connect
    from gateway.safe_settings import check, is_open
    from gateway.surfaces.proxies import Proxies
    from gateway.web_app import bind, serve_until_left, team_app

    if authenticator is None:
        check(settings)
        if browser is None:
            check_sign_in(settings.access)
    for_a_team = authenticator is not None or is_open(settings.access)
    gateway = build(settings, authenticator=authenticator, clock=clock, for_a_team=for_a_team)
    gateway.accounts.keep_up = True
    async with listening(gateway):
        gateway.load(toolkits)
        if authenticator is None and browser is None:
            say_who_cannot_connect(settings.access, gateway.registry.tools())
        with bind(settings.server.host, settings.server.port) as listener:
            host, port = listener.getsockname()[:2]
            gateway.base_url = base_url_of(replace(settings.server, host=host), port)
            accounts = await gateway.accounts.open()
            if for_a_team:
                await _note_rules(settings.access, accounts, gateway.audit)
            accounts.webhooks.courier.start()
            if authenticator is None:
                entry = entry_of(
                    settings.access,
                    accounts,
                    gateway.audit,
                    gateway.base_url,
                    local=gateway.principal,
                    browser=browser,
                )
                gateway.authenticator = entry.authenticator
            else:
                entry = Entry(authenticator)
            app = team_app(gateway, accounts, entry, host, port)
            entry.open()
            try:
                proxies = Proxies(settings.server.trusted_proxies)
                async with serve_until_left(app, listener, lambda: gateway.audit.calls_under_way, proxies):
                    with _signals(gateway, handle_signals):
                        yield gateway
            finally:
                await entry.close()


async def _listener_url(gateway: Gateway) -> str:
    """The address of the pages under `stdio` and the commands: their loopback listener starts now, if it has not."""
    from gateway.surfaces.listener import Listener
    from gateway.web_app import instance_of, pages_app

    accounts = await gateway.accounts.open()
    if gateway.listener is None:
        gateway.listener = Listener(
            lambda url: pages_app(gateway, accounts, url), instance_of(gateway.settings, accounts)
        )
    return await gateway.listener.base_url()


@contextmanager
def _signals(gateway: Gateway, handle: bool) -> Iterator[None]:
    """While open, SIGINT and SIGTERM stop the gateway. Not on Windows, where KeyboardInterrupt does."""
    if not handle:
        yield
        return
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    with suppress(NotImplementedError):
        for number in signals:
            loop.add_signal_handler(number, gateway.stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)

"""Everything about people's accounts, opened on first need: store, vault and the oauth room, wired together.

A host that starts `atp-gateway stdio` waits for our first answer, and most sessions begin with calls that need no
account. So the database and the OAuth code are imported, off the event loop, and opened when something asks for them:
once, whoever asks first. This is wiring, not logic. Above: `gateway.app` alone.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from gateway.at_rest import may_hold_accounts, open_vault, pending_folder
from gateway.audit.arguments import PURPOSE
from gateway.clock import Clock, SharedClock, SystemClock
from gateway.errors import GatewayError, SettingsError
from gateway.settings import Settings
from gateway.types import AuditEvent, Call, Credential, FlowStatus, NeedsConnection, Principal, Requirement

if TYPE_CHECKING:
    from gateway.access.keys import Keys
    from gateway.access.spent_approvals import SpentApprovals
    from gateway.audit import AuditLog
    from gateway.oauth.apps import Apps
    from gateway.oauth.broker import Broker
    from gateway.oauth.choice import Choice, Need
    from gateway.oauth.connections import Connections
    from gateway.oauth.device import DeviceConsents
    from gateway.oauth.flows import Flows
    from gateway.oauth.handover import Handover
    from gateway.oauth.http import ProviderTransport
    from gateway.oauth.overview import Overview
    from gateway.oauth.own_access import OwnAccess
    from gateway.oauth.refresher import Refresher
    from gateway.oauth.revocations import Revocations
    from gateway.oauth.unstored import Unstored
    from gateway.oauth.upkeep import Upkeep, Work
    from gateway.providers.provider import Provider
    from gateway.store.store import Store
    from gateway.vault.vault import Vault
    from gateway.webhooks.wired import Webhooks

log = logging.getLogger(__name__)

_NO_CHOICE = "the accounts could not be looked up for a list of tools: %s"
_SKEW_WORTH_SAYING = timedelta(seconds=30)
_ROOMS = (
    "gateway.store.store",
    "gateway.vault.vault",
    "gateway.oauth.broker",
    "gateway.oauth.connections",
    "gateway.webhooks.courier",
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The opened rooms, and the clock that they share."""

    clock: Clock
    store: Store
    vault: Vault
    apps: Apps
    flows: Flows
    choice: Choice
    overview: Overview
    device: DeviceConsents
    own: OwnAccess
    broker: Broker
    connections: Connections
    keys: Keys
    webhooks: Webhooks
    handover: Handover
    refresher: Refresher
    unstored: Unstored
    revocations: Revocations
    transport: ProviderTransport
    upkeep: Upkeep

    @property
    def approvals(self) -> SpentApprovals:
        from gateway.access.spent_approvals import SpentApprovals

        return SpentApprovals(self.store.spent, self.clock)

    async def finish(self) -> None:
        """Let what is under way come to its end, refreshes before all. What it did can still be recorded."""
        await self.upkeep.close()
        await self.flows.close()
        await self.refresher.close()
        await self.connections.close()
        await self.revocations.close()
        await self.choice.close()
        await self.own.close()
        await self.webhooks.courier.close()
        await self.keys.close()

    async def close(self) -> None:
        """Close the ways out and the database."""
        await self.transport.close()
        await self.store.close()


@dataclass(frozen=True, slots=True)
class Outside:
    """What the rooms stand on: how the database at a URL is opened, None as always; and the way out to providers."""

    open_store: Callable[[str], Awaitable[Store]] | None
    transport: Callable[[], ProviderTransport]


class DeferredAccounts:
    """The executor's `Credentials` and the MCP surface's `BetweenRounds`, which open the rooms when they are needed.

    `outside` is for tests that make databases and networks fail; None is the real one.
    """

    def __init__(
        self, settings: Settings, base_url: Callable[[], Awaitable[str]], clock: Clock, outside: Outside | None = None
    ) -> None:
        self._settings = settings
        self._base_url = base_url
        self._clock = clock
        self._outside = outside
        self._opening: asyncio.Task[Accounts] | None = None
        self._opened: Accounts | None = None
        self._changed: list[Callable[[Principal], None]] = []
        self._looked_up: dict[Principal, asyncio.Task[None]] = {}
        self._refusal: asyncio.Future[NoReturn] | None = None
        self.audit: AuditLog
        self.keep_up = False
        """Whether connections are looked after in the background, once opened: for gateways that run for long."""

    async def open(self) -> Accounts:
        """The rooms, ready. Errors of opening them are raised to everyone who asks, and it is tried again next time."""
        if self._opened is None:
            if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
                self._opening = asyncio.create_task(self._open())
            self._opened = await asyncio.shield(self._opening)
        return self._opened

    async def refused(self) -> NoReturn:
        """Wait until it turns out that the rooms cannot be opened with these settings: SettingsError."""
        self._refusal = self._refusal or asyncio.get_running_loop().create_future()
        await self._refusal

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        if self._opened is not None:
            return await self._opened.broker.credential(call, requirement, refused)
        try:
            opened = await self.open()
        except GatewayError as error:
            return error
        return await opened.broker.credential(call, requirement, refused)

    def describe(self, provider: str) -> Provider | None:
        return self._opened.broker.describe(provider) if self._opened else None

    async def wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus:
        return await (await self.open()).flows.wait(flow_id, principal, seconds)

    async def claim(self, call: str) -> bool:
        return await (await self.open()).approvals.claim(call)

    async def release(self, call: str) -> None:
        await (await self.open()).approvals.release(call)

    async def offered(self, principal: Principal) -> Mapping[Need, tuple[str, ...]]:
        """Where the person can choose an account. None of it until the rooms are open, which this sees to.

        A list of tools does not wait for a database; hosts are told when the person turns out to have a choice. Nor
        is there no list where the database does not answer: tools that need no account are still of use.
        """
        if self._opened is None:
            self._open_soon(principal)
            return {}
        try:
            return await self._opened.choice.offered(principal)
        except GatewayError as error:
            log.warning(_NO_CHOICE, error)
            return {}

    def subscribe(self, changed: Callable[[Principal], None]) -> None:
        """Have `changed` called whenever the accounts that a person was offered are no longer those."""
        self._changed.append(changed)

    def _open_soon(self, principal: Principal) -> None:
        if principal in self._looked_up or not may_hold_accounts(self._settings):
            return

        async def look() -> None:
            try:
                opened = await self.open()
                offered = await opened.choice.offered(principal)
            except GatewayError as error:  # whoever needs an account will be told
                log.warning(_NO_CHOICE, error)
                return
            finally:
                self._looked_up.pop(principal, None)
            if offered:
                self._tell(principal)

        self._looked_up[principal] = asyncio.create_task(look())

    def _tell(self, principal: Principal) -> None:
        for changed in self._changed:
            changed(principal)

    async def write_events(self, events: Sequence[AuditEvent]) -> None:
        await (await self.open()).webhooks.outbox.append(events)

    async def audit_key(self) -> bytes:
        """What the arguments of calls are hashed with, for the record."""
        return (await self.open()).vault.derive(PURPOSE)[0]

    async def finish(self) -> None:
        """As of the rooms, if they were opened."""
        if (opened := await self._ever_opened()) is not None:
            await opened.finish()

    async def close(self) -> None:
        if (opened := await self._ever_opened()) is not None:
            await opened.close()

    async def _ever_opened(self) -> Accounts | None:
        if self._opening is None:
            return None
        await asyncio.gather(self._opening, return_exceptions=True)
        return self._opening.result() if self._opening.exception() is None else None

    async def _open(self) -> Accounts:
        try:
            return await self._open_rooms()
        except SettingsError as error:
            if self._refusal is not None and not self._refusal.done():
                self._refusal.set_exception(error)
            raise

    async def _open_rooms(self) -> Accounts:
        await asyncio.to_thread(_import_rooms)
        from gateway.oauth.http import ProviderTransport

        outside = self._outside or Outside(None, ProviderTransport)
        store, vault = await open_vault(self._settings, self._clock, outside.open_store)
        clock = SharedClock(self._clock)
        await _compare(clock, store)
        accounts = self._wire(store, vault, outside.transport(), clock)
        accounts.choice.subscribe(self._tell)
        await _settle(accounts.unstored)
        if self.keep_up:
            accounts.upkeep.start()
            accounts.revocations.settle_soon()
        return accounts

    def _wire(self, store: Store, vault: Vault, transport: ProviderTransport, clock: SharedClock) -> Accounts:
        from gateway.access.keys import Keys
        from gateway.oauth.apps import Apps
        from gateway.oauth.broker import Broker
        from gateway.oauth.choice import Choice
        from gateway.oauth.client import OAuthClient
        from gateway.oauth.connections import Connections
        from gateway.oauth.consent import Consent
        from gateway.oauth.device import DeviceConsents
        from gateway.oauth.discovery import Discovery
        from gateway.oauth.flows import Flows
        from gateway.oauth.grants import Grants
        from gateway.oauth.handover import Handover
        from gateway.oauth.identity import Accounts as Identities
        from gateway.oauth.live_tokens import LiveTokens
        from gateway.oauth.overview import Overview
        from gateway.oauth.own_access import OwnAccess
        from gateway.oauth.refresher import Refresher
        from gateway.oauth.revocations import Revocations
        from gateway.oauth.unstored import Unstored
        from gateway.providers.catalogue import Catalogue
        from gateway.webhooks.wired import wired

        audit, rows, settings = self.audit, store.connections, self._settings
        client, catalogue = OAuthClient(transport, clock), Catalogue.load(folder=settings.catalogue.folder)
        apps = Apps(catalogue, settings.providers, Discovery(transport, clock), settings.tenants)
        grants = Grants(rows, vault, LiveTokens(clock), clock)
        own, choice = OwnAccess(apps, client, clock), Choice(rows, grants.live, clock)
        allowed = settings.server.device_flow
        consent = Consent(client, Identities(client, transport, clock), grants, vault=vault, audit=audit, clock=clock)
        device = DeviceConsents(client, consent, apps=apps, audit=audit, clock=clock, enabled=allowed)
        flows = Flows(
            store.flows, grants, apps=apps, consent=consent, audit=audit, clock=clock, base_url=self._base_url
        )
        unstored = Unstored(pending_folder(settings), store.leases, grants, vault=vault, audit=audit, clock=clock)
        refresher = Refresher(store.leases, grants, unstored, apps=apps, client=client, audit=audit, clock=clock)
        webhooks = wired(store, vault, settings.atp.webhook_hosts, audit, clock)
        revocations = Revocations(store.revocations, rows, vault, apps=apps, client=client, audit=audit, clock=clock)
        more = {"unstored": unstored.settle, "revocations": revocations.settle, "webhooks": webhooks.courier.prune}
        return Accounts(
            store=store,
            vault=vault,
            apps=apps,
            flows=flows,
            choice=choice,
            overview=Overview(rows, grants, flows=flows, apps=apps, audit=audit),
            device=device,
            own=own,
            broker=Broker(choice, grants, own=own, flows=flows, apps=apps, refresher=refresher, clock=clock),
            connections=Connections(rows, grants, unstored, apps=apps, revocations=revocations, audit=audit),
            keys=Keys(store.keys, audit, clock),
            webhooks=webhooks,
            clock=clock,
            revocations=revocations,
            handover=Handover(rows, grants, refresher, clock),
            refresher=refresher,
            unstored=unstored,
            transport=transport,
            upkeep=self._upkeep(store, clock, refresher, flows, more),
        )

    def _upkeep(
        self, store: Store, clock: SharedClock, refresher: Refresher, flows: Flows, more: Mapping[str, Work]
    ) -> Upkeep:
        from gateway.audit.retention import Retention
        from gateway.audit.unfinished import Unfinished
        from gateway.oauth.keep_alive import KeepAlive
        from gateway.oauth.upkeep import Upkeep

        works: dict[str, Work] = {
            "clock": lambda: _compare(clock, store),
            "connections": KeepAlive(store.due, refresher, self.audit, clock).look_after,
            "flows": flows.prune,
            "spent": lambda: store.spent.prune(clock.now()),
        }
        if self.audit.strict:
            works["calls"] = Unfinished(store.trail, store.marks, store.audit.append, self.audit, clock).settle
        if (days := self._settings.audit.keep_days) is not None:
            works["audit"] = Retention(store.trail, self.audit, clock, timedelta(days=days)).prune
        return Upkeep(works | dict(more))


async def _settle(unstored: Unstored) -> None:
    """Store what a former process could not, before anybody asks for it. What still has to wait stops no start."""
    try:
        await unstored.settle()
    except GatewayError as error:
        log.warning("renewed tokens that wait for the database could not be stored yet: %s", error)


async def _compare(clock: SharedClock, store: Store) -> None:
    """Put the clock right by the database's. Replicas read each other's leases and ends of tokens."""
    clock.ahead = await store.ahead(SystemClock())
    if abs(clock.ahead) > _SKEW_WORTH_SAYING:
        log.warning("the database's clock is %.0f s ahead of this machine's: set both", clock.ahead.total_seconds())


def _import_rooms() -> None:
    for room in _ROOMS:
        importlib.import_module(room)

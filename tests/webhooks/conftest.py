"""What stands between a fact and an app's receiver: a database, a vault, the outbox, a courier, and a real receiver."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.audit import AuditLog
from gateway.clock import Clock, MovableClock
from gateway.key_types import ApiKey, KeyKind
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.testing.serving import serving
from gateway.types import Principal
from gateway.vault.data_keys import DataKeys
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from gateway.webhook_types import Delivery, Webhook
from gateway.webhooks.courier import Courier
from gateway.webhooks.registrations import Registrations
from gateway.webhooks.wired import wired

SHOP, OTHER = Principal("app", "shop"), Principal("app", "other")
ADA = Principal("app:shop", "ada@example.com")
ALL = frozenset(
    {"connection_success", "connection_failed", "connection_needs_reauth", "connection_revoked", "tool_called"}
)
APPS = (("shop", "default"), ("other", "default"), ("shop", "acme"))
"""Those that have a key."""
PATIENCE = 5.0  # seconds

Answer = Callable[[Request], Any]


@dataclass
class Receiver:
    """An app's end. It answers as `answers` say, one after the other, and 204 when there are no more."""

    answers: list[Response | Answer] = field(default_factory=list)
    received: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def host(self) -> str:
        """As `[atp] webhook_hosts` names it."""
        return self.url.split("/")[2]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    async def answer(self, request: Request) -> Response:
        self.received.append((request.headers, await request.body()))
        async with self._arrived:
            self._arrived.notify_all()
        answer = self.answers.pop(0) if self.answers else Response(status_code=204)
        return answer if isinstance(answer, Response) else await answer(request)

    async def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)


@dataclass
class Post:
    """One process's half: what writes facts and what delivers."""

    store: Store
    clock: Clock
    audit: AuditLog
    registrations: Registrations
    courier: Courier

    async def tell(self, person: Principal, action: str, outcome: str = "done", **more: Any) -> None:
        """A fact, written with what it puts in the outbox."""
        self.audit.record(person, action, outcome, **more)
        await self.audit.flush()

    async def register(self, url: str, events: frozenset[str] = ALL, app: Principal = SHOP) -> tuple[Webhook, str]:
        webhook, secret = await self.registrations.register(app, url, events)
        assert secret is not None
        return webhook, secret.reveal()

    async def deliveries(self, webhook: Webhook) -> list[Delivery]:
        return list(await self.registrations.list_deliveries(webhook.principal, webhook.id))


@asynccontextmanager
async def posting(database: str, key: Secret, clock: Clock, hosts: list[str]) -> AsyncIterator[Post]:
    store, keyring = await Store.open(database), Keyring([key])
    vault = Vault(keyring, DataKeys(store.data_keys, keyring, clock))
    await vault.check(store.marks)
    if not await store.keys.list_all():
        for number, (name, tenant) in enumerate(APPS):
            made = ApiKey(f"k{number}", KeyKind.APP, name, tenant, f"p{number}", clock.now())
            await store.keys.insert(made, bytes([number]))

    async def write(events: Any) -> None:
        await webhooks.outbox.append(events)

    audit = AuditLog(write, clock, interval=3600)
    webhooks = wired(store, vault, hosts, audit, clock)
    try:
        yield Post(store, clock, audit, webhooks.registrations, webhooks.courier)
    finally:
        await webhooks.courier.close()
        await audit.close()
        await store.close()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def key() -> Secret:
    return new_key()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, on a port of loopback."""
    receiver = Receiver()
    async with serving(Starlette(routes=[Route("/hook", receiver.answer, methods=["POST"])])) as base_url:
        receiver.url = f"{base_url}/hook"
        yield receiver


@pytest.fixture
def hosts(receiver: Receiver) -> list[str]:
    """The hosts that webhooks may lead to: the receiver's."""
    return [receiver.host]


@pytest.fixture
async def post(sqlite_url: str, key: Secret, clock: MovableClock, hosts: list[str]) -> AsyncIterator[Post]:
    async with posting(sqlite_url, key, clock, hosts) as post:
        yield post


async def pass_on(post: Post, clock: MovableClock, by: timedelta) -> int:
    """Let time pass, and make the tries that are due then; how many those were."""
    clock.advance(by)
    return await post.courier.settle()

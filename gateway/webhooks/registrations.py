"""What an app may ask about its webhooks: to have one, to see them and what came of deliveries, to replay, to end one.

An app sees its own and nothing else: what is another's does not exist. A webhook's secret is given out once, when it is
made, and kept sealed. Registering the same URL again changes its events, and brings it back where it was disabled, but
shows no secret: whoever holds the app's key today is not to read what was given to somebody yesterday.

Below: store, vault, outward. Above: the ATP surface.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import WebhookError, WebhookNotFoundError
from gateway.outward.destinations import Destinations
from gateway.secret import Secret
from gateway.store.delivery_rows import DeliveryRows
from gateway.store.webhook_rows import WebhookRows
from gateway.types import AuditEvent, Principal
from gateway.vault.vault import Binding, Vault
from gateway.webhook_signature import new_secret
from gateway.webhook_types import Delivery, DeliveryStatus, Webhook
from gateway.webhooks.events import EVENTS, PING, new_delivery
from gateway.webhooks.schedule import KEPT_DEAD, MOST_TRIES

MOST_OF_ONE_APP = 20
SHOWN = 100
"""Deliveries, the latest."""


class Registered(NamedTuple):
    """`secret` is None where the URL was registered before."""

    webhook: Webhook
    secret: Secret | None


class Registrations:
    """`rows` are the webhooks, `deliveries` what is on its way; `wake` is called when there is something to deliver."""

    def __init__(
        self,
        rows: WebhookRows,
        deliveries: DeliveryRows,
        vault: Vault,
        *,
        destinations: Destinations,
        audit: AuditLog,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._deliveries = deliveries
        self._vault = vault
        self._destinations = destinations
        self._audit = audit
        self._clock = clock
        self._wake = wake

    async def register(self, app: Principal, url: str, events: frozenset[str]) -> Registered:
        """A webhook of the app's. WebhookError, or DestinationError where the URL is none that we post to."""
        if unknown := sorted(events - set(EVENTS)):
            raise WebhookError(f"There is no event {unknown[0]!r}. There are: {', '.join(EVENTS)}.")
        if not events:
            raise WebhookError(f"events is empty. Name some of: {', '.join(EVENTS)}.")
        secret, webhook_id = new_secret(), secrets.token_hex(16)
        new = Webhook(
            id=webhook_id,
            principal=app,
            url=self._destinations.read(url).url,
            events=events,
            sealed=await self._vault.seal(secret.reveal().encode(), secret_binding(app, webhook_id)),
            created_at=self._clock.now(),
        )

        def fact(kept: Webhook) -> AuditEvent:
            return self._event(kept, "webhook.registered" if kept.id == webhook_id else "webhook.changed")

        kept = await self._rows.put(new, most=MOST_OF_ONE_APP, fact=fact)
        if kept is None:
            raise WebhookError(f"This app has {MOST_OF_ONE_APP} webhooks already. Delete one first.")
        self._wake()
        return Registered(kept, secret if kept.id == webhook_id else None)

    async def list(self, app: Principal) -> Sequence[Webhook]:
        return await self._rows.list(app)

    async def drop(self, app: Principal, webhook_id: str) -> None:
        """Forget a webhook, and what was on its way to it. WebhookNotFoundError, as everywhere below."""
        webhook = await self._get(app, webhook_id)
        if not await self._rows.drop(app, webhook_id, self._event(webhook, "webhook.deleted")):
            raise _not_found()

    async def list_deliveries(
        self, app: Principal, webhook_id: str, status: DeliveryStatus | None = None
    ) -> Sequence[Delivery]:
        """The latest, the newest event first."""
        webhook = await self._get(app, webhook_id)
        return await self._deliveries.list_latest(webhook.id, status, SHOWN)

    async def replay(self, app: Principal, webhook_id: str, delivery_id: str) -> Delivery:
        """Deliver an event once more, however its delivery ended, as soon as possible."""
        webhook = await self._get(app, webhook_id)
        now = self._clock.now()
        await self._deliveries.replay(webhook.id, now, KEPT_DEAD, more=MOST_TRIES, only=delivery_id)
        delivery = await self._deliveries.find(webhook.id, delivery_id)
        if delivery is None:
            raise WebhookNotFoundError("This webhook has no such delivery: it is unknown, or was kept long enough.")
        self._wake()
        return delivery

    async def ping(self, app: Principal, webhook_id: str) -> Delivery:
        """Deliver an event that means nothing, to try a receiver out."""
        webhook = await self._get(app, webhook_id)
        delivery = new_delivery(webhook.id, secrets.token_hex(16), PING, self._clock.now(), {})
        if not await self._deliveries.put(delivery):
            raise WebhookError("Too many deliveries wait for this webhook. Look at why they fail first.")
        self._wake()
        return delivery

    async def _get(self, app: Principal, webhook_id: str) -> Webhook:
        webhook = await self._rows.find(app, webhook_id)
        if webhook is None:
            raise _not_found()
        return webhook

    def _event(self, webhook: Webhook, action: str) -> AuditEvent:
        app = webhook.principal
        return self._audit.event(app, action, "done", client=app.subject, reference=webhook.id)


def secret_binding(app: Principal, webhook_id: str) -> Binding:
    """The place that a webhook's secret is sealed to."""
    return Binding("webhooks", webhook_id, app, "", "secret", 1)


def _not_found() -> WebhookNotFoundError:
    return WebhookNotFoundError("This app has no such webhook. List its webhooks to see which there are.")

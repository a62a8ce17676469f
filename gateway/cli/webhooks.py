"""`atp-gateway webhooks …`: apps' webhooks and their deliveries, for the administrator.

Works on the database alone, while gateways are serving or not: what is to be delivered again, the next one that looks
takes along. A URL is shown without its path: many receivers have a secret in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from gateway.cli import options
from gateway.cli.opened_store import opened_store
from gateway.errors import WebhookNotFoundError

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store.store import Store
    from gateway.webhook_types import Delivery, Webhook

_STATUSES = ("pending", "delivered", "dead")


@click.group("webhooks")
def command() -> None:
    """Apps' webhooks: list them, see what was delivered, and deliver again what was given up."""


@command.command("list", short_help="Which apps have which webhooks.")
@options.config
@options.as_json
def list_webhooks(config: Path | None, as_json: bool) -> None:
    """List the webhooks of all apps."""
    import anyio

    found = [_webhook(webhook) for webhook in anyio.run(_list, options.settings_for(config))]
    _print(
        found,
        as_json,
        lambda one: (
            f"{click.style(one['id'], bold=True)}  {one['app']}  {one['origin']}  {one['status']}  "
            f"{' '.join(one['events'])}" + (f"  {one['missed']} events missed" if one["missed"] else "")
        ),
        "No app has a webhook.",
    )


@command.command("deliveries", short_help="What was delivered to a webhook, and what was not.")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those of this status.")
@options.config
@options.as_json
def deliveries(webhook_id: str, status: str | None, config: Path | None, as_json: bool) -> None:
    """Show the latest deliveries to a webhook, the newest event first."""
    import anyio

    found = [_delivery(one) for one in anyio.run(_deliveries, options.settings_for(config), webhook_id, status)]
    _print(
        found,
        as_json,
        lambda one: (
            f"{click.style(one['id'], bold=True)}  {one['type']}  {one['created_at'][:19]}  {one['status']}  "
            f"{one['attempts']} tries  {one['response_status'] or ''} {one['failure'] or ''}".rstrip()
        ),
        "No such delivery.",
    )


@command.command("replay", short_help="Deliver an event again, or all that were given up.")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.argument("delivery_id", metavar="[DELIVERY]", required=False)
@options.config
@options.as_json
def replay(webhook_id: str, delivery_id: str | None, config: Path | None, as_json: bool) -> None:
    """Have the running gateway deliver again: DELIVERY, however it ended, or all that the webhook's dead ones are."""
    import anyio

    replayed = anyio.run(_replay, options.settings_for(config), webhook_id, delivery_id)
    if as_json:
        click.echo(json.dumps({"replayed": list(replayed)}, indent=2))
    count = len(replayed)
    click.secho(f"✓ {count} {'delivery is' if count == 1 else 'deliveries are'} due again.", fg="green", err=True)


@command.command("delete", short_help="Delete a webhook, and what is on its way to it.")
@click.argument("webhook_id", metavar="WEBHOOK")
@options.config
def delete(webhook_id: str, config: Path | None) -> None:
    """Delete an app's webhook. The app may register it again, for as long as it has a key."""
    import anyio

    anyio.run(_delete, options.settings_for(config), webhook_id)
    click.secho("✓ Deleted.", fg="green", err=True)


async def _list(settings: Settings) -> Sequence[Webhook]:
    async with opened_store(settings) as store:
        return await store.webhooks.list_all()


async def _deliveries(settings: Settings, webhook_id: str, status: str | None) -> Sequence[Delivery]:
    from gateway.webhook_types import DeliveryStatus
    from gateway.webhooks.registrations import SHOWN

    async with opened_store(settings) as store:
        await _get(store, webhook_id)
        return await store.deliveries.list_latest(webhook_id, DeliveryStatus(status) if status else None, SHOWN)


async def _replay(settings: Settings, webhook_id: str, delivery_id: str | None) -> Sequence[str]:
    from gateway.clock import SystemClock
    from gateway.webhooks.schedule import KEPT_DEAD, MOST_TRIES

    async with opened_store(settings) as store:
        webhook = await _get(store, webhook_id)
        if webhook.disabled_at:
            click.secho("This webhook is disabled: nothing is sent until its app registers it again.", err=True)
        now = SystemClock().now() + await store.ahead(SystemClock())
        found = await store.deliveries.replay(webhook_id, now, KEPT_DEAD, more=MOST_TRIES, only=delivery_id)
    if delivery_id and not found:
        raise WebhookNotFoundError(f"The webhook has no delivery {delivery_id}. See: atp-gateway webhooks deliveries")
    return found


async def _delete(settings: Settings, webhook_id: str) -> None:
    from gateway.access.authenticator import local_principal
    from gateway.audit import AuditLog
    from gateway.clock import SystemClock

    async with opened_store(settings) as store:
        webhook = await _get(store, webhook_id)
        app, us = webhook.principal, local_principal()
        audit = AuditLog(store.audit.append, SystemClock())
        event = audit.event(us, "webhook.deleted", "done", client=app.subject, reference=webhook.id)
        await store.webhooks.drop(app, webhook.id, event)


async def _get(store: Store, webhook_id: str) -> Webhook:
    found = next((each for each in await store.webhooks.list_all() if each.id == webhook_id), None)
    if found is None:
        raise WebhookNotFoundError(f"There is no webhook {webhook_id}. See: atp-gateway webhooks list")
    return found


def _print(found: Sequence[dict[str, Any]], as_json: bool, line: Any, nothing: str) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        click.echo(nothing, err=True)
    for one in [] if as_json else found:
        click.echo(line(one))


def _webhook(webhook: Webhook) -> dict[str, Any]:
    url = urlsplit(webhook.url)
    return {
        "id": webhook.id,
        "tenant": webhook.principal.tenant,
        "app": webhook.principal.subject,
        "origin": f"{url.scheme}://{url.netloc}",
        "events": sorted(webhook.events),
        "status": "disabled" if webhook.disabled_at else "active",
        "missed": webhook.missed,
        "created_at": webhook.created_at.isoformat(),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "type": delivery.type,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "response_status": delivery.response_status,
        "failure": delivery.failure,
        "created_at": delivery.created_at.isoformat(),
        "next_try_at": _text(delivery.next_try_at),
        "ended_at": _text(delivery.ended_at),
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None

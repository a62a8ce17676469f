"""`atp-gateway webhooks`: what the administrator sees, and what is due again afterwards."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import anyio.to_thread
import pytest
from click.testing import CliRunner, Result

from gateway.access.authenticator import local_principal
from gateway.clock import SystemClock
from gateway.store.store import Store
from gateway.types import Principal
from gateway.webhook_types import DeliveryStatus, Webhook
from gateway.webhooks.events import new_delivery

KEPT = timedelta(days=30)


@pytest.fixture
async def store(sqlite_url: str) -> Any:
    """A webhook of the app shop, with a dead delivery, one that arrived, and one that waits."""
    opened, now = await Store.open(sqlite_url), SystemClock().now()
    url = "https://app.example.com/hooks/s3cret?t=s3cret"
    await opened.webhooks.put(
        Webhook("w1", Principal("app", "shop"), url, frozenset({"tool_called"}), b"sealed", now), most=9
    )
    for name in ("dead", "arrived", "waiting"):
        await opened.deliveries.put(new_delivery("w1", name, "tool_called", now, {}))
    for delivery in await opened.deliveries.claim("w1", now, now + timedelta(hours=1), 9):
        if delivery.id == "dead":
            await opened.deliveries.end(
                delivery, DeliveryStatus.DEAD, now, KEPT, response_status=500, failure="refused"
            )
        elif delivery.id == "arrived":
            await opened.deliveries.end(delivery, DeliveryStatus.DELIVERED, now, KEPT, response_status=204)
    yield opened
    await opened.close()


@pytest.fixture
def webhooks(sqlite_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    from gateway.cli.webhooks import command

    async def run(*arguments: str) -> Result:
        for name in [name for name in os.environ if name.startswith("ATP_GATEWAY_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("ATP_GATEWAY_DATABASE_URL", sqlite_url)
        return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(command, arguments))

    return run


async def test_a_script_and_a_person_see_the_webhooks_without_their_paths(webhooks: Any):
    listed = await webhooks("list", "--json")
    [found] = json.loads(listed.stdout)
    assert (found["id"], found["app"], found["origin"]) == ("w1", "shop", "https://app.example.com")
    assert (found["tenant"], found["status"], found["events"]) == ("default", "active", ["tool_called"])
    shown = await webhooks("list")
    assert "w1  shop  https://app.example.com  active  tool_called" in shown.stdout
    assert "s3cret" not in listed.output + shown.output


async def test_deliveries_are_shown_by_status(webhooks: Any):
    shown = await webhooks("deliveries", "w1")
    assert len(shown.stdout.splitlines()) == 3
    dead = json.loads((await webhooks("deliveries", "w1", "--status", "dead", "--json")).stdout)
    assert [(each["id"], each["response_status"], each["failure"]) for each in dead] == [("dead", 500, "refused")]


async def test_what_is_dead_is_replayed_and_a_delivery_by_its_id(webhooks: Any, store: Store):
    assert json.loads((await webhooks("replay", "w1", "--json")).stdout) == {"replayed": ["dead"]}
    assert "1 delivery is due again" in (await webhooks("replay", "w1", "arrived")).stderr
    due = await store.deliveries.claim("w1", SystemClock().now(), SystemClock().now() + KEPT, 9)
    assert {delivery.id for delivery in due} == {"dead", "arrived"}


async def test_a_webhook_is_deleted_and_that_is_on_record(webhooks: Any, store: Store):
    assert "Deleted" in (await webhooks("delete", "w1")).stderr
    assert await store.webhooks.list_all() == []
    [fact] = await store.audit.list_latest(local_principal())
    assert (fact.action, fact.client, fact.reference) == ("webhook.deleted", "shop", "w1")


@pytest.mark.parametrize(
    "arguments", [("delete", "w2"), ("deliveries", "w2"), ("replay", "w2"), ("replay", "w1", "nothing")]
)
async def test_what_is_not_there_is_an_error(webhooks: Any, arguments: tuple[str, ...]):
    result = await webhooks(*arguments)
    assert result.exit_code == 1
    assert "atp-gateway webhooks" in str(result.exception)

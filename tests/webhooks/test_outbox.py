"""Which facts become deliveries, whose they are, and what an app reads of them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from sqlalchemy import event

from gateway.errors import WebhookError
from gateway.store.delivery_rows import MOST_WAITING
from gateway.store.tables import WEBHOOK_DELIVERIES
from gateway.types import Principal
from gateway.webhook_types import DeliveryStatus
from tests.webhooks.conftest import ADA, ALL, OTHER, SHOP, Post, Receiver, posting

URL = "https://app.example.com/hook"
FACTS = {
    "connection.created": "connection_success",
    "connection.replaced": "connection_success",
    "connection.failed": "connection_failed",
    "connection.declined": "connection_failed",
    "connection.needs_reauth": "connection_needs_reauth",
    "connection.dropped": "connection_revoked",
    "tool.called": "tool_called",
}


async def test_a_fact_about_an_apps_user_becomes_a_delivery(post: Post):
    for number, (action, event_type) in enumerate(FACTS.items()):
        await _heard(post, f"{URL}/{number}", action, event_type)


async def _heard(post: Post, url: str, action: str, event_type: str) -> None:
    webhook, _ = await post.register(url)

    await post.tell(ADA, action, "an outcome", provider="hubspot", account="ada@hub", reference="r1", tool="t")

    [delivery] = await post.deliveries(webhook)
    assert (delivery.type, delivery.status, delivery.attempts) == (event_type, DeliveryStatus.PENDING, 0)
    await post.registrations.drop(SHOP, webhook.id)
    fact = next(fact for fact in await post.store.audit.list_latest(ADA) if fact.action == action)
    assert json.loads(delivery.body) == {
        "id": fact.id,
        "type": event_type,
        "created_at": fact.at.isoformat().replace("+00:00", "Z"),
        "data": {
            "external_user_id": "ada@example.com",
            "provider": "hubspot",
            "account": "ada@hub",
            "connection_id": None if event_type == "tool_called" else "r1",
            "tool": "t" if event_type == "tool_called" else None,
            "outcome": "an outcome",
            "duration_ms": None,
        },
    }


async def test_other_facts_become_none(post: Post):
    webhook, _ = await post.register(URL)

    for action in ("flow.begun", "connection.refreshed", "connection.revoked", "tokens.handed_out", "webhook.changed"):
        await post.tell(ADA, action)

    assert await post.deliveries(webhook) == []
    assert len(await post.store.audit.list_latest(ADA)) == 5


async def test_only_the_persons_app_hears_of_it_and_only_what_it_asked_for(post: Post):
    success, _ = await post.register(URL, frozenset({"connection_success"}))
    calls, _ = await post.register(f"{URL}/calls", frozenset({"tool_called"}))
    other, _ = await post.register(URL, app=OTHER)
    elsewhere, _ = await post.register(URL, app=replace(SHOP, tenant="acme"))

    await post.tell(ADA, "connection.created")
    await post.tell(replace(ADA, tenant="acme"), "tool.called")
    await post.tell(Principal("https://login.example", "ada@example.com"), "tool.called")
    await post.tell(Principal("app:sho", "p"), "tool.called")

    assert [d.type for d in await post.deliveries(success)] == ["connection_success"]
    assert await post.deliveries(calls) == []
    assert await post.deliveries(other) == []
    assert [d.type for d in await post.deliveries(elsewhere)] == ["tool_called"]


async def test_on_ones_own_machine_the_app_hears_of_the_person(post: Post):
    me = Principal("local", "me")
    webhook, _ = await post.register(URL, app=me)

    await post.tell(me, "tool.called", tool="t", duration_ms=1.5)
    await post.tell(Principal("local", "somebody else"), "tool.called")

    [delivery] = await post.deliveries(webhook)
    data = json.loads(delivery.body)["data"]
    assert (data["external_user_id"], data["tool"], data["duration_ms"]) == (None, "t", 1.5)


async def test_a_batch_that_is_written_twice_is_delivered_once(post: Post):
    """A writer that does not know whether its commit went through writes it again."""
    webhook, _ = await post.register(URL)
    facts: list[Any] = []

    async def spy(events: Any) -> None:
        facts.extend(events)

    post.audit._write, write = spy, post.audit._write
    await post.tell(ADA, "tool.called")
    post.audit._write = write

    for _ in range(2):
        await write(facts)

    assert len(await post.deliveries(webhook)) == 1
    assert len(await post.store.audit.list_latest(ADA)) == 1


async def test_a_fact_that_is_not_written_is_not_delivered_either(post: Post):
    """They are one transaction."""
    webhook, _ = await post.register(URL)
    await post.tell(ADA, "tool.called")
    [fact] = await post.store.audit.list_latest(ADA)
    broken = replace(fact, id="broken", at=fact.at.replace(tzinfo=None))  # which no database is given

    with pytest.raises(Exception, match="database does not answer"):
        await post.audit._write([replace(fact, id="whole"), broken])

    assert [d.id for d in await post.deliveries(webhook)] == [fact.id]
    assert [f.id for f in await post.store.audit.list_latest(ADA)] == [fact.id]


async def test_no_query_is_made_for_facts_that_concern_no_app(post: Post):
    statements: list[str] = []
    event.listen(
        post.store._engines.writing.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement),
    )

    await post.tell(Principal("https://login.example", "ada"), "tool.called")
    await post.tell(ADA, "flow.begun")
    assert not [statement for statement in statements if "webhook" in statement]

    post.audit.record(ADA, "tool.called", "done")
    for number in range(50):
        post.audit.record(replace(ADA, subject=f"user {number}"), "tool.called", "done")
    await post.audit.flush()
    assert len([statement for statement in statements if "webhook" in statement]) == 1


async def test_beyond_a_bound_events_are_missed_and_counted(post: Post):
    webhook, _ = await post.register(URL)
    await post.tell(ADA, "tool.called")
    [delivery] = await post.deliveries(webhook)
    waiting = [asdict(replace(delivery, id=f"w{number}")) for number in range(MOST_WAITING - 3)]
    await post.store._engines.change(post.store._engines.insert(WEBHOOK_DELIVERIES), waiting)

    for _ in range(5):
        post.audit.record(ADA, "tool.called", "done")
    await post.audit.flush()
    await post.tell(ADA, "tool.called")

    [found] = await post.registrations.list(SHOP)
    assert found.missed == 4
    assert len(await post.store.audit.list_latest(ADA)) == 7
    with pytest.raises(WebhookError, match="Too many"):
        await post.registrations.ping(SHOP, webhook.id)


async def test_the_same_on_each_database(database_url: str, key: Any, clock: Any, receiver: Receiver, hosts: list[str]):
    async with posting(database_url, key, clock, hosts) as post:
        webhook, _ = await post.register(receiver.url, ALL)
        await post.tell(ADA, "tool.called", tool="t\0 \ud800", provider="p")
        assert await post.courier.settle() == 1
        assert [d.status for d in await post.deliveries(webhook)] == [DeliveryStatus.DELIVERED]
        assert receiver.events[0]["data"]["tool"] == "t\0 \ud800"
        await post.registrations.drop(SHOP, webhook.id)

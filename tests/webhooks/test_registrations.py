"""What an app may ask about its webhooks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import MovableClock
from gateway.errors import DestinationError, WebhookError, WebhookNotFoundError
from gateway.secret import Secret
from gateway.webhook_types import DeliveryStatus
from gateway.webhooks.registrations import MOST_OF_ONE_APP
from tests.webhooks.conftest import ADA, ALL, OTHER, SHOP, Post, Receiver, pass_on, posting

URL = "https://app.example.com/hook"
SOME = frozenset({"tool_called"})


async def test_a_secret_is_shown_once_and_lies_sealed(post: Post, sqlite_url: str):
    webhook, secret = await post.register(URL)
    again, shown = await post.registrations.register(SHOP, URL, SOME)

    assert (again.id, again.events, shown) == (webhook.id, SOME, None)
    assert secret.startswith("whsec_")
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    content = b"".join(file.read_bytes() for file in folder.iterdir())
    assert URL.encode() in content
    assert secret.removeprefix("whsec_").encode() not in content
    assert secret not in repr(await post.registrations.list(SHOP))


async def test_an_app_sees_and_touches_only_its_own(post: Post, receiver: Receiver):
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    [delivery] = await post.deliveries(webhook)

    assert await post.registrations.list(OTHER) == []
    for attempt in (
        post.registrations.drop(OTHER, webhook.id),
        post.registrations.list_deliveries(OTHER, webhook.id),
        post.registrations.replay(OTHER, webhook.id, delivery.id),
        post.registrations.ping(OTHER, webhook.id),
        post.registrations.drop(SHOP, "unknown"),
        post.registrations.replay(SHOP, webhook.id, "unknown"),
    ):
        with pytest.raises(WebhookNotFoundError):
            await attempt
    assert [each.id for each in await post.registrations.list(SHOP)] == [webhook.id]


@pytest.mark.parametrize("events", [frozenset(), frozenset({"connection_success", "nonsense"})])
async def test_an_unknown_event_is_refused_with_those_there_are(post: Post, events: frozenset[str]):
    with pytest.raises(WebhookError) as refused:
        await post.registrations.register(SHOP, URL, events)
    assert all(event in str(refused.value) for event in ALL)


async def test_a_url_that_must_not_be_posted_to_is_refused(post: Post):
    with pytest.raises(DestinationError, match=r"\[atp\] webhook_hosts"):
        await post.register("https://169.254.169.254/")
    assert await post.registrations.list(SHOP) == []


async def test_an_app_has_so_many_webhooks_and_no_more_however_many_ask_at_once(
    database_url: str, key: Secret, clock: MovableClock
):
    async with posting(database_url, key, clock, []) as post:
        attempts = [post.registrations.register(SHOP, f"{URL}/{n}", SOME) for n in range(MOST_OF_ONE_APP + 5)]
        ends = await asyncio.gather(*attempts, return_exceptions=True)
        assert sum(isinstance(end, WebhookError) for end in ends) == 5
        assert len(await post.registrations.list(SHOP)) == MOST_OF_ONE_APP
        await post.register(URL, app=OTHER)
        known = (await post.registrations.list(SHOP))[0]
        assert (await post.registrations.register(SHOP, known.url, ALL)).webhook.id == known.id


async def test_of_one_url_registered_many_times_at_once_there_is_one(
    database_url: str, key: Secret, clock: MovableClock
):
    async with posting(database_url, key, clock, []) as post:
        made = await asyncio.gather(*(post.registrations.register(SHOP, URL, SOME) for _ in range(5)))
        assert len({webhook.id for webhook, _ in made}) == 1
        assert sum(secret is not None for _, secret in made) == 1


async def test_what_was_deleted_gets_nothing_more(post: Post, receiver: Receiver):
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.registrations.drop(SHOP, webhook.id)
    await post.tell(ADA, "tool.called")

    assert await post.courier.settle() == 0
    assert receiver.received == []


async def test_a_ping_arrives_whatever_the_webhook_is_for(post: Post, receiver: Receiver):
    webhook, _ = await post.register(receiver.url, SOME)

    delivery = await post.registrations.ping(SHOP, webhook.id)
    await post.courier.settle()

    assert [(event["id"], event["type"], event["data"]) for event in receiver.events] == [(delivery.id, "ping", {})]


async def test_a_delivery_can_be_replayed_however_it_ended(post: Post, receiver: Receiver, clock: MovableClock):
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()
    [delivery] = await post.deliveries(webhook)
    assert delivery.status is DeliveryStatus.DELIVERED

    replayed = await post.registrations.replay(SHOP, webhook.id, delivery.id)
    assert (replayed.status, replayed.ended_at) == (DeliveryStatus.PENDING, None)
    await pass_on(post, clock, timedelta(seconds=1))

    first, second = receiver.received
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == second[0]["webhook-id"] == delivery.id, "a receiver may know it again"
    assert [d.status for d in await post.deliveries(webhook)] == [DeliveryStatus.DELIVERED]


async def test_what_an_app_does_to_its_webhooks_is_in_the_record(post: Post):
    webhook, _ = await post.register(URL)
    await post.registrations.register(SHOP, URL, SOME)
    await post.registrations.drop(SHOP, webhook.id)
    await post.audit.flush()

    facts = await post.store.audit.list_latest(SHOP)
    assert {fact.action for fact in facts} == {"webhook.registered", "webhook.changed", "webhook.deleted"}
    assert {fact.reference for fact in facts} == {webhook.id}

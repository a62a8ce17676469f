"""Deliveries to a receiver that answers, fails, hangs, redirects, asks for patience, or is gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import standardwebhooks
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.clock import MovableClock
from gateway.key_types import ApiKey, KeyKind
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.webhook_types import DeliveryStatus
from gateway.webhooks import schedule
from tests.webhooks.conftest import ADA, ALL, SHOP, Post, Receiver, pass_on, posting

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def only(post: Post) -> Any:
    [webhook] = await post.registrations.list(SHOP)
    [delivery] = await post.deliveries(webhook)
    return delivery


async def test_an_event_arrives_signed(sqlite_url: str, key: Secret, receiver: Receiver, hosts: list[str]):
    """At the machine's time, for the specification's own library looks at it."""
    from gateway.clock import SystemClock

    async with posting(sqlite_url, key, SystemClock(), hosts) as post:
        _, secret = await post.register(receiver.url)
        await post.tell(ADA, "connection.created", provider="hubspot")
        await post.courier.settle()

    [(headers, body)] = receiver.received
    event = standardwebhooks.Webhook(secret).verify(body, dict(headers))
    assert (event["type"], event["id"]) == ("connection_success", headers["webhook-id"])
    assert headers["content-type"] == "application/json"


async def test_it_is_delivered_as_soon_as_it_is_written(post: Post, receiver: Receiver):
    await post.register(receiver.url)
    post.courier.start()
    for _ in range(30):
        post.audit.record(ADA, "tool.called", "done")
    await post.audit.flush()
    await receiver.wait_for(30)

    assert len({event["id"] for event in receiver.events}) == 30


async def test_what_fails_is_tried_ever_more_seldom_for_three_days_and_then_given_up(
    post: Post, receiver: Receiver, clock: MovableClock, caplog: pytest.LogCaptureFixture
):
    receiver.answers = [Response(status_code=500) for _ in range(20)]
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    began, pauses = clock.now(), []
    await post.courier.settle()

    while (delivery := await only(post)).status is DeliveryStatus.PENDING:
        assert (delivery.response_status, delivery.failure) == (500, "refused")
        pauses.append(delivery.next_try_at - clock.now())
        assert await pass_on(post, clock, pauses[-1] - SECOND) == 0, "not a moment too soon"
        assert await pass_on(post, clock, SECOND) == 1

    assert len(receiver.received) == schedule.MOST_TRIES == len(pauses) + 1
    assert len({body for _, body in receiver.received}) == 1
    assert pauses == sorted(pauses)
    assert timedelta(seconds=5) <= pauses[0] <= timedelta(seconds=6)
    assert 3 * DAY <= clock.now() - began <= 4 * DAY
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.DEAD, schedule.MOST_TRIES)
    assert f"webhook {webhook.id}: an event is given up" in caplog.text
    assert receiver.url not in caplog.text, "there may be a secret in it"


async def test_each_try_is_signed_for_its_own_time(post: Post, receiver: Receiver, clock: MovableClock):
    receiver.answers = [Response(status_code=503)]
    await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()
    await pass_on(post, clock, MINUTE)

    (first, _), (second, _) = receiver.received
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]


async def test_what_was_given_up_is_kept_for_thirty_days_and_can_be_replayed(
    post: Post, receiver: Receiver, clock: MovableClock
):
    receiver.answers = [Response(status_code=400) for _ in range(schedule.MOST_TRIES)]
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()
    for _ in range(schedule.MOST_TRIES):
        await pass_on(post, clock, 2 * DAY)
    delivery = await only(post)
    assert delivery.status is DeliveryStatus.DEAD

    clock.advance(10 * DAY)
    await post.courier.prune()
    await post.registrations.replay(SHOP, webhook.id, delivery.id)
    assert await post.courier.settle() == 1
    assert (await only(post)).status is DeliveryStatus.DELIVERED
    clock.advance(schedule.KEPT_DELIVERED)
    assert await post.courier.prune() == 1
    assert await post.deliveries(webhook) == []


async def test_the_dead_go_after_thirty_days(post: Post, receiver: Receiver, clock: MovableClock):
    receiver.answers = [Response(status_code=410)]
    await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()

    clock.advance(30 * DAY - SECOND)
    assert await post.courier.prune() == 0
    clock.advance(SECOND)
    assert await post.courier.prune() == 1


async def test_gone_disables_the_webhook_until_it_is_registered_again(
    post: Post, receiver: Receiver, clock: MovableClock
):
    receiver.answers = [Response(status_code=410)]
    webhook, _ = await post.register(receiver.url)
    for _ in range(2):
        await post.tell(ADA, "tool.called")
    await post.tell(ADA, "tool.called")
    await asyncio.wait_for(post.courier.settle(), 5)
    assert await pass_on(post, clock, DAY) == 0
    await post.tell(ADA, "tool.called")
    [found] = await post.registrations.list(SHOP)
    assert found.disabled_at is not None
    before = len(receiver.received)

    again, secret = await post.registrations.register(SHOP, receiver.url, ALL)
    assert (again.id, again.disabled_at, secret) == (webhook.id, None, None)
    await post.tell(ADA, "tool.called")
    await pass_on(post, clock, MINUTE)
    assert len(receiver.received) == before + 1
    await post.audit.flush()
    assert "webhook.disabled" in {fact.action for fact in await post.store.audit.list_latest(SHOP)}


@pytest.mark.parametrize(("status", "as_date"), [(429, False), (503, True)])
async def test_a_receiver_that_asks_for_patience_gets_it(
    post: Post, receiver: Receiver, clock: MovableClock, status: int, as_date: bool
):
    at = clock.now() + HOUR
    value = format_datetime(at.astimezone(UTC), usegmt=True) if as_date else "3600"
    receiver.answers = [Response(status_code=status, headers={"Retry-After": value})]
    await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()
    assert (await only(post)).next_try_at >= at - SECOND

    await post.tell(ADA, "tool.called")
    assert await pass_on(post, clock, HOUR - 2 * SECOND) == 0, "nor is the next event sent any sooner"
    assert await pass_on(post, clock, 2 * SECOND) == 1
    await post.courier.settle()
    assert len(receiver.received) == 3


@pytest.mark.parametrize("value", ["", "soon", "-5", "9" * 30, "Thu, 99 Jan 2026", "1e9"])
def test_a_pause_that_cannot_be_read_was_not_asked_for(value: str):
    assert schedule.asked_pause(value, datetime.now(UTC)) is None


def test_no_longer_pause_than_a_day_is_believed():
    assert schedule.asked_pause("999999999", datetime.now(UTC)) == DAY


async def test_a_redirect_is_a_failure(post: Post, receiver: Receiver):
    receiver.answers = [Response(status_code=307, headers={"Location": receiver.url})]
    await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()

    assert len(receiver.received) == 1
    delivery = await only(post)
    assert (delivery.status, delivery.failure, delivery.response_status) == (DeliveryStatus.PENDING, "redirect", 307)


async def test_gigabytes_in_answer_are_not_read(post: Post, receiver: Receiver):
    async def gigabytes(request: Request) -> Response:
        async def body() -> Any:
            for _ in range(20_000):
                yield b"x" * 65536
                await asyncio.sleep(0)

        return StreamingResponse(body())

    receiver.answers = [gigabytes]
    await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await asyncio.wait_for(post.courier.settle(), 5)

    assert (await only(post)).status is DeliveryStatus.DELIVERED


async def test_a_receiver_that_hangs_holds_nobody_else_up(post: Post, receiver: Receiver, clock: MovableClock):
    """However many events wait for it."""
    released = asyncio.Event()

    async def hang(request: Request) -> Response:
        if b"slow" not in await request.body():
            return Response(status_code=204)
        await released.wait()
        return Response(status_code=500)

    receiver.answers = [hang] * 200
    await post.register(f"{receiver.url}?slow", frozenset({"connection_failed"}))
    await post.register(receiver.url, frozenset({"tool_called"}))
    for _ in range(60):
        post.audit.record(ADA, "connection.failed", "slow")
    await post.audit.flush()
    post.courier.start()
    await receiver.wait_for(4)

    for number in range(20):
        await post.tell(ADA, "tool.called", tool=f"t{number}")
    async with asyncio.timeout(5):
        while sum(event["type"] == "tool_called" for event in receiver.events) < 20:
            await receiver.wait_for(len(receiver.received) + 1)

    slow = [event for event in receiver.events if event["type"] == "connection_failed"]
    assert len(slow) == 4, "no more at a time"
    released.set()


async def test_of_all_that_waits_for_a_receiver_that_is_down_one_is_tried_at_a_time(
    post: Post, receiver: Receiver, clock: MovableClock
):
    receiver.answers = [Response(status_code=500) for _ in range(9)]
    await post.register(receiver.url)
    for _ in range(20):
        post.audit.record(ADA, "tool.called", "done")
    await post.audit.flush()

    assert await post.courier.settle() == 4
    assert await pass_on(post, clock, SECOND) == 0
    assert await pass_on(post, clock, MINUTE) == 1
    for _ in range(4):
        assert await pass_on(post, clock, MINUTE) == 1
    assert await pass_on(post, clock, MINUTE) == 1, "which is answered at last"
    assert await post.courier.settle() == 4


async def test_a_try_that_a_dead_process_made_is_made_again_by_another(
    post: Post, receiver: Receiver, clock: MovableClock
):
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    [lost] = await post.store.deliveries.claim(webhook.id, clock.now(), clock.now() + 30 * SECOND, 10)

    assert await post.courier.settle() == 0
    assert await pass_on(post, clock, 30 * SECOND) == 1
    assert (await only(post)).status is DeliveryStatus.DELIVERED
    assert not await post.store.deliveries.put_off(lost, clock.now(), failure="late"), "who was paused changes nothing"


async def test_a_replay_in_the_middle_of_a_try_is_not_lost(post: Post, receiver: Receiver, clock: MovableClock):
    async def replayed(request: Request) -> Response:
        await post.registrations.replay(SHOP, webhook.id, (await only(post)).id)
        return Response(status_code=204)

    receiver.answers = [replayed]
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    await post.courier.settle()
    assert (await only(post)).status is DeliveryStatus.PENDING
    await post.courier.settle()
    assert (await only(post)).status is DeliveryStatus.DELIVERED
    assert len(receiver.received) == 2


async def test_an_app_whose_keys_were_all_revoked_hears_nothing_more(
    post: Post, receiver: Receiver, clock: MovableClock
):
    """Whoever had the key may have registered a receiver of their own."""
    webhook, _ = await post.register(receiver.url)
    await post.tell(ADA, "tool.called")
    second = ApiKey("second", KeyKind.APP, "shop", "default", "p", clock.now())
    await post.store.keys.insert(second, b"second")

    await post.store.keys.revoke("k0", clock.now())
    await post.courier.settle()
    assert len(receiver.received) == 1, "a key that is turned changes nothing"

    await post.tell(ADA, "tool.called")
    await post.store.keys.revoke("second", clock.now())
    await post.tell(ADA, "tool.called")
    assert await post.courier.settle() == 0
    assert len(await post.deliveries(webhook)) == 2


async def test_a_host_that_is_not_allowed_any_more_gets_nothing(
    sqlite_url: str, key: Secret, clock: MovableClock, receiver: Receiver, hosts: list[str]
):
    async with posting(sqlite_url, key, clock, hosts) as post:
        await post.register(receiver.url)
    async with posting(sqlite_url, key, clock, []) as post:
        await post.tell(ADA, "tool.called")
        await post.courier.settle()
        assert (await only(post)).failure == "destination_refused"
    assert receiver.received == []


async def test_a_receiver_that_is_not_there_is_a_failure_like_another(
    sqlite_url: str, key: Secret, clock: MovableClock
):
    async with posting(sqlite_url, key, clock, ["127.0.0.1:1"]) as post:
        await post.register("http://127.0.0.1:1/")
        await post.tell(ADA, "tool.called")
        await post.courier.settle()
        delivery = await only(post)
    assert (delivery.failure, delivery.response_status) == ("no_connection", None)


async def test_a_secret_that_does_not_open_delays_the_delivery_and_loses_nothing(
    post: Post, receiver: Receiver, clock: MovableClock
):
    webhook, _ = await post.register(receiver.url)
    from gateway.store.tables import WEBHOOKS

    await post.store._engines.change(WEBHOOKS.update().values(sealed=webhook.sealed[::-1]))
    await post.tell(ADA, "tool.called")
    await post.courier.settle()
    assert (await only(post)).failure == "secret_unavailable"
    await post.store._engines.change(WEBHOOKS.update().values(sealed=webhook.sealed))
    await pass_on(post, clock, MINUTE)
    assert len(receiver.received) == 1


async def test_two_processes_deliver_each_event_once(
    database_url: str, key: Secret, clock: MovableClock, receiver: Receiver, hosts: list[str]
):
    async with (
        posting(database_url, key, clock, hosts) as one,
        posting(database_url, key, clock, hosts) as two,
    ):
        await one.register(receiver.url)
        for post in (one, two):
            for _ in range(20):
                post.audit.record(ADA, "tool.called", "done")
            await post.audit.flush()
            post.courier.start()
        await receiver.wait_for(40)
        await asyncio.gather(one.courier.settle(), two.courier.settle())

    assert len(receiver.received) == 40
    assert len({event["id"] for event in receiver.events}) == 40


async def test_a_store_that_fails_for_a_while_ends_no_delivering(
    post: Post, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    await post.register(receiver.url)
    broken = Broken()
    store, post.courier._rows = post.courier._rows, broken  # type: ignore[assignment]
    post.courier.start()
    async with asyncio.timeout(5):
        await broken.asked.wait()
    post.courier._rows = store
    assert "could not be looked at" in caplog.text
    await post.tell(ADA, "tool.called")
    await receiver.wait_for(1)


class Broken:
    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def list_due(self, now: datetime) -> Any:
        asyncio.get_running_loop().call_soon(self.asked.set)
        raise RuntimeError("a bug")


async def test_claims_of_one_page_are_handed_out_once_on_each_database(store: Store, clock: MovableClock):
    from gateway.webhooks.events import new_delivery

    for number in range(10):
        await store.deliveries.put(new_delivery("w", f"e{number}", "ping", clock.now(), {}))
    claims = await asyncio.gather(
        *(store.deliveries.claim("w", clock.now(), clock.now() + MINUTE, 3) for _ in range(6))
    )
    claimed = [delivery.id for claim in claims for delivery in claim]
    assert len(claimed) == len(set(claimed)) <= 10
    assert all(delivery.attempts == 1 for claim in claims for delivery in claim)
    rest = await store.deliveries.claim("w", clock.now(), clock.now() + MINUTE, 100)
    assert len(claimed) + len(rest) == 10

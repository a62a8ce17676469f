"""Takes deliveries out of the outbox and posts them, again and again until they arrive or are given up.

One task looks for what is due: when something was put in, when a try has ended, and every few seconds, for other
processes put in too, and some die. Each try is claimed first, so that of several processes one makes it; a claim that
was not kept ends by itself. So an event arrives at least once, nearly always exactly once, and in no certain order.

Each webhook has a lane: a few tries at a time while it answers, one after a failure, with a growing pause before. So a
receiver that hangs costs the others nothing, and one that is down is not besieged with all that waits for it.

Below: store, vault, outward. Above: the composition, which starts and closes it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import DestinationError, GatewayError, VaultError
from gateway.outward.destinations import Destinations
from gateway.outward.guarded import Answer, GuardedRequests, UnansweredError
from gateway.secret import Secret
from gateway.store.delivery_rows import DeliveryRows
from gateway.store.webhook_rows import WebhookRows
from gateway.vault.vault import Vault
from gateway.webhook_signature import sign
from gateway.webhook_types import Delivery, DeliveryStatus, Webhook
from gateway.webhooks.registrations import secret_binding
from gateway.webhooks.schedule import KEPT_DEAD, KEPT_DELIVERED, asked_pause, next_pause

log = logging.getLogger(__name__)

SECONDS = 10.0
"""For a whole try, from name look-up to the answer's head."""
CLAIM = timedelta(seconds=30)  # longer than a try can last
_LOOK_EVERY = 2.0  # seconds
_AFTER_TROUBLE = 5.0  # seconds
_AT_A_TIME = 24
_LANE = 4
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=1)
_LONGEST_ASKED = timedelta(hours=1)  # the delivery itself waits for as long as it was asked to
_GONE = 410


@dataclass(slots=True)
class _Lane:
    """What this process knows of one webhook's receiver."""

    trying: int = 0
    failures: int = 0
    not_before: datetime | None = None

    def room(self, now: datetime) -> int:
        if self.is_shut(now):
            return 0
        return (1 if self.failures else _LANE) - self.trying

    def is_shut(self, now: datetime) -> bool:
        return self.not_before is not None and now < self.not_before

    def is_idle(self, now: datetime) -> bool:
        """Whether it can be forgotten: nothing is under way, and what failed is long past."""
        return not self.trying and (self.not_before is None or now > self.not_before + _LONGEST_ASKED)

    def failed(self, now: datetime, asked: timedelta | None) -> None:
        self.failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures - 1, 8), _LONGEST_PAUSE)
        self.not_before = now + max(pause, min(asked or timedelta(0), _LONGEST_ASKED))

    def answered(self) -> None:
        self.failures, self.not_before = 0, None


@dataclass(frozen=True, slots=True)
class _End:
    """How a try ended. `failure` is a word, None where it arrived."""

    failure: str | None
    status: int | None = None
    asked: timedelta | None = None


class Courier:
    """`start` it where webhooks are served. Several processes on one database may each have one."""

    def __init__(
        self,
        rows: WebhookRows,
        deliveries: DeliveryRows,
        vault: Vault,
        *,
        destinations: Destinations,
        requests: GuardedRequests,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._deliveries = deliveries
        self._vault = vault
        self._destinations = destinations
        self._requests = requests
        self._audit = audit
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._tries: set[asyncio.Task[None]] = set()
        self._look: asyncio.Event = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._go_on_looking())

    def wake(self) -> None:
        """There may be something to deliver."""
        self._look.set()

    async def settle(self) -> int:
        """Make the tries that are due, one round of them, and wait for them; how many those were."""
        before = set(self._tries)
        await self._begin()
        tries = self._tries - before
        await asyncio.gather(*tries)
        return len(tries)

    async def prune(self) -> int:
        """Forget what has been kept for long enough."""
        now = self._clock.now()
        self._lanes = {webhook_id: lane for webhook_id, lane in self._lanes.items() if not lane.is_idle(now)}
        return await self._deliveries.prune(now)

    async def close(self, seconds: float = 3.0) -> None:
        """Begin nothing more, and wait for tries under way. What is not done by then is claimed anew, later."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._tries:
            await asyncio.wait(set(self._tries), timeout=seconds)
        for late in self._tries:
            late.cancel()
        await asyncio.gather(*self._tries, return_exceptions=True)
        await self._requests.close()

    async def _go_on_looking(self) -> None:
        while True:
            pause = _LOOK_EVERY
            self._look.clear()
            try:
                await self._begin()
            except GatewayError as error:  # such as a database that is away: known, and said in a line
                log.warning("webhooks could not be looked at and will be, later: %s", error)
                pause = _AFTER_TROUBLE
            except Exception:  # a bug must not end deliveries for good
                log.exception("webhooks could not be looked at and will be, later")
                pause = _AFTER_TROUBLE
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _begin(self) -> None:
        """Begin so many of the tries that are due as there is room for, the webhook with the fewest under way first."""
        now = self._clock.now()
        due = await self._rows.list_due(now)
        for webhook in sorted(due, key=self._tries_under_way):
            lane = self._lanes.setdefault(webhook.id, _Lane())
            room = min(lane.room(now), _AT_A_TIME - len(self._tries))
            if room < 1:
                continue
            for delivery in await self._deliveries.claim(webhook.id, now, now + CLAIM, room):
                lane.trying += 1
                task = asyncio.get_running_loop().create_task(self._try(webhook, delivery, lane))
                self._tries.add(task)
                task.add_done_callback(self._tries.discard)

    def _tries_under_way(self, webhook: Webhook) -> int:
        lane = self._lanes.get(webhook.id)
        return lane.trying if lane else 0

    async def _try(self, webhook: Webhook, delivery: Delivery, lane: _Lane) -> None:
        try:
            end = await self._post(webhook, delivery)
            if end.failure is None:
                lane.answered()
            else:
                lane.failed(self._clock.now(), end.asked)
            await self._note(webhook, delivery, end)
        except GatewayError as error:  # the claim ends by itself, and then it is tried again
            log.warning("a delivery to webhook %s is put off: %s", webhook.id, error)
        except Exception:  # likewise, where it is a bug
            log.exception("a delivery to webhook %s is put off", webhook.id)
        finally:
            lane.trying -= 1
            self.wake()

    async def _post(self, webhook: Webhook, delivery: Delivery) -> _End:
        try:
            destination = self._destinations.read(webhook.url)  # what is allowed may have changed since
            secret = await self._secret(webhook)
        except DestinationError:
            return _End("destination_refused")
        except VaultError as error:
            log.warning("a delivery to webhook %s cannot be signed: %s", webhook.id, error)
            return _End("secret_unavailable")
        body = delivery.body.encode()
        headers = _HEADERS | sign(secret, delivery.id, int(self._clock.now().timestamp()), body)
        try:
            answer = await self._requests.post(destination, headers, body, SECONDS)
        except UnansweredError as error:
            return _End(error.why)
        return self._read(answer)

    def _read(self, answer: Answer) -> _End:
        if 200 <= answer.status < 300:
            return _End(None, answer.status)
        word = "gone" if answer.status == _GONE else "redirect" if 300 <= answer.status < 400 else "refused"
        return _End(word, answer.status, asked_pause(answer.headers.get("retry-after"), self._clock.now()))

    async def _note(self, webhook: Webhook, delivery: Delivery, end: _End) -> None:
        now, facts = self._clock.now(), {"response_status": end.status, "failure": end.failure}
        if end.failure is None:
            await self._deliveries.end(delivery, DeliveryStatus.DELIVERED, now, KEPT_DELIVERED, **facts)
            return
        pause = None if end.status == _GONE else next_pause(delivery, end.asked)
        if pause is not None:
            await self._deliveries.put_off(delivery, now + pause, **facts)
            return
        if await self._deliveries.end(delivery, DeliveryStatus.DEAD, now, KEPT_DEAD, **facts):
            log.warning("webhook %s: an event is given up (%s)", webhook.id, end.failure)
        if end.status == _GONE:
            app = webhook.principal
            event = self._audit.event(app, "webhook.disabled", "gone", client=app.subject, reference=webhook.id)
            if await self._rows.disable(webhook, now, event):
                log.warning("webhook %s is disabled: its receiver says that it is gone", webhook.id)

    async def _secret(self, webhook: Webhook) -> Secret:
        opened = await self._vault.open(webhook.sealed, secret_binding(webhook.principal, webhook.id))
        return Secret(opened.decode())


_HEADERS = {"Content-Type": "application/json", "User-Agent": "atp-gateway", "Accept": "*/*"}

"""The vocabulary of webhooks, beside `gateway.types`: where an app wants to be told, and one fact on its way there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.types import Principal


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that an app wants certain events posted to. `principal` is the app.

    `sealed` is the secret that deliveries are signed with, sealed to this row. `missed` counts the events that found
    too many others waiting. A webhook that was disabled gets nothing until it is registered again.
    """

    id: str
    principal: Principal
    url: str
    events: frozenset[str]
    sealed: bytes = field(repr=False)
    created_at: datetime
    missed: int = 0
    disabled_at: datetime | None = None


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook; the event's `id` is the same at all of them.

    `body` is the JSON that is posted, at every try the same. While it is pending, `next_try_at` says when it is tried
    next; or, while somebody tries, until when nobody else will. It is dead when the try number `most_attempts` failed.
    `failure` is a word, `response_status` what the last answer was, `forget_at` when the row goes.
    """

    webhook_id: str
    id: str
    type: str
    body: str = field(repr=False)
    created_at: datetime
    next_try_at: datetime | None
    most_attempts: int
    forget_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0
    response_status: int | None = None
    failure: str | None = None
    ended_at: datetime | None = None

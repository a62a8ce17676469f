"""When a delivery that failed is tried again, and how long one is kept.

At once, and then ever more seldom for three days, each time a little differently, so that what failed together does not
come back together. A receiver that says when to ask again (`Retry-After`) is not asked sooner.

Source: the Standard Webhooks specification's recommended schedule.
"""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from gateway.webhook_types import Delivery

_PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
MOST_TRIES = len(_PAUSES) + 1
LONGEST_ASKED = timedelta(hours=24)
"""How long a receiver may ask to be left alone for."""
KEPT_DELIVERED = timedelta(days=3)
KEPT_DEAD = timedelta(days=30)


def next_pause(tried: Delivery, asked: timedelta | None) -> timedelta | None:
    """How long to wait after this try failed. None: it was the last one."""
    left = tried.most_attempts - tried.attempts
    if left < 1:
        return None
    pause = _PAUSES[max(len(_PAUSES) - left, 0)] * random.uniform(1, 1.2)  # noqa: S311 - spreads tries, hides nothing
    return max(pause, asked or timedelta(0))


def asked_pause(retry_after: str | None, now: datetime) -> timedelta | None:
    """`Retry-After` (RFC 9110 section 10.2.3): seconds or a date. What cannot be read was not asked."""
    if not retry_after:
        return None
    try:
        wait = _wait(retry_after.strip(), now)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_ASKED)


def _wait(value: str, now: datetime) -> timedelta:
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return timedelta(seconds=int(value))
    date = parsedate_to_datetime(value)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - now

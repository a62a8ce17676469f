"""The one place that knows what time it is.

Everything that compares times takes a `Clock` by constructor, so that a test can move it. Durations that are
waited for (timeouts, polling) are the event loop's business and do not come from here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The current time: aware, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SharedClock:
    """A clock put right by `ahead`: how far the one that all replicas share, the database's, is ahead of it.

    Leases, and ends of tokens, that one machine wrote and another reads mean the same to both.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() + self.ahead


class MovableClock:
    """A clock that stands still until it is moved. Shipped for tests and for the demo's fast-forward."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime.now(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by

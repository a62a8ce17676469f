"""Becoming the one who renews a connection's tokens, and being sure of still being it when the request leaves.

Of all that share the database one holds the lease; the others look at the row until it has changed. A holder may be
stopped at any point, by a debugger, a full machine or a closed laptop, and wake up when the lease is another's. So
the age of a lease is looked at right before a request leaves, by the clock and by monotonic time: a machine that
slept has a monotonic clock that stood still, and a clock that was set back has not.

Below: store. Above: refresher.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.store.lease_rows import LeaseRows
from gateway.store.times_ahead import is_ahead
from gateway.types import Connection, ConnectionStatus

LIFE = timedelta(seconds=30)
_SENT_WITHIN = timedelta(seconds=15)
"""After so much of a lease no request is begun any more: the rest is for the answer, 10 seconds at most."""
_PATIENCE = 20.0  # seconds that others are waited for


class TooLateError(Exception):
    """The lease is too old to send a request: nothing was sent."""


class BusyError(Exception):
    """The connection cannot be had: `wait` says for how long, as far as the row tells."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"busy for {wait}")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held. `row` is the connection as it was when it began."""

    row: Connection
    clock: Clock
    began_at: datetime
    began: float

    @property
    def is_in_doubt(self) -> bool:
        """Whether a request was sent before, whose answer nobody has seen."""
        return self.row.refresh_started_at != self.began_at

    def look(self) -> None:
        """Raises TooLateError where it is too old to begin a request."""
        asleep = self.clock.now() - self.began_at
        if max(timedelta(seconds=time.monotonic() - self.began), asleep) >= _SENT_WITHIN:
            raise TooLateError


class Leases:
    """Leases of connections."""

    def __init__(self, rows: LeaseRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    async def claim(self, seen: Connection) -> Lease | None:
        """The lease, as soon as it is free. None: the row has changed instead, because somebody else renewed it.

        Raises BusyError where a back-off runs, or another holder takes too long.
        """
        began, is_free = time.monotonic(), True
        while True:
            if is_free and (lease := await self._try(seen)) is not None:
                return lease
            row = await self._rows.read(seen)
            if row is None or row.version != seen.version or row.status is not ConnectionStatus.ACTIVE:
                return None
            now = self._clock.now()
            if row.refresh_not_before is not None and is_ahead(row.refresh_not_before, now):
                raise BusyError(row.refresh_not_before - now)
            waited = time.monotonic() - began
            if waited > _PATIENCE:
                raise BusyError((row.lease_until or now) - now)
            is_free = row.lease_until is None or not is_ahead(row.lease_until, now)
            # Often at first, and then so that waiting takes a tenth longer than it has to.
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(max(waited / 10, 0.02), 0.2))  # noqa: S311 - spreads waiters

    async def _try(self, seen: Connection) -> Lease | None:
        now, began = self._clock.now(), time.monotonic()
        row = await self._rows.claim(seen, owner=secrets.token_hex(8), now=now, until=now + LIFE)
        return Lease(row, self._clock, now, began) if row is not None else None

    async def give_back(self, lease: Lease) -> None:
        """End it as if it had never been: nothing was sent."""
        row = lease.row
        await self._rows.give_back(
            row, failures=row.failures, not_before=row.refresh_not_before, in_doubt=lease.is_in_doubt
        )

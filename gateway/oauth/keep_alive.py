"""Looks after connections that nobody uses: renews grants before they die of idleness, warns of those that end anyway.

Two queries on indexed columns a round; with nothing due, that is all. A grant that cannot be renewed now is put off
for a while, so that it does not stand in others' way. Several processes may do this at once: the lease lets one of
them renew, and a compare-and-set lets one of them warn.

Below: refresher, store. Above: the composition, which has `upkeep` do it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from datetime import timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.oauth.refresher import Refresher
from gateway.store.due_rows import DueRows
from gateway.types import Connection

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Connections in a round. One in a minute's time is enough for hundreds of thousands."""
_FOR_EACH_PROVIDER = 2
_PUT_OFF = timedelta(minutes=15)


class KeepAlive:
    """Renews and warns, for all people."""

    def __init__(self, rows: DueRows, refresher: Refresher, audit: AuditLog, clock: Clock) -> None:
        self._rows = rows
        self._refresher = refresher
        self._audit = audit
        self._clock = clock

    async def look_after(self) -> None:
        """One round. First what can be renewed: an end that moves on with a refresh is no reason to warn."""
        await self._renew()
        await self._warn()

    async def _renew(self) -> None:
        due = await self._rows.list_to_renew(self._clock.now(), AT_ONCE)
        random.shuffle(due)  # replicas begin with different ones
        gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_FOR_EACH_PROVIDER))
        await asyncio.gather(*(self._renew_one(connection, gates[connection.provider]) for connection in due))

    async def _renew_one(self, connection: Connection, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                await self._refresher.refreshed(connection)
            except GatewayError as error:
                log.warning("connection %s could not be renewed ahead of time: %s", connection.id, error)
                later = _PUT_OFF * random.uniform(1, 2)  # noqa: S311 - spreads attempts, hides nothing
                await self._rows.put_off(connection, self._clock.now() + later)

    async def _warn(self) -> None:
        for connection in await self._rows.list_to_warn(self._clock.now(), AT_ONCE):
            assert connection.ends_at is not None, "what is to be warned of has an end"
            event = self._audit.event(
                connection.principal,
                "connection.ending_soon",
                f"ends_on_{connection.ends_at:%Y-%m-%d}",
                provider=connection.provider,
                account=connection.account_name,
            )
            await self._rows.mark_warned(connection, self._clock.now(), event)

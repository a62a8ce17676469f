"""This gateway among the others of its database: it says which toolkits have workers here, and learns of theirs.

Both in the database, every few seconds and whatever there is to say: one row is touched, one query made. What a gateway
says of itself is good for `GONE`; then the others take it for gone. Nothing is written while no worker is here.

Below: the store. Above: `remote_toolkits`, which asks for it again and again.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.clock import Clock
from gateway.remote.elsewhere import Elsewhere
from gateway.store.replica_rows import ReplicaRows, Seen
from gateway.toolkit.replica import Held, Replica

BEAT = timedelta(seconds=4)
GONE = timedelta(seconds=15)


class Replicas:
    """`own` is this gateway, `elsewhere` the way to the others."""

    def __init__(self, rows: ReplicaRows, own: Replica, elsewhere: Elsewhere, clock: Clock) -> None:
        self.elsewhere = elsewhere
        self._rows = rows
        self._own = own
        self._clock = clock
        self._said: frozenset[Held] | None = frozenset()
        self._said_at = clock.now()

    async def say(self, held: frozenset[Held]) -> None:
        """This is what is held here now. It is written down if it is news, or has not been for a while."""
        now = self._clock.now()
        if held == self._said:
            if not held or abs(now - self._said_at) < BEAT:
                return
            if await self._rows.beat(self._own, now):
                self._said_at = now
                return
        self._said = None  # nobody knows what is written, until it is
        if held:
            await self._rows.announce(self._own, held, now)
        else:
            await self._rows.leave(self._own)
        self._said, self._said_at = held, now

    async def look(self) -> Seen:
        """What the others hold, and how far each toolkit is."""
        return await self._rows.look(self._own, self._clock.now(), GONE)

    async def close(self) -> None:
        """Hold nothing any more, and call nobody."""
        try:
            await self.say(frozenset())
        finally:
            await self.elsewhere.close()

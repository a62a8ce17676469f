"""Calls that were begun and have no end, because the process that made them is gone: they are given one.

The ids of a process's calls begin with its name, and every minute it leaves a mark that it is there. A call that was
begun a while ago, by a process that has left no mark for as long, ends as `unknown_outcome`: nobody knows whether the
tool did its work. That row has the id of the call's own end, so that there is one of them, whoever writes it, and
several processes may look at once. How far they have looked is kept in a mark, too: each row is looked at once.

Below: store, log. Above: the composition's upkeep.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.audit.call_record import BEGUN
from gateway.audit.log import AuditLog, Write
from gateway.clock import Clock
from gateway.errors import UnknownOutcomeError
from gateway.store.mark_rows import MarkRows
from gateway.store.trail_rows import TrailRows
from gateway.types import AuditEvent

GONE_AFTER = timedelta(minutes=5)
_THERE, _LOOKED = "audit process ", "audit looked at "
_AT_A_TIME = 500


class Unfinished:
    """`write` stores the ends that calls are given."""

    def __init__(self, trail: TrailRows, marks: MarkRows, write: Write, audit: AuditLog, clock: Clock) -> None:
        self._trail = trail
        self._marks = marks
        self._write = write
        self._audit = audit
        self._clock = clock

    async def settle(self) -> int:
        """Say that this process is there, and end the calls of those that are not. How many that were."""
        now = self._clock.now()
        await self._marks.put(_THERE + self._audit.process, now.isoformat().encode())
        there = await self._there(now)
        return sum([await self._settle(tenant, there, now) for tenant in await self._trail.tenants()])

    async def _there(self, now: datetime) -> set[str]:
        """The processes that left a mark lately. The marks of others are taken away."""
        marks = await self._marks.list_called(_THERE)
        gone = {name for name, at in marks.items() if datetime.fromisoformat(at.decode()) < now - GONE_AFTER}
        for name in gone:
            await self._marks.drop(name)
        return {name.removeprefix(_THERE) for name in marks.keys() - gone}

    async def _settle(self, tenant: str, there: Collection[str], now: datetime) -> int:
        looked = int(await self._marks.find(_LOOKED + tenant) or 0)
        until = await self._trail.last_before(tenant, looked, now - GONE_AFTER)
        begun = await self._trail.list_unfinished(tenant, looked, until, _AT_A_TIME)
        left = [entry for entry in begun if not entry.event.id.startswith(tuple(there))]
        await self._write([_end(entry.event, now) for entry in left])
        under_way = [entry.link.seq for entry in begun if entry not in left]
        until = begun[-1].link.seq if len(begun) == _AT_A_TIME else until
        if (reached := min([until, *(seq - 1 for seq in under_way)])) > looked:
            await self._marks.put(_LOOKED + tenant, str(reached).encode())
        return len(left)


def _end(begun: AuditEvent, now: datetime) -> AuditEvent:
    event_id, outcome = begun.id.removesuffix(BEGUN), UnknownOutcomeError.code
    return replace(begun, id=event_id, at=now, action="tool.called", outcome=outcome)

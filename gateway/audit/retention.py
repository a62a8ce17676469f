"""How long the record is kept: what is older is removed from the beginning of its chain.

What remains of it is a row in the same chain, of the same transaction, with the link of the last row that was removed:
so the chain can still be verified, from there on. Removing waits until a day's worth has come together, so that there
is one such row a day and not one a minute; nothing is removed before its time. Several gateways may do it at once.

Below: store, log. Above: the composition's upkeep.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.store.audit_chain import Link
from gateway.store.trail_rows import PRUNED, TrailRows
from gateway.types import AuditEvent, Principal

_A_DAYS_WORTH = timedelta(days=1)
_AT_A_TIME = 2000


class Retention:
    """Removes what is older than `keep`."""

    def __init__(self, trail: TrailRows, audit: AuditLog, clock: Clock, keep: timedelta) -> None:
        self._trail = trail
        self._audit = audit
        self._clock = clock
        self._keep = keep

    async def prune(self) -> int:
        """Remove what is due; how many rows that was."""
        before, removed = self._clock.now() - self._keep, 0
        for tenant in await self._trail.tenants():
            oldest = await self._trail.page(tenant, 0, 1)
            if oldest and oldest[0].event.at < before - _A_DAYS_WORTH:
                while count := await self._trail.prune(tenant, before, _AT_A_TIME, self._remains(tenant)):
                    removed += count
        return removed

    def _remains(self, tenant: str) -> Callable[[Link], AuditEvent]:
        def remains(last: Link) -> AuditEvent:
            return self._audit.event(Principal("atp-gateway", "retention", tenant), PRUNED, "done", reference=str(last))

        return remains

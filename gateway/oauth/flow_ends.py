"""How flows end, and whoever waits for it: in this process at once, in another within a second.

Above: flows.
"""

from __future__ import annotations

import asyncio

from gateway.clock import Clock
from gateway.oauth.visits import not_found
from gateway.store.flow_rows import FlowRows
from gateway.types import Flow, FlowStatus, Principal

_POLL = 1.0  # seconds between looks at the row, for a flow that another process may end


class FlowEnds:
    """Ends of flows, as they come."""

    def __init__(self, rows: FlowRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._ended: dict[str, asyncio.Event] = {}

    async def end(
        self, flow: Flow, status: FlowStatus, *, failure: str | None = None, connection_id: str | None = None
    ) -> Flow:
        """Record how a flow ended, and tell those who wait; the flow as it is then."""
        await self._rows.finish(flow.id, status, failure=failure, connection_id=connection_id)
        if event := self._ended.get(flow.id):
            event.set()
        return await self._rows.find(flow.id) or flow

    async def wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus:
        """How the flow ended, as soon as it has; PENDING after `seconds`. One that expires has failed."""
        event = self._ended.setdefault(flow_id, asyncio.Event())
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while True:
                flow = await self._rows.find(flow_id)
                if flow is None or not flow.principal.same_person(principal):
                    raise not_found()
                if flow.status is not FlowStatus.PENDING:
                    return flow.status
                if flow.expires_at <= self._clock.now():
                    return FlowStatus.FAILED
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    return FlowStatus.PENDING
                await _wait_for(event, min(left, _POLL))
        finally:
            if self._ended.get(flow_id) is event:
                del self._ended[flow_id]


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return

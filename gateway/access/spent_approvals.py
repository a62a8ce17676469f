"""A yes to a tool is for one call: which ones were used, at whichever of the gateways that share a database.

In MCP 2026-07-28 a host brings an approval along with the call, and could bring the same twice, or to two gateways. So
the run that it is for claims it first. What cannot be claimed, because the database does not answer, is not run.

Below: the store's rows. Above: the MCP surface, which knows the calls' names.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.clock import Clock
from gateway.store.spent_rows import SpentRows

KEPT_FOR = timedelta(minutes=11)
"""The state that carries an approval is good for ten minutes; and a little, for clocks."""


class SpentApprovals:
    """Approvals by the name of their call's rounds. StoreUnavailableError."""

    def __init__(self, rows: SpentRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    async def claim(self, call: str) -> bool:
        """Whether this is the one run that the call's approval is for."""
        return await self._rows.claim(call, self._clock.now() + KEPT_FOR)

    async def release(self, call: str) -> None:
        """The run ended with a question: it comes again, with the same approval."""
        await self._rows.release(call)

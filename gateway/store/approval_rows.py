"""Which calls' approvals were used, in the database: several gateways share it, and a yes is for one call at one.

Not here: for how long that has to be known (`gateway.access.spent_approvals`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from gateway.store.engine import Engines
from gateway.store.tables import SPENT_APPROVALS

_columns = SPENT_APPROVALS.c


class ApprovalRows:
    """Used approvals, by the name of their call's rounds."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def claim(self, call: str, until: datetime) -> bool:
        """Note that the approval is used, until it can come no more. False if it was, by whoever."""
        statement = self._engines.insert(SPENT_APPROVALS).values(call=call, until=until).on_conflict_do_nothing()
        return await self._engines.change(statement) == 1

    async def release(self, call: str) -> None:
        """It was not used after all."""
        await self._engines.change(delete(SPENT_APPROVALS).where(_columns.call == call))

    async def prune(self, now: datetime) -> int:
        """Forget those that can come no more; how many they were."""
        return await self._engines.change(delete(SPENT_APPROVALS).where(_columns.until < now))

"""What was used and is good once, by a name, in the database: several gateways share it.

Approvals of calls (`gateway.access.spent_approvals`) and clients' assertions (`gateway.authorization.client_assertion`)
are such things, whose rooms say for how long that has to be known.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from gateway.store.engine import Engines
from gateway.store.tables import SPENT

_columns = SPENT.c


class SpentRows:
    """Names are random, or digests of what is: those of two rooms do not meet."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def claim(self, name: str, until: datetime) -> bool:
        """Note that it is used, until it can come no more. False if it was, by whoever."""
        statement = self._engines.insert(SPENT).values(name=name, until=until).on_conflict_do_nothing()
        return await self._engines.change(statement) == 1

    async def release(self, name: str) -> None:
        """It was not used after all."""
        await self._engines.change(delete(SPENT).where(_columns.name == name))

    async def prune(self, now: datetime) -> int:
        """Forget what can come no more; how many they were."""
        return await self._engines.change(delete(SPENT).where(_columns.until < now))

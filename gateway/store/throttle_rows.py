"""How often somebody failed to sign in lately, in the database: replicas share it, and a restart forgets nothing.

Not here: how many failures are too many (`gateway.access.throttle`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.people_tables import LOGIN_THROTTLES

_throttles = LOGIN_THROTTLES.c


class ThrottleRows:
    """Counters by a digest of what is counted."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def attempt(
        self, name: str, now: datetime, pause: Callable[[int], timedelta], forgiven_after: timedelta
    ) -> datetime | None:
        """Count an attempt as a failure, before anybody knows; None, or, uncounted, when the next one is allowed.

        `pause` says how long to wait after so many failures. They are forgiven when there was none for that long.
        """

        def in_transaction(connection: Transaction) -> datetime | None:
            found = connection.execute(select(LOGIN_THROTTLES).where(_throttles.id == name))
            row = found.mappings().one_or_none()
            if row is not None and now < row["free_at"]:
                free_at: datetime = row["free_at"]
                return free_at
            former = row["failures"] if row is not None and now < row["last_at"] + forgiven_after else 0
            values = {"failures": former + 1, "last_at": now, "free_at": now + pause(former + 1)}
            statement = self._engines.insert(LOGIN_THROTTLES).values({"id": name, **values})
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
            return None

        return await self._engines.in_turn(f"login throttle {name}", in_transaction)

    async def forget(self, name: str) -> None:
        """It was no failure, and neither are those before it to be held against anybody."""
        await self._engines.change(delete(LOGIN_THROTTLES).where(_throttles.id == name))

    async def take_back(self, name: str, attempts: int) -> None:
        """So many of them were no failures."""
        left = {"failures": _throttles.failures - attempts, "free_at": _throttles.last_at}
        enough = (_throttles.id == name, _throttles.failures >= attempts)
        await self._engines.change(update(LOGIN_THROTTLES).where(*enough).values(left))

    async def prune(self, before: datetime) -> int:
        """Delete the counters that nothing has been added to since this time; how many they were."""
        return await self._engines.change(delete(LOGIN_THROTTLES).where(_throttles.last_at < before))

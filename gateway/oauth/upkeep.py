"""Work that nobody waits for, done again and again while the gateway runs.

    upkeep = Upkeep({"flows": prune_flows, "revocations": settle})
    upkeep.start()
    …
    await upkeep.close()

Each piece of work is a coroutine function with a name for the log. They run side by side, and one that fails or takes
long neither stops nor delays the others: it is logged and done again in the next round. Several processes on one
database may all do it, so a piece of work must bear being done twice.

Not here: what the work is. Below: nothing. Above: the composition, which gives the list.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import GatewayError

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]

EVERY = 60.0  # seconds


class Upkeep:
    """Does its works every `every` seconds, give or take a fifth, so that replicas do not move in step."""

    def __init__(self, works: Mapping[str, Work], every: float = EVERY) -> None:
        self._works = dict(works)
        self._every = every
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_running(self) -> bool:
        return bool(self._tasks)

    def start(self) -> None:
        """Begin. The first round comes after a pause: a session of a few seconds does none of this."""
        if not self._tasks:
            self._tasks = [asyncio.get_running_loop().create_task(self._repeat(name)) for name in self._works]

    def add(self, name: str, work: Work) -> None:
        """One more piece of work, from now on."""
        self._works[name] = work
        if self._tasks:
            self._tasks.append(asyncio.get_running_loop().create_task(self._repeat(name)))

    async def once(self) -> None:
        """One round of everything, now."""
        await asyncio.gather(*(self._do(name) for name in self._works))

    async def close(self) -> None:
        """Stop. What works must not lose, they do in tasks of their own (`gateway.oauth.detached`)."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _repeat(self, name: str) -> None:
        while True:
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311 - spreads rounds, hides nothing
            await self._do(name)

    async def _do(self, name: str) -> None:
        try:
            await self._works[name]()
        except GatewayError as error:  # such as a database that is away: known, and said in a line
            log.warning("upkeep of %s failed and will be tried again: %s", name, error)
        except Exception:  # a bug in one piece of work must not end the others
            log.exception("upkeep of %s failed and will be tried again", name)

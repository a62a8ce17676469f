"""How fast a toolkit's sockets are let in, and how long one that is refused is kept waiting.

The published SDK connects again at once, without end, whatever it was told. Whoever comes too often waits for their
turn; whoever is refused waits a moment before they are told, so that no loop of theirs becomes one of ours. Both are
bounded: when too many wait, the next is refused at once. Above: `toolkit_socket`.
"""

from __future__ import annotations

import asyncio
import random

A_SECOND = 5.0
AT_ONCE = 10
LONGEST_WAIT = 3.0
REFUSED_SECONDS = 1.0
MOST_REFUSED = 64


class Pace:
    """`a_second` for each name, after the first `at_once`."""

    def __init__(
        self,
        a_second: float = A_SECOND,
        at_once: int = AT_ONCE,
        *,
        longest_wait: float = LONGEST_WAIT,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        self._longest_wait = longest_wait
        self._interval = 1 / a_second
        self._credit = at_once / a_second
        self._refused_seconds = refused_seconds
        self._next: dict[str, float] = {}
        self._refused = 0

    async def turn(self, name: str) -> bool:
        """Wait for one's turn. False where that would take too long."""
        now = asyncio.get_running_loop().time()
        turn = max(self._next.get(name, 0.0), now - self._credit)
        if turn - now > self._longest_wait:
            return False
        self._next[name] = turn + self._interval
        await asyncio.sleep(max(0.0, turn - now))
        return True

    async def hold(self) -> None:
        """Keep somebody who is refused waiting, each a little longer or shorter."""
        if self._refused >= MOST_REFUSED:
            return
        self._refused += 1
        try:
            await asyncio.sleep(self._refused_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        finally:
            self._refused -= 1

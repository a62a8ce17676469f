"""How often somebody may do something that costs us: so many times a minute each, and so many all together.

In memory, so each process allows as much. Above: registration.
"""

from __future__ import annotations

from collections.abc import Callable

WINDOW = 60.0  # seconds
_MOST_KNOWN = 10_000


class Allowance:
    """`timer` counts seconds. Somebody is told apart by `who`, such as an address."""

    def __init__(self, each: int, together: int, timer: Callable[[], float]) -> None:
        self._each = each
        self._together = together
        self._timer = timer
        self._began = float("-inf")
        self._counts: dict[str, int] = {}
        self._total = 0

    def wait_for(self, who: str) -> int:
        """0, and it is counted; or the seconds until it may be tried again."""
        now = self._timer()
        if now - self._began >= WINDOW:
            self._began, self._counts, self._total = now, {}, 0
        count = self._counts.get(who, 0)
        is_crowded = who not in self._counts and len(self._counts) >= _MOST_KNOWN
        if count >= self._each or self._total >= self._together or is_crowded:
            return max(1, int(self._began + WINDOW - now) + 1)
        self._counts[who] = count + 1
        self._total += 1
        return 0

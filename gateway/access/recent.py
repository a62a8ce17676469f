"""What was found a few seconds ago, by digest or another key. Bounded; the oldest goes first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MOST = 10_000
Found = TypeVar("Found")


class Recent(Generic[Found]):
    """Keeps each finding for `seconds` of `timer`."""

    def __init__(self, seconds: float, timer: Callable[[], float]) -> None:
        self._seconds = seconds
        self._timer = timer
        self._kept: dict[Hashable, tuple[float, Found]] = {}

    def find(self, key: Hashable) -> Found | None:
        until, found = self._kept.get(key, (0.0, None))
        return found if self._timer() < until else None

    def keep(self, key: Hashable, found: Found) -> None:
        self._kept.pop(key, None)
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._timer() + self._seconds, found)

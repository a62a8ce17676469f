"""Clocks that go on by themselves and can also be moved: for the demo, and for a twin that several processes share.

`gateway.clock.MovableClock` stands still, which suits a test of one process. Above: twins, the demo.
"""

from __future__ import annotations

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_AHEAD = struct.Struct("<d")


class Movable(Protocol):
    """A clock that can be moved."""

    def now(self) -> datetime:
        """The time: aware, UTC."""
        ...

    def advance(self, by: timedelta) -> None:
        """Move it. Backwards, too: real ones jump."""
        ...


class RunningClock:
    """The machine's clock, and a way to let time pass."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        self._ahead += by

    def return_to_now(self) -> None:
        """For other processes, which know the machine's clock alone."""
        self._ahead = timedelta()


class SharedClock:
    """A running clock that processes share through a small file: whoever moves it moves it for all.

    Reading it costs no system call, so a gateway may be given one. The file is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_AHEAD.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _AHEAD.size)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=_AHEAD.unpack(self._shared[:])[0])

    def advance(self, by: timedelta) -> None:
        """By one process at a time: reading and writing are two steps."""
        self._shared[:] = _AHEAD.pack(_AHEAD.unpack(self._shared[:])[0] + by.total_seconds())

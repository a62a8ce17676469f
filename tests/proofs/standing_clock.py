"""A clock that stands still for all processes that share its file, until one of them moves it.

Forty seconds pass for a gateway, its replicas and the provider in the time of one write. And because a gateway looks at
its clock between its steps, a look is a place to stop or to kill the process: the same place in each run.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_SINCE_START = struct.Struct("<q")  # microseconds; eight bytes are written at once


class StandingClock:
    """Fulfils `gateway.clock.Clock`. `on_look` is called at each look, before it."""

    def __init__(self, path: Path, on_look: Callable[[], None] | None = None) -> None:
        if not path.exists():
            path.write_bytes(_SINCE_START.pack(0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _SINCE_START.size)
        self.path = path
        self._on_look = on_look

    def now(self) -> datetime:
        if self._on_look is not None:
            self._on_look()
        return _START + timedelta(microseconds=_SINCE_START.unpack(self._shared[:])[0])

    def advance(self, by: timedelta) -> None:
        [passed] = _SINCE_START.unpack(self._shared[:])
        self._shared[:] = _SINCE_START.pack(passed + by // timedelta(microseconds=1))


class SignalAtLook:
    """Sends this process a signal at its n-th look at the clock, counted from `arm`."""

    def __init__(self, number: signal.Signals) -> None:
        self._signal = number
        self._left = 0

    def arm(self, nth: int) -> None:
        self._left = nth

    def __call__(self) -> None:
        if self._left:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)

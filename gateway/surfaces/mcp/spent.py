"""Which calls' approvals were used, for as long as the state that carries them can come again.

In MCP 2026-07-28 a host brings an approval along with the call, and could bring the same twice: a yes is for one call.
Kept in this process, by the call's id, and bounded: where replicas share calls, each knows of its own. Above: `calls`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FOR_SECONDS = 660.0
"""A state is good for ten minutes; and a little, for clocks."""
_MOST = 10_000


class Spent:
    """`timer` counts seconds, as `time.monotonic` does."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._until: dict[str, float] = {}

    def claim(self, call: str) -> bool:
        """Whether this is the one run that the call's approval is for."""
        now = self._timer()
        while self._until and (next(iter(self._until.values())) < now or len(self._until) >= _MOST):
            del self._until[next(iter(self._until))]
        if call in self._until:
            return False
        self._until[call] = now + FOR_SECONDS
        return True

    def release(self, call: str) -> None:
        """The run ended with a question: it comes again, with the same approval."""
        self._until.pop(call, None)

"""So many permits and no more. Awaited on an event loop, given back from any thread.

Those who wait take turns by whose they are: who has a thousand calls waiting holds up nobody else for more than one.

`asyncio.Semaphore` does not do: it belongs to one loop, and a thread that ends after its loop could not give back.
Above: `gateway.toolkit.pool`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque


class Bulkhead:
    """Counts permits, and those of them whose holder nobody waits for any more."""

    def __init__(self, permits: int) -> None:
        self._lock = threading.Lock()
        self._permits = permits
        self._free = permits
        self._abandoned = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By whose they are; whoever's turn it is comes first."""

    async def take(self, patience: float, whose: str = "") -> bool:
        """A permit within `patience` seconds, or False. At once False where every holder has been abandoned."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if self._abandoned >= self._permits:
                return False
            loop = asyncio.get_running_loop()
            turn = loop.create_future()
            self._waiting.setdefault(whose, deque()).append(turn)
        alarm = loop.call_later(max(0.0, patience), _wake, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not self._withdraw(turn, whose):
                self.give_back()
            raise
        finally:
            alarm.cancel()
        return not self._withdraw(turn, whose)

    def give_back(self) -> None:
        """Return a permit: to those whose turn it is, and of them to who has waited longest."""
        with self._lock:
            while self._waiting:
                turn = self._next()
                try:
                    turn.get_loop().call_soon_threadsafe(_wake, turn)
                except RuntimeError:  # its loop has been closed, and its caller with it
                    continue
                return
            self._free += 1

    def abandon(self, change: int) -> None:
        """Note that one more holder (1), or one fewer (-1), is running for nobody."""
        with self._lock:
            self._abandoned += change

    def _next(self) -> asyncio.Future[None]:
        """The next to have a permit. Those whose it is go behind all others."""
        whose = next(iter(self._waiting))
        turns = self._waiting.pop(whose)
        turn = turns.popleft()
        if turns:
            self._waiting[whose] = turns
        return turn

    def _withdraw(self, turn: asyncio.Future[None], whose: str) -> bool:
        """Stop waiting. False when the permit has been handed over in the meantime."""
        with self._lock:
            turns = self._waiting.get(whose, ())
            if turn not in turns:
                return False
            self._waiting[whose].remove(turn)
            if not self._waiting[whose]:
                del self._waiting[whose]
            return True


class Permit:
    """One permit of each of some bulkheads, held by one running call."""

    def __init__(self, *bulkheads: Bulkhead) -> None:
        self._lock = threading.Lock()
        self._bulkheads = bulkheads
        self._abandoned = False
        self._ended = False

    def abandon(self) -> None:
        """The caller has gone, the call still runs."""
        with self._lock:
            if not self._ended and not self._abandoned:
                self._abandoned = True
                for bulkhead in self._bulkheads:
                    bulkhead.abandon(1)

    def end(self) -> None:
        """The call has really ended."""
        with self._lock:
            self._ended = True
            for bulkhead in self._bulkheads:
                if self._abandoned:
                    bulkhead.abandon(-1)
                bulkhead.give_back()


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)

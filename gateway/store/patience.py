"""Gives up on a database that says nothing: its machine is gone, it hangs, somebody else has locked the file.

Whoever asks a database that is down would else wait as long as a driver, a pool or a network does: half a minute, or
for ever. Here they are told after two seconds in which nobody got an answer. A database that is slow, but answers some,
is waited for. Silence is counted by looks of the event loop, not by the clock: a process that stood still for a minute
has looked once, and so the database has been silent once.

What is to be written is told so only while nothing of it was done, and then it never is. What has been begun is waited
for: nobody else knows whether it was done.

Below: nothing of ours. Above: `gateway.store.engine`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gateway.errors import StoreUnavailableError

log = logging.getLogger(__name__)

Connection = TypeVar("Connection")
Answer = TypeVar("Answer")

SECONDS = 2.0
_LOOKS = 4
"""In so many seconds. Who came just after one waits for one more."""


class WithdrawnError(Exception):
    """Nobody waits for this work any more, and nothing of it was done."""


class Withdrawable(Generic[Connection, Answer]):
    """Work that can be withdrawn until it begins, which may be in another thread."""

    def __init__(self, work: Callable[[Connection], Answer]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._decided: bool | None = None

    def __call__(self, connection: Connection) -> Answer:
        if not self._decide(goes_on=True):
            raise WithdrawnError
        return self._work(connection)

    def withdraw(self) -> bool:
        """Whether that was in time: now it never begins."""
        return not self._decide(goes_on=False)

    def _decide(self, *, goes_on: bool) -> bool:
        """Whether it goes on: whoever asks first decides."""
        with self._lock:
            if self._decided is None:
                self._decided = goes_on
            return self._decided


class _Wait:
    """Somebody who waits for an answer, `since` a look. `may_leave` is asked before they are told there is none."""

    __slots__ = ("answer", "may_leave", "since")

    def __init__(self, since: int, may_leave: Callable[[], bool]) -> None:
        self.since = since
        self.may_leave = may_leave
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, task: asyncio.Task[Any]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(task.result())
        elif isinstance(error, asyncio.CancelledError):
            self.answer.cancel()
        else:
            self.answer.set_exception(error)


class Patience:
    """Of those who wait for one way to the database."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._every = seconds / (_LOOKS + 1)
        self._waiting: set[_Wait] = set()
        self._looks = 0
        self._heard = 0
        """The look before the latest answer."""
        self._alarm: asyncio.TimerHandle | None = None
        self._is_silent = False

    async def answer(self, task: asyncio.Task[Answer], may_leave: Callable[[], bool]) -> Answer:
        """What the task comes to. StoreUnavailableError where the database says nothing, and `may_leave` agrees.

        The task goes on; so it does when the caller is cancelled.
        """
        wait = _Wait(self._looks, may_leave)
        self._waiting.add(wait)
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(self._every, self._look)
        task.add_done_callback(wait.settle)
        task.add_done_callback(self._hear)
        try:
            found: Answer = await wait.answer
        finally:
            self._waiting.discard(wait)
        return found

    def _hear(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        self._heard = self._looks
        if self._is_silent:
            self._is_silent = False
            log.warning("the database answers again")

    def _look(self) -> None:
        self._looks += 1
        for wait in [each for each in self._waiting if self._looks - max(each.since, self._heard) > _LOOKS]:
            if not wait.answer.done() and wait.may_leave():
                self._give_up(wait)
        later = asyncio.get_running_loop().call_later
        self._alarm = later(self._every, self._look) if self._waiting else None

    def _give_up(self, wait: _Wait) -> None:
        if not self._is_silent:
            self._is_silent = True
            log.error("the database has said nothing for two seconds; whoever waits for it is told so")
        wait.answer.set_exception(unavailable())


def unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("The gateway's database does not answer. Try again in a moment.")

"""Watches over a long request, and ends it when what let it in is taken back.

A credential is checked when a request arrives. A stream, a socket or a slow call may outlive it: the key is revoked,
the person leaves. So what is still being served after a while is asked about again and again, and ended by cancelling
the task that serves it. Below: nothing. Above: the edge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds; what is asked may be two seconds old, and within five a revocation is to bite

Stands = Callable[[], Awaitable[bool]]


class Vigil:
    """A context manager round serving one request, in the task that serves it. `has_ended_it` says so afterwards."""

    __slots__ = ("_every", "_look", "_stands", "_task", "_timer", "has_ended_it")

    def __init__(self, stands: Stands, every: float = LOOK_EVERY) -> None:
        self._stands = stands
        self._every = every
        self._look: asyncio.Task[None] | None = None
        self.has_ended_it = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a vigil is kept over a task")
        self._task = task
        self._sleep()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow the cancellation that was ours."""
        self._timer.cancel()
        if self._look is not None:
            self._look.cancel()
        return self.has_ended_it and kind is asyncio.CancelledError and self._task.uncancel() == 0

    def _sleep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._wake)

    def _wake(self) -> None:
        self._look = asyncio.create_task(self._look_again())

    async def _look_again(self) -> None:
        if await self._may_go_on():
            self._sleep()
        else:
            self.has_ended_it = True
            self._task.cancel()

    async def _may_go_on(self) -> bool:
        try:
            return await self._stands()
        except Exception:  # noqa: BLE001 - who cannot be asked has taken nothing back; the next look is soon
            log.warning("whether a request may still be served could not be told; it is asked again")
            return True

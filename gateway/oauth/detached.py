"""Work that must end, whoever stops waiting for it.

A host that hangs up, or a browser that is closed, cancels the task that serves it. Between a provider's answer and
our commit that would lose a rotated token for good. So such work runs in a task of its own: strongly referenced here,
shielded from its waiters, and awaited when the process stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Detached:
    """A set of tasks that nobody's cancellation reaches."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start the work. Await the task through `asyncio.shield`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work and wait for it. A cancelled waiter leaves; the work goes on."""
        return await asyncio.shield(self.start(work))

    async def close(self, seconds: float) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that a failure without a waiter is not reported as forgotten

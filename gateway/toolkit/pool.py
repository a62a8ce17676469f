"""Runs plain `def` tools in threads, so many at a time and no more: a bulkhead for each toolkit, and one for all.

A Python thread cannot be stopped. So the caller is answered as soon as it is cancelled (the executor's deadline), while
the permit comes back only when the thread really ends: a tool that hangs uses up its own toolkit's permits, after which
that toolkit is refused at once, and no other tool notices. Threads are daemons and never hold up the process's end.

No promise is made about C code that keeps the interpreter lock. `async def` tools run on the loop, not here.
Below: `gateway.toolkit.bulkhead`. Above: `gateway.toolkit.function`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.errors import ToolkitBusyError
from gateway.toolkit.bulkhead import Bulkhead, Permit
from gateway.toolkit.context import InputNeeded

T = TypeVar("T")

PATIENCE = 2.0  # seconds a call waits for a thread before it is told that there is none


class Pool:
    """Threads for the calls of all toolkits: `per_toolkit` at a time for each, `total` for all together."""

    def __init__(self, per_toolkit: int = 8, total: int = 64) -> None:
        self._per_toolkit = per_toolkit
        self._everyone = Bulkhead(total)
        self._bulkheads: dict[str, Bulkhead] = {}
        self._threads = _Threads()

    async def run(self, toolkit: str, call: Callable[[], T], patience: float = PATIENCE, whose: str = "") -> T:
        """What `call` returns or raises. ToolkitBusyError when no thread is free within `patience` seconds.

        Those who wait take turns by `whose` call it is.
        A cancelled caller is answered at once; the thread goes on to its end by itself.
        """
        permit = await self._permit(toolkit, patience, whose)
        future: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()

        def job() -> Callable[[], None]:
            value, error = _outcome(context, call)

            def ended() -> None:
                permit.end()
                _settle(future, value, error)

            return ended

        try:
            self._threads.submit(job)
        except RuntimeError:  # "can't start new thread"
            permit.end()
            raise ToolkitBusyError("The gateway's machine can start no more threads. Try again later.") from None
        try:
            value, error = await future
        except asyncio.CancelledError:
            permit.abandon()
            raise
        if error is not None:
            raise error
        result: T = value
        return result

    async def _permit(self, toolkit: str, patience: float, whose: str) -> Permit:
        own = self._bulkheads.setdefault(toolkit, Bulkhead(self._per_toolkit))
        until = time.monotonic() + patience
        if not await own.take(patience, whose):
            raise ToolkitBusyError(
                f"{toolkit} is busy: {self._per_toolkit} of its calls are still running. Try again in a moment."
            )
        permit = Permit(own, self._everyone)
        try:
            taken = await self._everyone.take(until - time.monotonic(), whose)
        except asyncio.CancelledError:
            own.give_back()
            raise
        if not taken:
            own.give_back()
            raise ToolkitBusyError("The gateway is busy with other calls. Try again in a moment.")
        return permit


def _outcome(context: contextvars.Context, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return context.run(call), None
    except (Exception, InputNeeded) as error:  # noqa: BLE001 - raised again where the call is awaited
        return None, error
    except BaseException as error:  # noqa: BLE001 - a tool's sys.exit() ends the tool, not the gateway
        return None, RuntimeError(f"the tool ended with {type(error).__name__}")


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Hand the outcome to the loop. As a value: an exception such as StopIteration cannot be set on a future."""

    def settle() -> None:
        if not future.done():
            future.set_result((value, error))

    with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(settle)


_Job = Callable[[], Callable[[], None]]
"""What a thread is to do, giving what is to be done once the thread is free again."""


class _Threads:
    """As many daemon threads as there ever were jobs at the same time; each waits for the next job when it is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = 0
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def submit(self, job: _Job) -> None:
        """Run `job` in a thread. RuntimeError when no thread can be started."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                threading.Thread(target=self._work, name="atp-gateway-tool", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            ended = self._jobs.get()()
            with self._lock:
                self._idle += 1
            ended()
            del ended  # and with it the result, which nobody should find here while the thread waits

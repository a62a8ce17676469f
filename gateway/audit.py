"""The record of what was done, in whose name. One AuditEvent for each fact; never a secret, argument or result.

Events are queued on the path of a call and written in batches by one background task, so that recording costs a call
microseconds. `close()` writes what is left. A full queue is back-pressure, not loss: `flush` is awaited by the writer.

Below: store, through the one function `write` given to the constructor. Above: the executor, oauth.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence

from gateway.clock import Clock
from gateway.toolkit.tool import Tool
from gateway.types import AuditEvent, Call, Done, Failed, NeedsConnection, NeedsInput, Outcome, Principal

log = logging.getLogger(__name__)

Write = Callable[[Sequence[AuditEvent]], Awaitable[object]]


class AuditLog:
    """Records events; writes them behind the caller's back, at the latest `interval` seconds later."""

    def __init__(self, write: Write, clock: Clock, interval: float = 0.2) -> None:
        self._write = write
        self._clock = clock
        self._interval = interval
        self._waiting: list[AuditEvent] = []
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    def record(self, principal: Principal, action: str, outcome: str, **more: str | float | None) -> None:
        """Note one fact, now. `more` are the optional fields of AuditEvent."""
        event = AuditEvent(secrets.token_hex(12), self._clock.now(), principal, action, outcome, **more)  # type: ignore[arg-type]
        self._waiting.append(event)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_soon())

    def called(self, call: Call, tool: Tool | None, outcome: Outcome | None, duration_ms: float) -> None:
        """Note one tool call and how it ended; an outcome of None is a call that was cancelled."""
        self.record(
            call.principal,
            "tool.called",
            ended(outcome),
            client=call.client.name,
            tool=tool.name if tool else None,
            provider=tool.requirement.provider if tool and tool.requirement else None,
            reference=call.id,
            duration_ms=round(duration_ms, 3),
        )

    async def flush(self) -> None:
        """Write everything noted so far."""
        async with self._writing:
            batch, self._waiting = self._waiting, []
            if not batch:
                return
            try:
                await self._write(batch)
            except BaseException:
                self._waiting = batch + self._waiting  # nothing noted is lost, whatever stopped the writing
                raise

    async def close(self) -> None:
        """Write what is left and stop."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    async def _write_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._interval)
            try:
                await self.flush()
            except Exception:  # whatever the store's trouble is, recording goes on and is tried again
                log.exception("audit events could not be written; they are kept and tried again")
                await asyncio.sleep(5)


def ended(outcome: Outcome | None) -> str:
    """The word for how a call ended."""
    match outcome:
        case Done(result):
            return "tool_error" if result.is_error else "done"
        case Failed(error):
            return error.code
        case NeedsConnection():
            return "needs_connection"
        case NeedsInput():
            return "needs_input"
        case None:
            return "cancelled"

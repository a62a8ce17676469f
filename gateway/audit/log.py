"""Queues events, and writes them: many in a transaction, by one task.

Most events are noted on the path of a call and written at the latest `interval` seconds later, so that recording costs
a call microseconds. Of some, it has to be certain that they are stored before anything else is done: those are waited
for (`put_on_record`). They do not wait for the interval, and all that are waited for at one moment share a transaction,
so that the number of commits does not grow with the number of callers.

Whatever the trouble is, nobody waits longer than `patience`, what was noted is kept (up to a bound, beyond which
the gap itself is put on record), and writing goes on by itself.

Below: store, through the one function `write` given to the constructor. Above: whoever does what is to be on record.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from gateway.audit.arguments import keyed
from gateway.audit.call_record import CallRecord
from gateway.clock import Clock
from gateway.errors import AuditUnavailableError, GatewayError
from gateway.toolkit.tool import Tool
from gateway.types import AuditEvent, Call, Principal

log = logging.getLogger(__name__)

Write = Callable[[Sequence[AuditEvent]], Awaitable[None]]
Key = Callable[[], Awaitable[bytes]]

PATIENCE = 2.0  # seconds that somebody waits for an event to be stored
MOST_WAITING = 50_000
MOST_AT_ONCE = 500
_LONGEST_WRITE = 10.0  # seconds after which another connection is tried: a network can fall silent
_AFTER_FAILURE = 1.0
GAP = "audit.gap"


@dataclass(slots=True)
class _Noted:
    """An event on its way. `digest` is of a call's arguments; `stored` is what its caller waits for, if one does."""

    event: AuditEvent
    digest: bytes | None = None
    stored: asyncio.Future[None] | None = None


class AuditLog:
    """Records events.

    `strict`: an event that has to be on record is waited for. Without it, it is noted as all others are: for a person's
    own laptop, where the record is a convenience of the person whose disk it is on. `key` gives what arguments are
    hashed with; without one their hashes are left out. `patience` are seconds, `most_waiting` is a number of events.
    `process` is a name that no other process which writes to the record has.
    """

    def __init__(
        self,
        write: Write,
        clock: Clock,
        interval: float = 0.2,
        *,
        strict: bool = False,
        key: Key | None = None,
        patience: float = PATIENCE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.strict = strict
        self.process = secrets.token_hex(8)
        self.calls_under_way = 0
        """How many calls have begun and not ended."""
        self._patience = patience
        self._most_waiting = most_waiting
        self._write = write
        self._clock = clock
        self._interval = interval
        self._key = key
        self._noted: list[_Noted] = []
        self._awaited: list[_Noted] = []
        self._not_kept: Counter[str] = Counter()
        self._hurry = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._fails = False
        self._heard: Callable[[AuditEvent], None] | None = None

    def subscribe(self, heard: Callable[[AuditEvent], None]) -> None:
        """Have `heard` called with each event that is noted, at once. It must not fail, nor take long."""
        self._heard = heard

    @property
    def waiting(self) -> int:
        """How many events are not stored yet."""
        return len(self._noted) + len(self._awaited)

    @property
    def is_stuck(self) -> bool:
        """Whether what has to be on record before anything else is done cannot be put there, for all that is known."""
        return self.strict and self._fails

    def event(self, principal: Principal, action: str, outcome: str, **more: str | float | None) -> AuditEvent:
        """A fact as of now, for whoever stores it with what it is about. `more` are AuditEvent's optional fields."""
        return AuditEvent(secrets.token_hex(16), self._clock.now(), principal, action, outcome, **more)  # type: ignore[arg-type]

    def record(self, principal: Principal, action: str, outcome: str, **more: str | float | None) -> None:
        """Note one fact, now; it is written soon."""
        self.note(self.event(principal, action, outcome, **more))

    def note(self, event: AuditEvent, digest: bytes | None = None) -> None:
        """Note an event; it is written soon. `digest` is the inner one of a call's arguments."""
        if self._heard is not None:
            self._heard(event)
        if len(self._noted) >= self._most_waiting:
            self._not_kept[event.principal.tenant] += 1
            return
        self._noted.append(_Noted(event, digest))
        self._see_to_it()

    async def put_on_record(self, event: AuditEvent, digest: bytes | None = None) -> None:
        """Return when the event is stored, and will survive whatever comes. AuditUnavailableError where it is not.

        Where the log is not strict, the event is noted only.
        """
        if not self.strict:
            self.note(event, digest)
            return
        if len(self._awaited) >= self._most_waiting:
            raise _unavailable()
        stored = asyncio.get_running_loop().create_future()
        self._awaited.append(_Noted(event, digest, stored))
        self._hurry.set()
        self._see_to_it()
        try:
            async with asyncio.timeout(self._patience):
                await stored
        except TimeoutError:
            raise _unavailable() from None

    def of_call(self, call: Call, tool: Tool | None) -> CallRecord:
        """The record of a call that begins now."""
        return CallRecord(self, call, tool, self._clock)

    async def flush(self) -> None:
        """Write everything noted so far."""
        while True:
            await self._write_some()
            if not (self._noted or self._awaited):
                return

    async def close(self) -> None:
        """Write what is left and stop."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    def _see_to_it(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write_soon(self) -> None:
        pause = self._interval
        while self._noted or self._awaited:
            if not self._awaited:
                await self._rest(pause)
            self._hurry.clear()
            try:
                await self._write_some()
            except Exception as error:  # noqa: BLE001 - whatever the trouble is, recording goes on and is tried again
                self._failed(error)
                pause = _AFTER_FAILURE
            else:
                self._succeeded()
                pause = self._interval

    async def _rest(self, seconds: float) -> None:
        """Until then, or until somebody waits for an event."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _write_some(self) -> None:
        """One transaction: those that somebody waits for before all others. Raises what the store raises."""
        async with self._writing:
            awaited = [each for each in self._awaited if each.stored and not each.stored.done()]
            batch, self._awaited = awaited[:MOST_AT_ONCE], awaited[MOST_AT_ONCE:]
            room = MOST_AT_ONCE - len(batch)
            rest, self._noted = self._noted[:room], self._noted[room:]
            if not (batch or rest):
                return
            try:
                async with asyncio.timeout(_LONGEST_WRITE):
                    await self._write(await self._ready([*batch, *rest]))
            except BaseException:
                self._noted = rest + self._noted  # nothing noted is lost, whatever stopped the writing
                _tell(batch, _unavailable())
                raise
            _tell(batch, None)

    async def _ready(self, noted: Sequence[_Noted]) -> list[AuditEvent]:
        """The events as they are stored: with the keyed hashes of arguments."""
        if self._key is None or not any(each.digest for each in noted):
            return [each.event for each in noted]
        key = await self._key()
        return [
            replace(each.event, arguments=keyed(each.digest, each.event.principal.tenant, key))
            if each.digest
            else each.event
            for each in noted
        ]

    def _failed(self, error: Exception) -> None:
        if not self._fails:
            unexpected = not isinstance(error, GatewayError)
            log.error("the audit cannot be written; what is noted is kept: %s", error, exc_info=unexpected)
        self._fails = True

    def _succeeded(self) -> None:
        if self._fails:
            log.warning("the audit can be written again")
        self._fails = False
        missed, self._not_kept = self._not_kept, Counter()
        for tenant, count in missed.items():
            self.record(Principal("atp-gateway", "audit", tenant), GAP, f"{count}_events_not_kept")


def _tell(batch: Sequence[_Noted], error: Exception | None) -> None:
    """Let go those who wait for these events, if they still do."""
    for each in batch:
        if each.stored is None or each.stored.done():
            continue
        if error is None:
            each.stored.set_result(None)
        else:
            each.stored.set_exception(error)


def _unavailable() -> AuditUnavailableError:
    return AuditUnavailableError(
        "Nothing was done: the gateway cannot put it on record now, and does nothing with an account that is not on "
        "record. Try again in a moment; if that does not help, whoever runs the gateway finds the cause in its log."
    )

"""The workers of one toolkit, and the calls that wait for one of them. At most once, by construction.

A worker is a process that runs a toolkit's functions: one that connected from afar, or one that the gateway started.

    in the line ---take---> held by one worker ---answer, fail, leave---> ended
        ^                       |
        +------give_back--------+

A call is in one of these places and never in two. It gets to a worker only by `take`, which takes it out of the line,
and back into the line only by `give_back`, said by whoever knows that it was not sent. So no call is ever sent twice,
and one that was sent and not answered ends as `unknown_outcome`.

A caller may go at any moment. What it waited for in the line is dropped. What a worker holds stays in that worker's
hands, for it is still running there: the worker gets no other call in its place until it answers or is known to be
free.

Everything happens on one event loop and between two awaits, so there are no locks; each step costs the same however
many calls there are. Not here: how a request travels, and how a dead worker is noticed. Below: `waiting_calls`. Above:
remote toolkits, and local ones that run in processes of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gateway.errors import GatewayError, ToolkitBusyError, ToolkitUnreachableError, UnknownOutcomeError
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.waiting_calls import Turn, WaitingCall, WaitingCalls


class Workers:
    """The workers of `toolkit`. So many calls may be `waiting` when all are busy; `patience` is how many seconds a
    call waits when no worker is there at all, as while one reconnects."""

    def __init__(self, toolkit: str, *, waiting: int = 8, patience: float = 2.0) -> None:
        self._toolkit = toolkit
        self._most_waiting = waiting
        self._patience = patience
        self._line = WaitingCalls()
        self._members: set[Worker] = set()
        self._subscribers: list[Callable[[], None]] = []

    @property
    def present(self) -> bool:
        """Whether any worker is there."""
        return bool(self._members)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed` called when the first worker has come and when the last has gone. The answer ends that."""
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    def join(self, capacity: int | None = 1, abandoned: Callable[[ToolRequest], None] | None = None) -> Worker:
        """A new worker, which holds `capacity` calls at a time; None: as many as it takes.

        `abandoned` is called when the caller of a request that the worker holds has gone: the time was up, or it was
        cancelled. With a `capacity` the request stays in the worker's hands until it answers, releases it or leaves.
        """
        worker = Worker(self._toolkit, self._line, capacity, abandoned, self._gone)
        self._members.add(worker)
        if len(self._members) == 1:
            self._tell()
        return worker

    async def call(self, request: ToolRequest, seconds: float) -> Any:
        """What the worker's function returned, within `seconds`.

        Not sent: ToolkitUnreachableError when nobody is there or took it, ToolkitBusyError when the line is full or
        every worker stayed busy. Sent: UnknownOutcomeError when the worker left, or did not answer in time. Otherwise
        what the worker failed it with, such as ToolError. A cancelled caller is let go at once.
        """
        loop = asyncio.get_running_loop()
        call = WaitingCall(request, loop.create_future(), loop.time() + seconds)
        self._line.enter(call)
        if call.worker is None and len(self._line) > self._most_waiting:
            self._line.remove(call)
            raise ToolkitBusyError(
                f"{self._toolkit} is busy: {self._most_waiting} calls wait for it already. {request.tool} was not "
                "called: try again in a moment."
            )
        self._set_alarm(call)
        try:
            value, error = await call.end
        finally:
            if call.alarm is not None:
                call.alarm.cancel()
            self._line.remove(call)
            if call.worker is not None:
                call.worker.abandon(call)
        if error is not None:
            raise error
        return value

    def _set_alarm(self, call: WaitingCall) -> None:
        loop = asyncio.get_running_loop()
        if call.alarm is not None:
            call.alarm.cancel()
        patient = self._members or call.taken
        until = call.until if patient else min(call.until, loop.time() + self._patience)
        call.alarm = loop.call_at(until, self._ring, call)

    def _ring(self, call: WaitingCall) -> None:
        over = asyncio.get_running_loop().time() >= call.until
        if over or not (self._members or call.taken):
            self._line.remove(call)
            call.settle(None, self._why_not(call))
        else:
            self._set_alarm(call)

    def _why_not(self, call: WaitingCall) -> GatewayError:
        """Why a call has no answer."""
        tool = call.request.tool
        if call.taken:
            return UnknownOutcomeError(
                f"{self._toolkit} was sent the call of {tool} and did not answer in time. Nobody knows whether it did "
                "its work: look before you call it again."
            )
        if any(worker.is_busy for worker in self._members):
            return ToolkitBusyError(
                f"{self._toolkit} is busy: none of its workers was free in time. {tool} was not called: try again "
                "in a moment."
            )
        nobody = "did not come for the call in time" if self._members else "has no worker that runs"
        return ToolkitUnreachableError(f"{self._toolkit} {nobody}. {tool} was not called: try again in a moment.")

    def _gone(self, worker: Worker) -> None:
        self._members.discard(worker)
        if not self._members:
            for call in self._line:
                self._set_alarm(call)
            self._tell()

    def _tell(self) -> None:
        for changed in tuple(self._subscribers):
            changed()


class Worker:
    """One worker's side: takes calls and answers them. Made by `Workers.join`; a context manager that leaves."""

    def __init__(
        self,
        toolkit: str,
        line: WaitingCalls,
        capacity: int | None,
        abandoned: Callable[[ToolRequest], None] | None,
        gone: Callable[[Worker], None],
    ) -> None:
        self._toolkit = toolkit
        self._line = line
        self._capacity = capacity
        self._abandoned = abandoned
        self._gone = gone
        self._held: dict[str, WaitingCall] = {}
        self._turns: set[Turn] = set()
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @property
    def is_busy(self) -> bool:
        """Whether it holds a call, also one that nobody waits for any more."""
        return bool(self._held)

    @property
    def has_room(self) -> bool:
        """Whether it may take a call now."""
        return self._capacity is None or len(self._held) < self._capacity

    async def take(self) -> ToolRequest | None:
        """Wait for a call, and hold it. None once the worker has left.

        From here on the call counts as sent, unless `give_back` says that it was not. A cancelled `take` loses nothing,
        where it is awaited directly: the result of a task can be lost by whoever awaits the task.
        """
        while not self._left:
            turn: Turn = asyncio.get_running_loop().create_future()
            self._turns.add(turn)
            self._line.up(turn, self)
            try:
                call = await turn
            except asyncio.CancelledError:
                self._withdraw(turn)
                raise
            finally:
                self._turns.discard(turn)
            if call is not None and call.worker is self:
                if not call.end.done():
                    call.taken = True
                    return call.request
                self._let_go(call)
        return None

    def give_back(self, request: ToolRequest) -> bool:
        """It certainly was not sent: back to the front of the line, for whoever is free.

        False where that is too late: it is not held here any more, or its caller has gone.

        A worker that cannot send leaves after this, lest it be given the same call again.
        """
        return self.decline(request.id)

    def decline(self, request_id: str) -> bool:
        """As `give_back`, said by the worker itself: it has not begun the call, and will not."""
        call = self._held.get(request_id)
        if call is None:
            return False
        in_time = not call.end.done()
        call.taken = False
        self._line.put_back(call)
        self._let_go(call)
        return in_time

    def take_no_more(self) -> None:
        """Be given no call any more. Those that it holds, it still answers."""
        self._capacity = 0

    def answer(self, request_id: str, value: Any) -> bool:
        """The function returned `value`. False: unknown, late, a duplicate, or another worker's, and it is dropped."""
        return self._end(request_id, value, None)

    def fail(self, request_id: str, error: GatewayError) -> bool:
        """The function did not end well. False as with `answer`."""
        return self._end(request_id, None, error)

    def release(self, request_id: str) -> None:
        """The worker is known to be done with a call, and no answer has come. It has room again once its caller has
        gone; a caller that still waits for it waits on."""
        call = self._held.get(request_id)
        if call is not None and call.end.done():
            self._let_go(call)

    def leave(self) -> None:
        """Be gone. What was sent and not answered ends as unknown_outcome; what was not sent yet goes to others."""
        if self._left:
            return
        self._left = True
        for turn in self._turns:
            self._line.down(turn)
            if not turn.done():
                turn.set_result(None)
        for call in reversed(tuple(self._held.values())):
            if call.taken:
                call.settle(None, self._lost(call))
            else:
                self._line.put_back(call)
            self._let_go(call)
        self._gone(self)

    def hold(self, call: WaitingCall) -> None:
        """Be given a call. For the line."""
        call.worker = self
        self._held[call.request.id] = call

    def abandon(self, call: WaitingCall) -> None:
        """The caller has gone. For `Workers`."""
        if not call.taken or self._capacity is None:
            self._let_go(call)
        if call.taken and self._abandoned is not None:
            self._abandoned(call.request)

    def _end(self, request_id: str, value: Any, error: GatewayError | None) -> bool:
        call = self._held.get(request_id)
        if call is None:
            return False
        in_time = call.settle(value, error)
        self._let_go(call)
        return in_time

    def _let_go(self, call: WaitingCall) -> None:
        """Have it no longer in hand, and room again."""
        self._held.pop(call.request.id, None)
        if call.worker is self:
            call.worker = None
        if self._capacity is not None:
            for turn in self._turns:
                self._line.up(turn, self)
        self._line.match()

    def _withdraw(self, turn: Turn) -> None:
        """The one who waited for a call has gone: what it was just given goes to the next."""
        self._line.down(turn)
        call = turn.result() if turn.done() and not turn.cancelled() else None
        if call is not None and call.worker is self:
            self._line.put_back(call)
            self._let_go(call)

    def _lost(self, call: WaitingCall) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            f"The worker of {self._toolkit} that was running {call.request.tool} has gone. Nobody knows whether it did "
            "its work: look before you call it again."
        )

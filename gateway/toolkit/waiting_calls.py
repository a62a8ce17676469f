"""Calls that wait for a worker, and workers that wait for a call: who gets which.

Pure bookkeeping, between two awaits of one event loop. Above: `gateway.toolkit.workers`, which says what it means.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.toolkit.tool_request import ToolRequest


class Holder(Protocol):
    """A worker, as a call sees it."""

    @property
    def has_room(self) -> bool: ...

    def hold(self, call: WaitingCall) -> None:
        """Be given a call."""

    def abandon(self, call: WaitingCall) -> None:
        """Hear that the caller has gone."""


@dataclass(slots=True, eq=False)
class WaitingCall:
    """A call on its way. `end` is given (value, error); `worker` holds it; `taken`: it has left our hands."""

    request: ToolRequest
    end: asyncio.Future[tuple[Any, GatewayError | None]]
    until: float
    alarm: asyncio.TimerHandle | None = None
    worker: Holder | None = None
    taken: bool = False

    def settle(self, value: Any, error: GatewayError | None = None) -> bool:
        """End it. False when it has ended already."""
        if self.end.done():
            return False
        self.end.set_result((value, error))
        return True


Turn = asyncio.Future[WaitingCall | None]
"""A worker's place among those who have nothing to do. It is given a call; None: the worker has left."""


class WaitingCalls:
    """Calls that wait for a worker, and workers that wait for a call: never both. Each in the order of their coming."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, WaitingCall] = OrderedDict()
        self._idle: OrderedDict[Turn, Holder] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[WaitingCall]:
        return iter(self._calls.values())

    def enter(self, call: WaitingCall) -> None:
        self._calls[call.request.id] = call
        self.match()

    def put_back(self, call: WaitingCall) -> None:
        """To the front, if somebody still waits for it. `match` is called when it is nobody's any more."""
        if not call.end.done():
            self._calls[call.request.id] = call
            self._calls.move_to_end(call.request.id, last=False)

    def remove(self, call: WaitingCall) -> None:
        self._calls.pop(call.request.id, None)

    def up(self, turn: Turn, worker: Holder) -> None:
        """A worker has nothing to do. One that has no room is passed over, and lines up again when it has."""
        if not turn.done():
            self._idle.setdefault(turn, worker)
            self.match()

    def down(self, turn: Turn) -> None:
        self._idle.pop(turn, None)

    def match(self) -> None:
        """Bring them together."""
        while self._calls and self._idle:
            turn, worker = self._idle.popitem(last=False)
            if turn.done() or not worker.has_room:
                continue
            _, call = self._calls.popitem(last=False)
            worker.hold(call)
            turn.set_result(call)

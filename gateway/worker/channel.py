"""A Channel over the line to the gateway, for the one call that a worker runs: the host is asked there.

Whether the host can be asked in the middle of a call is the gateway's business. Where it cannot, the answer says which
questions are open, and the tool's run ends with them as it would there. Below: `line`, `wire`. Above: `child`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.toolkit.context import Answer, Ask, InputNeeded, Level
from gateway.worker.failure import error_from_wire
from gateway.worker.line import Line, Message
from gateway.worker.wire import answers_from_wire, asks_to_wire, plain


class LineChannel:
    """`gateway.toolkit.context.Channel` of the call that is named `call`."""

    def __init__(self, line: Line, call: str, capabilities: Sequence[str]) -> None:
        self.capabilities = frozenset(capabilities)
        self._line = line
        self._call = call
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[Mapping[str, Ask], asyncio.Future[Message]]] = {}

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        await self._say("progress", done=done, total=total, message=message)

    async def log(self, level: Level, data: Any, logger: str | None) -> None:
        await self._say("log", level=level, data=plain(data), logger=logger)

    async def ask(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        number = next(self._numbers)
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = asks, answered
        try:
            await self._say("ask", number=number, asks=asks_to_wire(asks))
            said = await answered
        finally:
            del self._asked[number]
        if "error" in said:
            raise error_from_wire(said["error"])
        if "open" in said:
            raise InputNeeded({key: asks[key] for key in said["open"]})
        return answers_from_wire(said["answers"])

    def answered(self, message: Message) -> None:
        """An answer has come. One that nobody waits for any more is dropped."""
        _, waiting = self._asked.get(message["number"], (None, None))
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def _say(self, kind: str, **more: Any) -> None:
        self._line.send({"kind": kind, "call": self._call, **more})
        await self._line.room()

"""The receiving side of one request: a body of at most so many bytes, complete within so many seconds.

Past either limit the answer is 413 or 408 and the route is told that its client is gone. Uvicorn itself waits for a
half-sent body for ever. Below: `answer`. Above: the edge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive

from gateway.surfaces.answer import Answer
from gateway.surfaces.refusal import TOO_LARGE, TOO_SLOW, Refusal


def announced(headers: Mapping[str, str]) -> int | None:
    """How long the body says it is, in bytes; None for one that comes in chunks. Servers refuse a malformed length."""
    if "transfer-encoding" in headers:
        return None
    return int(headers.get("content-length", "0"))


class Body:
    """Hands on what arrives until a limit is passed. `seconds` count from now."""

    __slots__ = ("_answer", "_complete", "_deadline", "_receive", "_room")

    def __init__(self, receive: Receive, answer: Answer, limit: int, seconds: float) -> None:
        self._receive = receive
        self._answer = answer
        self._room = limit
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:  # from here on the route waits for its client to leave, for as long as it likes
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            return await self._give_up(TOO_SLOW)
        self._room -= len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return message if self._room >= 0 else await self._give_up(TOO_LARGE)

    async def _give_up(self, refusal: Refusal) -> Message:
        self._complete = True
        await self._answer.refuse(refusal)
        return {"type": "http.disconnect"}

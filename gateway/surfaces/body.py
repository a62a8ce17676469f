"""Counts a body whose length nobody announced: past the limit the answer is 413 and the route's client is gone.

A body with a Content-Length is judged by it before the route runs, and the HTTP parser lets no more than that through.
How long a body may take is the server's business. Below: `answer`. Above: the edge.
"""

from __future__ import annotations

from starlette.types import Message, Receive

from gateway.surfaces.answer import Answer
from gateway.surfaces.refusal import TOO_LARGE


class CountedBody:
    """Hands on what arrives until it is more than `limit` bytes."""

    __slots__ = ("_answer", "_receive", "_room")

    def __init__(self, receive: Receive, answer: Answer, limit: int) -> None:
        self._receive = receive
        self._answer = answer
        self._room = limit

    async def receive(self) -> Message:
        message = await self._receive()
        self._room -= len(message.get("body", b""))
        if self._room >= 0:
            return message
        await self._answer.refuse(TOO_LARGE)
        return {"type": "http.disconnect"}

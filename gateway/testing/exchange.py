"""One request that a fault may spoil: the honest answer, if it is asked for, and the ways to give another one.

Below: `wire`. Above: `faults`, `fault_layer`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.testing.log import Shown
from gateway.testing.wire import Wire

SEEN = "gateway.testing.seen"

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Seen:
    """What a request is, before anything has been done about it. `token` is the one it presents, by its name."""

    what: str
    client_id: str | None = None
    person: str | None = None
    token: Shown | None = None
    at_once: int = 1
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """The request, the app that would answer it, and where the answer goes. `params` are the script's."""

    def __init__(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, now: datetime, params: Mapping[str, Any]
    ) -> None:
        self.now = now
        self.params = params
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send

    async def carry_out(self) -> Answer:
        """Let the app do its work, and keep what it would have said."""
        status, headers, body = 500, Headers(), bytearray()

        async def keep(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            body.extend(message.get("body", b""))

        await self._app(self._scope, self._receive, keep)
        return Answer(status, headers, bytes(body))

    async def give(self, status: int, headers: Headers, *chunks: bytes) -> None:
        """An answer in HTTP that is at least well-formed. Its length is not named."""
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        await self._send({"type": "http.response.start", "status": status, "headers": kept})
        for chunk in chunks:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    def date(self, otherwise: float) -> bytes:
        """A date in HTTP's form, so many seconds from the server's now; `seconds` in the script wins."""
        at = self.now + timedelta(seconds=self.params.get("seconds", otherwise))
        return format_datetime(at, usegmt=True).encode()

    @property
    def what(self) -> str:
        """The log's word for the request."""
        seen: Seen = self._scope[SEEN]
        return seen.what

    @property
    def wire(self) -> Wire:
        """The connection itself. RuntimeError where there is none."""
        return Wire(self._scope, self._receive)

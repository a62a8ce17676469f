"""The socket under a request, for answers that no web framework can be made to give.

`gateway.testing.serving` serves with `OpenWire`, which leaves the connection in the request's scope. An app that is to
misbehave takes it from there and writes bytes, dribbles them, stops in the middle, or slams the door.

Below: `gateway.surfaces.server`. Above: `faults`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from http import HTTPStatus

from starlette.types import Receive, Scope

from gateway.surfaces.server import PatientProtocol

_EXTENSION = "gateway.wire"
_LINGER_NOT = struct.pack("ii", 1, 0)


class OpenWire(PatientProtocol):
    """Our HTTP server, which shows its connection to the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


class Wire:
    """One connection. Each method ends when the client has gone."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        try:
            self._transport: asyncio.Transport = scope["extensions"][_EXTENSION]["transport"]
        except KeyError:
            raise RuntimeError("This fault needs a socket: serve the app with gateway.testing.serving.") from None
        self._receive = receive

    async def hold(self) -> None:
        """Say nothing until the client gives up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reset(self) -> None:
        """Break the connection off: the client sees RST, not an orderly end."""
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()
        await self.hold()

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, and end the connection."""
        self._transport.write(data)
        self._transport.close()
        await self.hold()

    async def drip(self, data: bytes, interval: float, *, at_once: bytes = b"") -> None:
        """A byte each `interval` seconds, until the client has had enough or there are no more."""
        gone = asyncio.create_task(self.hold())
        self._transport.write(at_once)
        try:
            for at in range(len(data)):
                self._transport.write(data[at : at + 1])
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(gone), interval)
                if gone.done():
                    return
            self._transport.close()
            await gone
        finally:
            gone.cancel()


def http_bytes(status: int, headers: list[tuple[bytes, bytes]], body: bytes, length: int | None = None) -> bytes:
    """An HTTP/1.1 answer. `length` is what it claims, the truth unless given."""
    kept = [(name, value) for name, value in headers if name.lower() not in {b"content-length", b"connection"}]
    lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
    lines += [name + b": " + value for name, value in kept]
    lines += [b"content-length: %d" % (len(body) if length is None else length), b"connection: close", b"", b""]
    return b"\r\n".join(lines) + body

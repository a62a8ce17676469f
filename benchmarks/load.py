"""The load: N connections, each with one tools/call in flight, over HTTP/1.1 written by hand.

A client library would cost more than the servers it measures. So a request is a constant, an answer is searched for
what must be in it, and nothing is parsed that need not be. Both ways of answering are understood: a JSON body with a
length, and an event stream in chunks.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
EXPECTED = b"hello ada"
_MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
}


class WrongAnswerError(Exception):
    """An answer that does not hold what the tool says."""


@dataclass
class Measured:
    """Latencies in seconds of one round, and how long it took."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def call_of(port: int, era: str, tool: str, bearer: str | None = None) -> bytes:
    """The bytes of a tools/call on one connection; in the handshake era with a session of its own."""
    params: dict[str, Any] = {"name": tool, "arguments": {"name": "ada"}}
    shown = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    headers = {"MCP-Protocol-Version": era, **shown}
    if era == MODERN:
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        params["_meta"] = _MODERN_META
    elif session := open_session(port, shown):
        headers["Mcp-Session-Id"] = session
    return request_bytes(port, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers)


def request_bytes(port: int, message: dict[str, Any], headers: dict[str, str]) -> bytes:
    body = json.dumps(message).encode()
    lines = [
        "POST /mcp HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def open_session(port: int, shown: dict[str, str]) -> str | None:
    """The handshake of 2025-11-25; None where the server keeps no sessions."""
    info = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "load", "version": "1"}}
    first = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": info}
    session, _ = post(port, first, shown)
    if session:
        post(port, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {"Mcp-Session-Id": session, **shown})
    return session


def post(port: int, message: dict[str, Any], headers: dict[str, str]) -> tuple[str | None, str]:
    """One request the slow way: the session id of the answer, and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    accept = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    connection.request("POST", "/mcp", json.dumps(message), accept | headers)
    answer = connection.getresponse()
    session, text = answer.headers.get("Mcp-Session-Id"), answer.read().decode()
    connection.close()
    return session, text


class Caller(asyncio.Protocol):
    """One connection: sends the next call as soon as the answer to the last one is whole."""

    def __init__(self, call: bytes, until: float, measured: Measured) -> None:
        self._call = call
        self._until = until
        self._measured = measured
        self._received = bytearray()
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:  # uvloop's transports are none of asyncio's classes
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_whole(self._received):
            return
        now = time.perf_counter()
        if EXPECTED not in self._received or b"200" not in self._received[:16]:
            self._end(WrongAnswerError(self._received[:600].decode(errors="replace")))
            return
        self._measured.latencies.append(now - self._sent_at)
        if now < self._until:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._received.clear()
        self._sent_at = time.perf_counter()
        self._transport.write(self._call)

    def _end(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)
        self._transport.close()


def is_whole(received: bytearray) -> bool:
    """Whether an HTTP/1.1 answer has arrived to its end."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = received[:head_end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        return received.endswith(b"0\r\n\r\n")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0])
    return len(received) >= head_end + 4 + length


def measure(port: int, calls: list[bytes], seconds: float) -> Measured:
    """Put one connection to work for each of `calls`, for so many seconds."""

    async def run() -> Measured:
        measured, started = Measured(), time.perf_counter()
        loop = asyncio.get_running_loop()
        callers = []
        for call in calls:
            until = started + seconds
            _, caller = await loop.create_connection(
                lambda call=call, until=until: Caller(call, until, measured), "127.0.0.1", port
            )
            callers.append(caller)
        await asyncio.gather(*(caller.done for caller in callers))
        measured.seconds = time.perf_counter() - started
        return measured

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())

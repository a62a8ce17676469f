"""Clients that cost next to nothing: HTTP/1.1 by hand over asyncio's streams, so that thousands of them fit on a core.

A request is bytes, made once. Of an answer the status, the session and the body are read, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

PATIENCE = 60.0  # seconds: what takes longer hangs
MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
_META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> str:
        """What the tool answered, or why it did not."""
        found = self.json
        result = found.get("result")
        return str(result["content"][0]["text"] if result else found.get("error"))

    @property
    def is_done(self) -> bool:
        """Whether this is a tool's answer, and no refusal."""
        return self.status == 200 and self.json.get("result", {}).get("isError") is False

    def header(self, name: str) -> str | None:
        lines = (line.partition(":") for line in self.head.split("\r\n"))
        return next((text.strip() for found, _, text in lines if found.lower() == name), None)


class CutError(ConnectionError):
    """The connection ended before the answer did."""


class Line:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> Answer:
        self.writer.write(request)
        return await self.hear()

    async def hear(self) -> Answer:
        """The next whole answer. CutError where there is none."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                body = await self._body(head.lower())
        except (OSError, asyncio.IncompleteReadError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise CutError(str(error)) from None
        return Answer(int(head.split(" ", 2)[1]), head, body)

    async def _body(self, head: str) -> bytes:
        if "content-length:" in head:
            return await self.reader.readexactly(int(head.split("content-length:", 1)[1].split("\r\n", 1)[0]))
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        data = [line[6:] for line in body.split(b"\r\n") if line.startswith(b"data: ")]
        return data[-1] if data else body

    def close(self) -> None:
        self.writer.close()


def get(port: int, path: str, key: str | None = None, **headers: str) -> bytes:
    return _bytes(port, f"GET {path}", b"", key, headers)


def call(port: int, key: str | None, tool: str, **arguments: Any) -> bytes:
    """A tools/call of 2026-07-28, which needs no session."""
    params = {"name": tool, "arguments": arguments, "_meta": _META}
    named = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}
    return message(port, key, "tools/call", params, named)


def listing(port: int, key: str | None) -> bytes:
    named = {"mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
    return message(port, key, "tools/list", {"_meta": _META}, named)


def listening(port: int, key: str | None) -> bytes:
    """Opens a stream that tells of changes, for as long as one likes."""
    named = {"mcp-protocol-version": MODERN, "mcp-method": "subscriptions/listen"}
    params = {"_meta": _META, "notifications": {"toolsListChanged": True}}
    return message(port, key, "subscriptions/listen", params, named)


def initialize(port: int, key: str | None) -> bytes:
    info = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    return message(port, key, "initialize", info, {})


def stream_of(port: int, key: str | None, session: str) -> bytes:
    """Opens the one stream of a handshake session."""
    sent = {"accept": "text/event-stream", "mcp-session-id": session, "mcp-protocol-version": HANDSHAKE}
    return _bytes(port, "GET /mcp", b"", key, sent)


def ending(port: int, key: str | None, session: str) -> bytes:
    sent = {"mcp-session-id": session, "mcp-protocol-version": HANDSHAKE}
    return _bytes(port, "DELETE /mcp", b"", key, sent)


def message(port: int, key: str | None, method: str, params: dict[str, Any], headers: dict[str, str]) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    return _bytes(port, "POST /mcp", body, key, kinds | headers)


def _bytes(port: int, what: str, body: bytes, key: str | None, headers: dict[str, str]) -> bytes:
    sent = {"host": f"127.0.0.1:{port}", "content-length": str(len(body))} | headers
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    lines = [f"{what} HTTP/1.1", *(f"{name.replace('_', '-')}: {text}" for name, text in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body

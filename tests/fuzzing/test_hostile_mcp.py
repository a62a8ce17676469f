"""JSON-RPC that no host sends, over every MCP transport: what is asked rightly is answered still, and nothing breaks.

Messages of both eras with something changed in them: a byte, a field, a type, a header; or no JSON-RPC at all.
"""

from __future__ import annotations

import json
import re
import socket
from collections import deque
from collections.abc import Iterator
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzzing.conftest import PATIENCE, Gateway, Hostile

BODIES = 3_400  # for each of three transports
MODERN, OLDER = "2026-07-28", "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "fuzzer", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "fuzzer", "version": "1"}},
}
METHODS = (
    "tools/call", "tools/list", "initialize", "server/discover", "ping", "logging/setLevel", "prompts/get",
    "resources/read", "subscriptions/listen", "notifications/cancelled", "notifications/initialized", "no/such", "",
)  # fmt: skip

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\ud800", "\x00\x1b[31m\r\n", "x" * 5_000, "find_contact", "2026-07-28", "../../x"]),
)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
_PARAMS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["find_contact", "signed", "nope"]) | _VALUES,
            "arguments": st.just({"name": "x"}) | _VALUES,
            "_meta": st.just(META) | st.just({**META, "progressToken": 10**400}) | _VALUES,
            "cursor": _VALUES,
            "requestState": st.text() | _VALUES,
            "inputResponses": _VALUES,
            "level": _VALUES,
            "requestId": _VALUES,
            "protocolVersion": st.sampled_from([MODERN, OLDER, "1999-01-01"]) | _VALUES,
            "capabilities": _VALUES,
        },
    ),
    _VALUES,
)
_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | _VALUES,
        "id": st.integers(0, 9) | st.text() | _VALUES,
        "method": st.sampled_from(METHODS) | st.sampled_from(METHODS) | _VALUES,
        "params": _PARAMS,
        "result": _VALUES,
        "error": _VALUES,
    },
)


def _with_a_byte_changed(message: Any, place: int, byte: int) -> bytes:
    body = bytearray(json.dumps(message).encode())
    body[place % len(body)] = byte
    return bytes(body)


BODY = st.one_of(
    _MESSAGES.map(lambda message: json.dumps(message).encode()),
    _MESSAGES.map(lambda message: json.dumps(message).encode()),
    st.lists(_MESSAGES, max_size=3).map(lambda batch: json.dumps(batch).encode()),
    st.builds(_with_a_byte_changed, _MESSAGES, st.integers(0, 1 << 16), st.integers(0, 255)),
    st.sampled_from([b"", b"{", b"[" * 200_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"\xff" * 9, b"NaN"]),
    st.binary(max_size=200),
)
HEADERS = st.fixed_dictionaries(
    {"content-type": st.sampled_from(["application/json", "text/plain"])},
    optional={
        "accept": st.sampled_from(["application/json, text/event-stream", "*/*", "application/json", "text/html"]),
        "mcp-protocol-version": st.sampled_from([MODERN, OLDER, "2024-11-05", "x"]),
        "mcp-method": st.sampled_from(["tools/call", "tools/list", "no/such"]),
        "mcp-name": st.sampled_from(["find_contact", "nope", "\x00"[:0]]),
        "mcp-session-id": st.sampled_from(["0" * 32, "x"]),
        "last-event-id": st.just("1"),
    },
)


def fine(answer: httpx2.Response) -> None:
    """Answered, whatever it was, and not by a crash."""
    assert answer.status_code < 500, (answer.status_code, answer.text[:500])
    assert "Traceback" not in answer.text


@pytest.fixture
def session(hostage: Gateway) -> str:
    """A handshake session's id."""
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": OLDER}
    answer = httpx2.post(f"{hostage.base_url}/mcp", json=INITIALIZE, headers=headers, timeout=PATIENCE)
    return answer.headers["mcp-session-id"]


@pytest.fixture
def old_stream(hostage: Gateway) -> Iterator[str]:
    """Where to post to a stream of the old transport, which is open and read."""
    place = urlsplit(hostage.base_url)
    with socket.create_connection((place.hostname, place.port or 80), PATIENCE) as stream:
        stream.sendall(f"GET /sse HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode())
        said = b""
        while not (found := re.search(rb"data: (/messages/\S+)", said)):
            said += stream.recv(4096)
        stream.settimeout(None)
        reading = Thread(target=lambda: deque(iter(lambda: stream.recv(65_536), b""), maxlen=1))
        reading.start()
        yield found[1].decode()
        stream.shutdown(socket.SHUT_RDWR)
        reading.join(PATIENCE)


@pytest.mark.parametrize("transport", ["modern", "session", "sse"])
def test_a_hostile_message_is_answered_and_breaks_nothing(
    transport: str, hostage: Gateway, session: str, old_stream: str, hostile: Hostile
) -> None:
    path = old_stream if transport == "sse" else "/mcp"
    own = {"session": {"mcp-session-id": session, "mcp-protocol-version": OLDER}}.get(transport, {})
    own |= {"mcp-protocol-version": MODERN} if transport == "modern" else {}
    with httpx2.Client(base_url=hostage.base_url, timeout=PATIENCE, trust_env=False) as http:

        @hostile(BODIES)
        @given(body=BODY, headers=HEADERS)
        def send(body: bytes, headers: dict[str, str]) -> None:
            with http.stream("POST", path, content=body, headers={**headers, **own}) as answer:
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    assert answer.status_code == 200  # a subscription, which goes on for as long as we listen
                    return
                answer.read()
                fine(answer)

        send()
    assert hostage.is_well()

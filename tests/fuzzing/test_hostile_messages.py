"""What no client sends: on both sockets, as bodies, and as frames that are none.

Whatever it is, the gateway answers with an error or closes with a code that RFC 6455 has for it, another connection
does not notice, and the process neither crashes nor grows.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway.surfaces.atp.openapi.schemas import SCHEMAS
from tests.fuzzing.conftest import MOST_GROWTH, PATIENCE, Gateway, Hostile

BODIES = 600
SOCKETS = {"app": 800, "toolkit": 200}  # of a toolkit, five a second are let in
MESSAGES_TO_APPS = 400
FORGED = 200

LEGITIMATE = {
    "type": ["auth", "get_toolkit_context", "task_request", "tool_response", "worker_stopping", "app_response"],
    "request_id": ["1", "", "x" * 301],
    "toolkit_id": ["crm", "far"],
    "provider": ["openai", "mistral"],
    "payload": [{"function": "find_contact", "parameters": {"name": "x"}}, {"function": "signed"}],
    "result": [{"error": "x"}, None],
    "response": [1],
    "api_key": ["atpg_app_x"],
    "external_user_id": ["ada", 7, "a\u2028b"],
    "metadata": [{"params": ["q"]}, {"input_schema": {"type": "object"}}],
    "function_id": ["find", "../../x", "\u202e"],
    "code_hash": ["00"],
    "toolkit_hash": ["00"],
    "tool_hash": ["00"],
    "tool_name": ["find"],
    "url": ["https://hook.invalid/x", "http://169.254.169.254/", "javascript:alert(1)"],
    "events": [["connection_success"], ["nope"], []],
    "account": ["x"],
    "not_begun": [True],
    "is_error": [True],
}

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(),
    st.sampled_from(["\ud800", "\x00\x1b[31m\r\n", "x" * 70_000, "<script>", "\u202e\u200d"]),
)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
_FIELDS = [
    st.tuples(st.just(name), st.one_of(st.sampled_from(usual), st.sampled_from(usual), _VALUES))
    for name, usual in LEGITIMATE.items()
]


def _written(pairs: list[tuple[str, Any]]) -> bytes:
    """As JSON, in which a key may stand twice."""
    inner = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
    return f"{{{inner}}}".encode()


def _deep(depth: int, opening: bytes) -> bytes:
    return opening * depth + b"1" + {b"[": b"]", b'{"a":': b"}"}[opening] * depth


def _in_a_call(value: bytes) -> bytes:
    head = (
        b'{"type":"task_request","request_id":"1","toolkit_id":"crm","payload":{"function":"find_contact","parameters":'
    )
    return head + b'{"name":' + value + b"}}}"


_DEPTHS = st.sampled_from([30, 65, 120, 400, 900, 5_000, 100_000])
_DEEP = st.builds(_deep, _DEPTHS, st.sampled_from([b"[", b'{"a":']))
MESSAGES = st.one_of(
    st.lists(st.one_of(_FIELDS), max_size=9).map(_written),
    st.lists(st.one_of(_FIELDS), max_size=9).map(_written),
    _VALUES.map(lambda value: json.dumps(value).encode()),
    _DEEP,
    _DEEP.map(_in_a_call),
    st.sampled_from([b"NaN", b"1e999", b"-Infinity", b"1" * 5_000, b'"\\ud800"']).map(_in_a_call),
    st.binary(),
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
)

POSTS = [
    "/api/v1/atp/llm-client/process/",
    "/api/v1/atp/llm-client/oauth/confirmation/hubspot/",
    "/api/v1/atp/llm-client/webhooks/register/",
    "/api/v1/toolkit/verify_hash",
    "/api/v1/toolkit/verify_tool_hash",
    "/api/v1/register_tool",
    "/api/v1/execute_function",
    "/api/v1/toolkit/inbox/respond",
]


def test_a_hostile_body_gets_an_answer_of_the_usual_shape(hostage: Gateway, hostile: Hostile) -> None:
    with httpx2.Client(base_url=hostage.base_url, timeout=PATIENCE, trust_env=False) as http:

        @hostile(BODIES)
        @given(
            body=MESSAGES,
            path=st.sampled_from(POSTS),
            accept=st.sampled_from(["*/*", "text/event-stream", "text/html"]),
            kind=st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "\x00"]),
        )
        def send(body: bytes, path: str, accept: str, kind: str) -> None:
            key = hostage.app_key if "llm-client" in path else hostage.toolkit_key
            headers = {"Authorization": f"ApiKey {key}", "Accept": accept, "Content-Type": kind.replace("\x00", "")}
            answer = http.post(path, content=body, headers=headers)

            assert answer.status_code < 500
            if answer.status_code >= 400:
                jsonschema.Draft202012Validator(SCHEMAS["Error"]).validate(answer.json())

        send()
    assert hostage.is_well()


@contextmanager
def app_socket(hostage: Gateway) -> Iterator[ClientConnection]:
    with connect(f"{hostage.sockets}/llm-client/{hostage.app_key}/", proxy=None, compression=None) as socket:
        socket.send(json.dumps({"type": "auth", "api_key": hostage.app_key}))
        assert json.loads(socket.recv(PATIENCE))["success"] is True
        yield socket


@contextmanager
def worker_socket(hostage: Gateway) -> Iterator[ClientConnection]:
    """Of a gateway that lets in five a second, so a hurried one is refused now and then."""
    headers = {"Authorization": f"ApiKey {hostage.toolkit_key}"}
    with ExitStack() as stack:
        while True:
            try:
                socket = stack.enter_context(
                    connect(
                        f"{hostage.sockets}/toolkit-client/", additional_headers=headers, proxy=None, compression=None
                    )
                )
                break
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    raise
        assert json.loads(socket.recv(PATIENCE))["message_type"] == "atp_client_connected"
        yield socket


def is_served(socket: ClientConnection) -> bool:
    """Whether a call over the socket is answered with what it was given."""
    payload = {"function": "find_contact", "parameters": {"name": "x"}}
    message = {"type": "task_request", "request_id": "mine", "toolkit_id": "crm", "payload": payload}
    socket.send(json.dumps(message))
    answer = json.loads(socket.recv(PATIENCE))
    return bool(answer["request_id"] == "mine" and answer["result"]["tool"]["result"] == {"name": "x"})


def _frame(first: int, payload: bytes) -> bytes:
    """With a mask of zeroes; the first byte and the length as they are, also where they may not be."""
    length = len(payload)
    if length < 126:
        head = bytes([first, 0x80 | length])
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, length)
    return head + b"\0\0\0\0" + payload


_TEXT = MESSAGES.map(lambda message: _frame(0x81, message))
FRAMES = st.one_of(
    _TEXT,
    _TEXT,
    _TEXT,
    st.builds(_frame, st.sampled_from([0x82, 0x89, 0x8A]), st.binary(max_size=125)),
    st.builds(  # one message in two frames
        lambda message, cut: (
            _frame(0x01, message[: cut % (len(message) + 1)]) + _frame(0x80, message[cut % (len(message) + 1) :])
        ),
        MESSAGES,
        st.integers(0, 1 << 20),
    ),
    st.builds(_frame, st.integers(0, 255), st.binary(max_size=300)),  # reserved bits, unknown opcodes, no beginning
    st.just(b"\x81\xff" + struct.pack("!Q", 1 << 62) + b"\0\0\0\0"),  # more than there is
    st.just(b"\x81\x02hi"),  # not masked
    st.binary(max_size=40),
    st.just(_frame(0x88, struct.pack("!H", 1000))),
)
CODES = {1000, 1002, 1003, 1005, 1007, 1008, 1009}
"""RFC 6455 section 7.4.1; 1005 is the client's word for a close without a code. Never 1011: that is a crash."""


def hurl(socket: ClientConnection, frames: list[bytes]) -> None:
    """Send the frames as they are, then go on as if nothing were until an answer comes, or the end."""
    try:
        socket.socket.sendall(b"".join(frames))
        socket.socket.sendall(_frame(0x88, struct.pack("!H", 1000)))
        while True:
            socket.recv(PATIENCE)
    except ConnectionClosed as closed:
        if closed.rcvd and closed.rcvd.code not in CODES:
            raise
    except OSError:
        pass  # it was closed while we were still sending


@pytest.mark.parametrize("half", ["app", "toolkit"])
def test_hostile_frames_end_one_connection_at_most(half: str, hostage: Gateway, hostile: Hostile) -> None:
    opened = app_socket if half == "app" else worker_socket
    before = hostage.memory()
    with app_socket(hostage) as other:  # that has to be served as if nothing were

        @hostile(SOCKETS[half])
        @given(frames=st.lists(FRAMES, min_size=1, max_size=6))
        @example(frames=[_frame(0x81, b"{}")] * 3_000)
        @example(frames=[_frame(0x81, b"\xe6"), _frame(0x88, b"")])
        @example(frames=[_frame(0x81, b"{}"), _frame(0x81, b"{}"), b"\x81\x02hi"])
        @example(frames=[_frame(0x01, b""), *[_frame(0x00, b"")] * 3_000])
        def attack(frames: list[bytes]) -> None:
            with opened(hostage) as socket:
                hurl(socket, frames)
            assert is_served(other)

        attack()
    assert hostage.is_well()
    assert hostage.memory() - before < MOST_GROWTH


@pytest.mark.parametrize(
    ("half", "frame", "code"),
    [
        ("app", _frame(0x81, b"\xe6"), 1007),
        ("toolkit", _frame(0x81, b"\xe6"), 1007),
        ("app", _frame(0x82, b"{}"), 1003),
        ("app", _frame(0x83, b""), 1002),
        ("toolkit", b"\x81\x02hi", 1002),
        ("toolkit", b"\x81\xff" + struct.pack("!Q", 5 << 20) + b"\0\0\0\0", 1009),
    ],
)
def test_a_frame_that_may_not_be_closes_with_the_code_for_it(
    half: str, frame: bytes, code: int, hostage: Gateway
) -> None:
    opened = app_socket if half == "app" else worker_socket
    with opened(hostage) as socket:
        socket.socket.sendall(frame)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE)

    assert closed.value.rcvd
    assert closed.value.rcvd.code == code


def test_each_message_on_an_apps_socket_is_answered_by_its_id(hostage: Gateway, hostile: Hostile) -> None:
    """A text frame of any kind gets one answer, and never somebody else's."""

    @hostile(MESSAGES_TO_APPS)
    @given(messages=st.lists(MESSAGES, min_size=1, max_size=5))
    def ask(messages: list[bytes]) -> None:
        texts = [message.decode("utf-8", "replace") for message in messages]
        with app_socket(hostage) as socket:
            for text in texts:
                socket.send(text)
            answers = [json.loads(socket.recv(PATIENCE)) for _ in texts]
            assert is_served(socket)
        for answer in answers:
            assert answer["type"] in ("error", "task_response", "toolkit_context")
            assert answer.get("code") != "internal_error", (answer, texts)

    ask()


def test_a_worker_cannot_answer_calls_that_are_not_its_own(hostage: Gateway, hostile: Hostile) -> None:
    """Neither over its socket nor by the inbox, whatever id it makes up."""
    with (
        httpx2.Client(base_url=hostage.base_url, timeout=PATIENCE, trust_env=False) as http,
        worker_socket(hostage) as worker,
    ):

        @hostile(FORGED)
        @given(request_id=st.one_of(st.text(), st.integers(), st.binary(max_size=16).map(bytes.hex)), result=_VALUES)
        def forge(request_id: Any, result: Any) -> None:
            worker.send(json.dumps({"type": "tool_response", "request_id": request_id, "result": result}))
            answer = http.post(
                "/api/v1/toolkit/inbox/respond",
                content=json.dumps({"request_id": request_id, "response": result}).encode(),
                headers={"Authorization": f"ApiKey {hostage.toolkit_key}"},
            )
            assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})

        forge()
        worker.ping().wait(PATIENCE)

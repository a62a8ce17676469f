"""What is read as a message, and what is refused because two readers might read two things."""

from __future__ import annotations

import json
import time

import pytest

from gateway.surfaces.mcp.strict_json import DEPTH, UnacceptableError, parse_message

PARSE_ERROR, INVALID_REQUEST = -32700, -32600


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE_ERROR),
        (b"not json", PARSE_ERROR),
        (b'{"id": NaN}', PARSE_ERROR),
        (b'{"id": -Infinity}', PARSE_ERROR),
        (b'{"id": 1e999}', PARSE_ERROR),
        (b'{"a": "\xff"}', PARSE_ERROR),
        ('{"a": 1}'.encode("utf-16"), PARSE_ERROR),
        (b'\xef\xbb\xbf{"a": 1}', PARSE_ERROR),
        (b'{"a": ' + b"9" * 5000 + b"}", PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b'"text"', INVALID_REQUEST),
        (b'{"method": "tools/list", "method": "tools/call"}', INVALID_REQUEST),
        (b'{"params": {"name": "safe", "name": "danger"}}', INVALID_REQUEST),
        (b'{"a": "\\ud800"}', INVALID_REQUEST),
        (b'{"\\uDFFF": 1}', INVALID_REQUEST),
        (b'{"a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}", INVALID_REQUEST),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_can_be_read_in_two_ways_is_refused(body: bytes, code: int) -> None:
    with pytest.raises(UnacceptableError) as refused:
        parse_message(body)
    assert refused.value.code == code


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(UnacceptableError) as refused:
        parse_message(b'{"secret-key": 1, "secret-key": 2}')
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "value",
    [
        {"a": "\U0001f600 é"},
        {"wide": [[]] * 1000},
        {"deep": {"a": [{"b": [[[]]]}]}},
        {"n": [0, -1.5, 1e300, 2**63]},
    ],
    ids=["pairs", "wide", "deep", "numbers"],
)
def test_ordinary_messages_are_read_as_they_are(value: dict[str, object]) -> None:
    assert parse_message(json.dumps(value).encode()) == value


def test_a_message_costs_in_proportion_to_its_length() -> None:
    def seconds(parts: int) -> float:
        body = b'{"a": [' + b"[]," * parts + b"0]}"
        started = time.process_time()
        parse_message(body)
        return time.process_time() - started

    assert seconds(800_000) < 60 * seconds(100_000)  # eight times the length: sixty-four where it grows with the square

"""JSON that means one thing to everybody who reads it.

Two parsers that disagree on one message are a way around every check, so what invites that is refused: a key twice,
NaN and infinities, halves of surrogate pairs, any encoding but UTF-8, nesting that exhausts a stack.

Source: RFC 8259 sections 4, 8.1 and 8.2; JSON-RPC 2.0 section 5.1 (error codes).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from mcp_types import INVALID_REQUEST, PARSE_ERROR

DEPTH = 64

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class UnacceptableError(ValueError):
    """The message is not one that is read. `code` is the JSON-RPC error code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def parse_message(body: bytes) -> dict[str, Any]:
    """One JSON-RPC message. Raises UnacceptableError with a sentence for whoever sent it."""
    try:
        value = _decoder.decode(body.decode("utf-8"))
    except UnacceptableError:
        raise
    except UnicodeDecodeError:
        raise UnacceptableError(PARSE_ERROR, "The message is not UTF-8.") from None
    except RecursionError:
        raise UnacceptableError(PARSE_ERROR, _TOO_DEEP) from None
    except ValueError:
        raise UnacceptableError(PARSE_ERROR, "The message is not JSON.") from None
    if not isinstance(value, dict):
        raise UnacceptableError(INVALID_REQUEST, "A message is one JSON object. Batches are not supported.")
    if body.count(b"{") + body.count(b"[") > DEPTH and _depth(value) > DEPTH:
        raise UnacceptableError(INVALID_REQUEST, _TOO_DEEP)
    if _SURROGATE.search(body):
        _refuse_lone_surrogates(value)
    return value


_TOO_DEEP = f"The message is nested more than {DEPTH} levels deep."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnacceptableError(INVALID_REQUEST, "The message has an object with the same key twice.")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse_constant(text)
    return number


def _refuse_constant(_: str) -> NoReturn:
    raise UnacceptableError(PARSE_ERROR, "The message has a number that JSON cannot express.")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse_constant)


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [child for node in level for child in _children(node)]
    return deepest


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return [child for child in node.values() if isinstance(child, dict | list)]
    return [child for child in node if isinstance(child, dict | list)] if isinstance(node, list) else []


def _refuse_lone_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise UnacceptableError(INVALID_REQUEST, "The message has half of a surrogate pair.") from None

"""From a Python value to the JSON a tool's result is made of, or a sentence that says where it is not JSON.

The fast way is one pass of the standard encoder; only when that fails, or the value is too large, does a careful walk
find out where. What JSON lacks but has a usual form in it is converted: dataclasses, pydantic models, dates, decimals
and UUIDs (as text), enums, sets. What has none is refused rather than guessed: bytes, NaN, generators, objects.

Above: `gateway.toolkit.result`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import deque
from collections.abc import Callable, KeysView, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from gateway.errors import InvalidResultError

_DEEPEST = 100
_MOST_STEPS = 100_000  # of the walk that looks for a fault
HALF_A_CHARACTER = "holds half a character (a lone surrogate), which is not text. Decode it anew"
_PLAIN = frozenset({int, float, bool, type(None)})

_FAILURES = (TypeError, ValueError, RuntimeError, OverflowError, AttributeError)
"""What encoding a value that is no JSON may raise. RecursionError is a RuntimeError, and so is a dict that another
thread changes meanwhile."""


def encode(value: Any, limit: int) -> tuple[str, Any]:
    """The value as compact JSON, and what that JSON reads as: the value without anything of Python's.

    InvalidResultError says what is wrong with the value, and where. `limit` is in bytes of UTF-8; a value that is much
    too large is refused before its JSON exists.
    """
    is_plain = _survey(value, limit)
    try:
        text = compact(value)
        size = len(text) if text.isascii() else len(text.encode())
    except _FAILURES:
        raise InvalidResultError(_fault(value)) from None
    if size > limit:
        raise too_large(limit)
    read = json.loads(text)
    if not is_plain:
        _survey(read, limit)
    return text, read


def too_large(limit: int) -> InvalidResultError:
    return InvalidResultError(
        f"The tool's result is larger than {limit} bytes, the most that can be sent. Ask it for less, or for a page."
    )


def _survey(value: Any, limit: int) -> bool:
    """Whether a value holds nothing but JSON's own types. InvalidResultError where it is sure to be too large or deep.

    Counts what is repeated as often as it is there, as its JSON would, and stops at the limit.
    """
    weight, is_plain, level = 0, True, [value]
    for _ in range(_DEEPEST):
        nested: list[Any] = []
        for part in level:
            kind = type(part)
            if kind is str:
                weight += len(part)
            elif kind in _PLAIN:
                weight += 1
            elif kind is dict or kind is list or kind is tuple:
                weight += len(part)
                nested.append(part)
            else:
                is_plain = False
            if weight > limit:
                raise too_large(limit)
        if not nested:
            return is_plain
        level = []
        for part in nested:
            level += part
            if type(part) is dict:
                level += part.values()
    raise InvalidResultError(_fault(value))


def _default(value: Any) -> Any:
    """One step from what the encoder does not know towards JSON. TypeError where there is none."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(dump := getattr(type(value), "model_dump", None)):
        return dump(value, mode="json")
    for kinds, convert in _FORMS:
        if isinstance(value, kinds):
            return convert(value)
    raise TypeError(type(value).__name__)


def _ordered(values: Any) -> list[Any]:
    """A set's members: sorted where they can be, so that equal results look equal."""
    try:
        return sorted(values)
    except TypeError:
        return list(values)


_FORMS: list[tuple[type | tuple[type, ...], Callable[[Any], Any]]] = [
    (Enum, lambda value: value.value),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    ((Decimal, UUID, PurePath), str),
    (Mapping, dict),
    ((AbstractSet, KeysView), _ordered),
    ((deque, ValuesView), list),
]

compact: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default
).encode
"""JSON without spaces. Raises what `json` does: `encode` is for values that come from a tool."""


def _fault(value: Any) -> str:
    """Walk a value that did not encode to its first fault, and say what and where that is."""
    try:
        _walk(value, "the result", [], [_MOST_STEPS])
    except _Fault as fault:
        return f"The tool's result cannot be sent: {fault}."
    except _FAILURES:
        pass
    return "The tool's result cannot be sent. Return plain values: dict, list, str, int, float, bool or None."


class _Fault(Exception):  # noqa: N818 - carries a sentence up a walk, and never leaves this file
    pass


def _walk(value: Any, where: str, above: list[int], budget: list[int]) -> None:
    budget[0] -= 1
    if budget[0] < 0:
        return
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, int | float):
        _check_number(value, where)
    elif isinstance(value, bytes | bytearray | memoryview):
        raise _Fault(f"{where} is bytes. Decode it to text, or return an Image, Audio or EmbeddedResource")
    else:
        if id(value) in above:
            raise _Fault(f"{where} contains itself")
        if len(above) >= _DEEPEST:
            raise _Fault(f"it is nested more than {_DEEPEST} deep")
        for part, name in _parts(value, where):
            _walk(part, name, [*above, id(value)], budget)


def _parts(value: Any, where: str) -> list[tuple[Any, str]]:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int | float | bool | None):
                raise _Fault(f"{where} has a key that is a {type(key).__name__}. Make its keys text")
            if isinstance(key, str):
                _check_text(key, f"a key of {where}")
        return [(part, f"{where}.{str(key)[:80]}") for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(part, f"{where}[{number}]") for number, part in enumerate(value)]
    try:
        return [(_default(value), where)]
    except _FAILURES:
        kind = type(value).__name__
        raise _Fault(f"{where} is a {kind}, which JSON does not have. Return plain values made from it") from None


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Fault(f"{where} {HALF_A_CHARACTER}") from None


def _check_number(number: float, where: str) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise _Fault(f"{where} is {number!r}, which JSON does not have. Return None instead")
    try:
        str(number)
    except ValueError:
        raise _Fault(f"{where} is an integer of too many digits. Return it as text") from None

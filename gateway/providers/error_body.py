"""Finds an API's error shapes in what a tool returned or raised.

The shapes are the catalogue's (`Api.expired`, `missing_scope`, `scopes`). What is searched may be the body itself, the
same as JSON text, or a small object that a tool put it into.

Below: `provider`. Above: the rooms that judge a tool's answer.
Sources: RFC 6750 section 3.1; the rest is each vendor's, named in its file.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.providers.provider import Match

EXPIRED = (Match("error", ("invalid_token",)), Match("error.code", ("invalid_token",)))
"""What RFC 6750 says of a token that has ended, whoever the provider is. In a body it is not binding, and common."""

UNAUTHORIZED = (
    *(Match(path, ("401",)) for path in ("status", "status_code", "statusCode", "code", "http_status")),
    *(Match(path, ("401",)) for path in ("error.status", "error.code", "error", "errors[].status", "errors[].code")),
    *(
        Match(path, ("unauthorized", "Unauthorized", "UNAUTHORIZED", "not_authenticated", "unauthenticated"))
        for path in ("error", "message", "code", "title", "error.code", "error.message", "errors[].code")
    ),
)
"""What may be the body of a 401, where a 401 has been seen."""

_LONGEST_TEXT = 64 * 1024
_SHORT = 4 * 1024
_FEW = 16
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")  # RFC 6749 section 3.3


def has(matches: Iterable[Match], body: Any) -> bool:
    """Whether the body has one of the shapes."""
    for match in matches:
        if isinstance(body, dict) and _keys(match.path)[0] not in body:
            continue  # as nearly every good result
        if any(isinstance(value, str | int) and str(value) in match.values for value in at(match.path, body)):
            return True
    return False


def has_within(matches: Iterable[Match], values: Iterable[Any]) -> bool:
    """Whether one of the values is such a body, is one in JSON, or holds one."""
    matches = tuple(matches)
    return any(has(matches, body) for value in values for body in bodies(value))


def named_scopes(path: str | None, values: Iterable[Any]) -> frozenset[str]:
    """The scopes that stand at `path`, as a list or as text."""
    if path is None:
        return frozenset()
    found = [each for value in values for body in bodies(value) for each in at(path, body)]
    texts = [text for each in found for text in (each if isinstance(each, list) else [each]) if isinstance(text, str)]
    return scopes_of(" ".join(texts))


def scopes_of(text: str) -> frozenset[str]:
    """Scopes separated by spaces or commas; what cannot be one is left out."""
    return frozenset(list(filter(_SCOPE.fullmatch, re.split(r"[\s,]+", text)))[:_FEW])


def at(path: str, body: Any) -> list[Any]:
    """The values at a path such as `errors[].context.scope`: those of the first few members of a list."""
    found = [body]
    for key in _keys(path):
        if key == "[]":
            found = [part for value in found if isinstance(value, list) for part in value[:_FEW]]
        else:
            found = [value[key] for value in found if isinstance(value, dict) and key in value]
    return found


def short_body(value: Any) -> Any:
    """The value as it may be a body: JSON text is read where it is no longer than error bodies are."""
    if not isinstance(value, str):
        return value
    return _parsed(value) if len(value) <= _SHORT and value.lstrip()[:1] in ("{", "[") else None


def bodies(value: Any) -> Iterator[Any]:
    """The value as JSON, and the objects in it that may be a body that the tool put there."""
    body = _parsed(value)
    if isinstance(body, dict | list):
        yield body
    if isinstance(body, dict) and len(body) <= _FEW:
        for part in body.values():
            inner = _parsed(part)
            if isinstance(inner, dict | list):
                yield inner


def _parsed(value: Any) -> Any:
    """JSON out of text: from its first bracket on, since errors often put words before it."""
    if isinstance(value, bytes):
        value = value[:_LONGEST_TEXT].decode("utf-8", "replace")
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return value
    start = re.search(r"[\[{]", value)
    if start is None:
        return None
    try:
        return json.JSONDecoder().raw_decode(value, start.start())[0]
    except (ValueError, RecursionError):
        return None


@functools.lru_cache(maxsize=1024)
def _keys(path: str) -> tuple[str, ...]:
    return tuple(key for part in path.split(".") for key in re.findall(r"\[\]|[^\[\]]+", part))

"""How what a tool raised travels to the gateway, and what is raised there in its place.

The gateway's own errors keep their kind and their text. Anything else is a bug in the tool: it becomes a
`RaisedElsewhere`, which carries the text, what could be read of HTTP in it, and as a note the traceback, for the log.
Below: toolkit. Used at both ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.toolkit.http_error import HttpError, RaisedElsewhere, read_http_error
from gateway.toolkit.json_value import compact

_LONGEST_TRACE = 16 * 1024
_LONGEST_BODY = 64 * 1024  # what is longer is no error's body
_ERRORS = "gateway.errors"


def error_to_wire(error: BaseException) -> dict[str, Any]:
    http = read_http_error(error)
    kind, attributes = None, {}
    trace = ""
    if isinstance(error, GatewayError):
        kind = next(each.code for each in _ancestry(error))
        attributes = {name: value for name, value in vars(error).items() if isinstance(value, str)}
    else:
        trace = logging.Formatter().formatException((type(error), error, error.__traceback__))[-_LONGEST_TRACE:]
    return {
        "kind": kind,
        "text": _text(error),
        "attributes": attributes,
        "trace": trace,
        "status": http.status,
        "bodies": [told for body in http.bodies if (told := _body(body)) is not None],
        "challenges": [challenge[:_LONGEST_BODY] for challenge in http.challenges],
    }


def error_from_wire(told: Mapping[str, Any]) -> Exception:
    """The exception to raise. An unknown kind, as of a newer release, is a plain GatewayError."""
    elsewhere = RaisedElsewhere(
        told["text"], HttpError(told["status"], tuple(told["bodies"]), tuple(told["challenges"]))
    )
    if told["kind"] is None:
        elsewhere.add_note(told["trace"])
        return elsewhere
    kind = _kinds().get(told["kind"], GatewayError)
    error = kind.__new__(kind, told["text"])  # some take other arguments than their text, and write it themselves
    vars(error).update(told["attributes"])
    error.__cause__ = elsewhere
    return error


def _kinds() -> dict[str, type[GatewayError]]:
    kinds: list[type[GatewayError]] = [GatewayError, *_below(GatewayError)]
    return {kind.code: kind for kind in kinds if kind.__module__ == _ERRORS}


def _ancestry(error: GatewayError) -> Iterator[type[GatewayError]]:
    """The error's kinds that both ends know, the closest first: authors make their own of `ToolError`."""
    return (each for each in type(error).__mro__ if issubclass(each, GatewayError) and each.__module__ == _ERRORS)


def _below(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST_BODY]
    except Exception:  # noqa: BLE001 - other people's exceptions may fail at this, too
        return type(error).__name__


def _body(body: Any) -> Any:
    if isinstance(body, bytes):
        return body[:_LONGEST_BODY].decode("utf-8", "replace")
    try:
        text = body if isinstance(body, str) else compact(body)
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
        return None
    return body if len(text) <= _LONGEST_BODY else None

"""What an exception out of a tool says about HTTP: the status, the body, the challenge. Nothing is imported for it.

Known by their shape are the exceptions of requests, httpx, httpx2, aiohttp, urllib3 and urllib, and of the vendors'
own SDKs (googleapiclient, simple_salesforce, hubspot, msgraph, stripe …): a number under one of a few names, on the
exception itself or on its response. An exception that was raised because of another is searched along with it.

Above: the rooms that judge. What the bodies mean stands in `gateway.providers.error_body`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_STATUS = ("status_code", "status", "code", "http_status", "response_status_code")
_BODY = ("body", "content", "data", "json_body")
_ERRORS = range(400, 600)
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class HttpError:
    """`bodies` are what may be the answer's body, in whatever form the library keeps it, and the exception's text."""

    status: int | None = None
    bodies: tuple[Any, ...] = ()
    challenges: tuple[str, ...] = field(default=())


class RaisedElsewhere(Exception):  # noqa: N818 - stands for another exception
    """Stands for an exception that was raised in another process, with what was read of it there."""

    def __init__(self, text: str, http: HttpError) -> None:
        super().__init__(text)
        self.http = http


def read_http_error(error: BaseException) -> HttpError:
    """All that the exception, or one that it came from, tells. Never raises; reads nothing from the network."""
    status: int | None = None
    bodies: list[Any] = []
    challenges: list[str] = []
    for each in _chain(error):
        if isinstance(each, RaisedElsewhere):
            status = status or each.http.status
            bodies += each.http.bodies
            challenges += each.http.challenges
            continue
        bodies.append(_attempt(lambda: str(each)))  # noqa: B023 - called at once
        for holder in (each, _get(each, "response"), _get(each, "resp")):
            if holder is not None:
                status = status or _status(holder)
                bodies += _bodies(holder)
                challenges += _challenges(holder)
    return HttpError(status, tuple(body for body in bodies if body), tuple(challenges))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what caused it, and what it was raised in the middle of; members of groups too."""
    waiting, met = [error], set[int]()
    while waiting and len(met) < _DEPTH:
        each = waiting.pop(0)
        if id(each) in met:
            continue
        met.add(id(each))
        yield each
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        before = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        waiting += [*inner, *([before] if before is not None else [])]


def _status(holder: Any) -> int | None:
    for name in _STATUS:
        value = _get(holder, name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value[:4])
        if isinstance(value, int) and value in _ERRORS:
            return int(value)
    return None


def _bodies(holder: Any) -> list[Any]:
    """Only what has been read already: requests and httpx keep that in `_content`, and would go and read it else."""
    kept = _get(holder, "__dict__")
    if isinstance(kept, Mapping) and isinstance(content := kept.get("_content"), bytes):
        return [content]
    if "stream" in dir(type(holder)) or "iter_content" in dir(type(holder)):
        return []
    return [body for name in _BODY if isinstance(body := _get(holder, name), str | bytes | dict | list)]


def _challenges(holder: Any) -> list[str]:
    headers = _get(holder, "headers")
    found = _attempt(lambda: headers.get("WWW-Authenticate") or headers.get("www-authenticate")) if headers else None
    return [found] if isinstance(found, str) else []


def _get(holder: Any, name: str) -> Any:
    return _attempt(lambda: getattr(holder, name, None))


def _attempt(read: Any) -> Any:
    try:
        return read()
    except Exception:  # noqa: BLE001 - other people's properties may raise whatever they like
        return None

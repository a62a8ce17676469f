"""Was the token refused? A verdict on one run of a tool, from what it returned or raised and what was seen of its HTTP.

Seen requests weigh most. A 401 that is not the injected token's is nobody's business here, and neither is one that the
tool got over: a request with the token that went well afterwards, or a good result for which other requests with it
had been enough. Where no request was seen (a library that is not watched, a tool elsewhere) there are only the
exception and the shapes of error bodies that the catalogue knows.

Pure. Below: toolkit, providers. Above: `gateway.second_try`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gateway.errors import GatewayError, ToolError, ToolTimeoutError
from gateway.providers.error_body import (
    EXPIRED,
    UNAUTHORIZED,
    has,
    has_within,
    named_scopes,
    scopes_of,
    short_body,
)
from gateway.providers.provider import Api
from gateway.toolkit.content import Text, ToolResult
from gateway.toolkit.exchange import Exchange, Watch, parameters
from gateway.toolkit.http_error import HttpError, read_http_error

_UNAUTHORIZED, _FORBIDDEN = 401, 403


class Lacking(Enum):
    """What a token is refused for."""

    LIFE = "it has ended"
    SCOPE = "it may not"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`scopes` are those that the provider says are missing. `seen`: the watch saw the request that was refused."""

    lacking: Lacking
    seen: bool
    scopes: frozenset[str] = frozenset()


def find_refusal(value: Any, error: BaseException | None, watch: Watch, api: Api) -> Refusal | None:
    """The verdict, None where the token is not to blame. `error` is what the tool raised, if it did not return."""
    if isinstance(error, GatewayError) and not isinstance(error, ToolError | ToolTimeoutError):
        return None  # ours, and not about a provider: a question that cannot be asked, a person who said no
    last = watch.last_with_token
    if last is not None and last.status in (_UNAUTHORIZED, _FORBIDDEN):
        return _seen(last, value, error, watch, api)
    if error is None and not _is_small_error(value, api):
        return None
    if watch.last is not None and watch.last is not last and (watch.last.status or 0) >= 400:
        return None  # somebody else's refusal: it was not shown the token
    return _told(value, error, api, seen=last is not None)


def _seen(last: Exchange, value: Any, error: BaseException | None, watch: Watch, api: Api) -> Refusal | None:
    said = read_http_error(error) if error else HttpError()
    values = [*_values(value), *said.bodies]
    expired, scope = has_within((*EXPIRED, *api.expired), values), has_within(api.missing_scope, values)
    if not (expired or scope or said.status == last.status or _decided(value, error, watch)):
        return None
    if scope or last.challenge.get("error") == "insufficient_scope":
        return Refusal(Lacking.SCOPE, True, _scopes(api, values, last.challenge.get("scope", "")))
    return Refusal(Lacking.LIFE, True) if expired or last.status == _UNAUTHORIZED else None


def _decided(value: Any, error: BaseException | None, watch: Watch) -> bool:
    """Whether the refusal was the end of it: nothing came after, and it shows, or no request had gone well at all."""
    if watch.last is not watch.last_with_token:
        return False
    return error is not None or not watch.token_worked or has_within(UNAUTHORIZED, _values(value))


def _told(value: Any, error: BaseException | None, api: Api, *, seen: bool) -> Refusal | None:
    """By the exception and the body alone."""
    said = read_http_error(error) if error else HttpError()
    values = [*_values(value), *said.bodies]
    challenge = parameters(said.challenges)
    if has_within(api.missing_scope, values) or challenge.get("error") == "insufficient_scope":
        return Refusal(Lacking.SCOPE, seen, _scopes(api, values, challenge.get("scope", "")))
    if said.status == _UNAUTHORIZED or has_within((*EXPIRED, *api.expired), values):
        return Refusal(Lacking.LIFE, seen)
    return None


def _is_small_error(value: Any, api: Api) -> bool:
    """Whether a result is an error body, looked at as cheaply as every good result has to be."""
    for each in (value,) if type(value) in (dict, list, str) else _values(value):
        body = short_body(each)
        if isinstance(body, dict | list) and (
            has(api.expired, body) or has(api.missing_scope, body) or has(EXPIRED, body)
        ):
            return True
    return False


def _values(value: Any) -> Iterator[Any]:
    """What a tool returned, out of the gateway's own wrapping."""
    if isinstance(value, ToolResult):
        texts = [part.text for part in value.content if isinstance(part, Text)]
        yield from [value.structured] if value.has_structured else texts
    elif isinstance(value, Text):
        yield value.text
    elif value is not None:
        yield value


def _scopes(api: Api, values: list[Any], header: str) -> frozenset[str]:
    return named_scopes(api.scopes, values) or scopes_of(header)

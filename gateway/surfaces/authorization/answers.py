"""Bodies in, answers out, for programs: forms and JSON of a bounded size, errors as OAuth writes them.

Nothing here is ever to be cached. Below: starlette. Above: the endpoints of this surface.
Source: RFC 6749 sections 5.1 and 5.2, RFC 7591 section 3.2.2, RFC 9110 section 15.5.2.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.authorization.parameters import Parameters
from gateway.authorization.registration import TooManyError
from gateway.errors import AuthorizationError, GatewayError
from gateway.wire import wire

log = logging.getLogger(__name__)

BODY_LIMIT = 64 << 10
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_FORM = "application/x-www-form-urlencoded"


def told(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Wraps an endpoint so that what it refuses becomes OAuth's JSON. Anything else is a bug, and the edge's."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except AuthorizationError as error:
            return _refusal(error)
        except GatewayError as error:
            log.warning("a client could not be served: %s", error)
            status = wire(error).http
            word = "temporarily_unavailable" if status == 503 else "server_error"
            return _refusal(
                AuthorizationError(word, "The gateway has trouble of its own. Try again in a moment.", status)
            )

    return answer


async def form_of(request: Request) -> Parameters:
    """The parameters in a form's body. AuthorizationError where it is none, or one stands twice."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise AuthorizationError("invalid_request", f"The body has to be {_FORM}.")
    try:
        parameters = Parameters((await _body(request)).decode("ascii"))
    except UnicodeDecodeError:
        raise AuthorizationError("invalid_request", "The request's parameters cannot be read.") from None
    parameters.require_each_once()
    return parameters


async def object_of(request: Request) -> dict[str, Any]:
    """The JSON object that a body is. AuthorizationError where it is none."""
    try:
        found = json.loads(await _body(request))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AuthorizationError("invalid_client_metadata", "The body has to be a JSON object.")
    return found


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise AuthorizationError("invalid_request", f"The body is longer than {BODY_LIMIT} bytes.", 413)
    return bytes(body)


def _refusal(error: AuthorizationError) -> Response:
    headers = dict(NO_STORE)
    if error.status == 401:
        headers["www-authenticate"] = 'Basic realm="ATP Gateway", charset="UTF-8"'
    if isinstance(error, TooManyError):
        headers["retry-after"] = str(error.seconds)
    body = {"error": error.error, "error_description": _describable(error.message)}
    return JSONResponse(body, error.status, headers)


def _describable(text: str) -> str:
    """What RFC 6749 lets stand in error_description."""
    return "".join("'" if c in '"\\' else c if " " <= c <= "~" else "?" for c in text)

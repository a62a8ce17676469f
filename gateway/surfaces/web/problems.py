"""When a page cannot do what was asked: what happened, and what to do next.

One table from error kind to words. Unknown, expired, used and foreign flows come as one kind and look the same.
Below: `gateway.errors`, `refusal`. Above: the pages; the app, which installs `EXCEPTION_HANDLERS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import (
    FlowError,
    FlowNotFoundError,
    GatewayError,
    ProviderError,
    ProviderNotConfiguredError,
    ProviderUnavailableError,
    WrongBrowserError,
    wire,
)
from gateway.surfaces.refusal import METHOD, NOT_FOUND, Refusal, media_type, wants_page
from gateway.surfaces.web.plain_text import visible

FLOW_GONE = Refusal(
    wire(FlowNotFoundError()).http,
    FlowNotFoundError.code,
    "This link does not work (any more)",
    "It may have expired, been used already, or belong to somebody else. "
    "Go back to where you found it and ask again: you will get a fresh one.",
)
WRONG_BROWSER = Refusal(
    wire(WrongBrowserError()).http,
    WrongBrowserError.code,
    "Another browser began this",
    "So nothing was connected. Go back to where you found the link and ask again. "
    "Then press Connect and agree at the provider in one and the same browser.",
)
FORM_EXPIRED = Refusal(
    403,
    "form_refused",
    "Please press the button once more",
    "The form came from another page or was open too long, so nothing was done. "
    "Go back, reload the page and try again.",
)
_UNREADABLE = Refusal(400, "bad_request", "Not understood", "The request could not be read. Go back and try again.")
_TITLES: dict[type[GatewayError], str] = {
    ProviderNotConfiguredError: "This provider is not set up here",
    ProviderUnavailableError: "The provider does not answer",
    ProviderError: "The provider said something unexpected",
    FlowError: "The account was not connected",
}


def problem(error: GatewayError) -> Refusal:
    """The page for an error that a person can do something about."""
    if isinstance(error, FlowNotFoundError):
        return FLOW_GONE
    if isinstance(error, WrongBrowserError):
        return WRONG_BROWSER
    title = next(_TITLES[kind] for kind in type(error).__mro__ if kind in _TITLES)
    return Refusal(wire(error).http, error.code, title, visible(error.message))


def refuse(request: Request, refusal: Refusal) -> Response:
    """The refusal as a response: a page for a browser, JSON for anything else."""
    as_page = wants_page(request.headers)
    body = refusal.body(as_page=as_page, root=request.scope.get("root_path", ""))
    return Response(body, refusal.status, refusal.headers, media_type(as_page=as_page))


def explained(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Wraps a page so that flow and provider errors become pages. Anything else is a bug, and the edge's."""

    async def page(request: Request) -> Response:
        try:
            return await handler(request)
        except (FlowError, ProviderError) as error:
            return refuse(request, problem(error))

    return page


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    response = refuse(request, {404: NOT_FOUND, 405: METHOD}.get(status, _UNREADABLE))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


async def _leave_to_edge(_request: Request, error: Exception) -> NoReturn:
    raise error


EXCEPTION_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _http_error,
    Exception: _leave_to_edge,
}
"""For Starlette's `exception_handlers`: 404 and 405 explain themselves; a bug passes on to the edge, which logs it once
and answers with a reference."""

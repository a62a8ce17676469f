"""When a page cannot do what was asked: what happened, and what to do next.

One table from error kind to words. Unknown, expired, used and foreign flows come as one kind and look the same.
Below: `gateway.errors`, `gateway.surfaces.refusal`. Above: the pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

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
)
from gateway.surfaces.browser.plain_text import visible
from gateway.surfaces.refusal import Refusal
from gateway.wire import wire

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


def explained(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Wraps a page so that flow and provider errors become pages. Anything else is a bug, and the edge's."""

    async def page(request: Request) -> Response:
        try:
            return await handler(request)
        except (FlowError, ProviderError) as error:
            return problem(error).answer(request)

    return page

"""Routes -> the application that the edge stands in front of.

Routes that do not match explain themselves (404, 405), as a page or as JSON. A bug in a route passes on to the edge,
which logs it once and answers with a reference. A path is what it says: `/connections/` is not `/connections`.

A route that is an ASGI application, takes every method and has no parameters is called without the router, whose search
and wrappers would cost a tool call more than all that the edge does.

Below: `refusal`. Above: the app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.surfaces.refusal import METHOD, NOT_FOUND, UNREADABLE

_REFUSALS = {404: NOT_FOUND, 405: METHOD}


def application(
    routes: Sequence[BaseRoute], lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None
) -> ASGIApp:
    """The routes in one application; `lifespan` runs round its life."""
    handlers = {HTTPException: _unmatched, Exception: _leave_to_the_edge}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
    app.router.redirect_slashes = False
    plain = (route for route in routes if isinstance(route, Route) and not (route.methods or route.param_convertors))
    return _Direct({route.path: route.app for route in plain}, app)


class _Direct:
    """ASGI: applications by path; everything else goes to `rest`."""

    def __init__(self, apps: Mapping[str, ASGIApp], rest: ASGIApp) -> None:
        self._apps = apps
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = scope["type"] == "http" and not scope.get("root_path")
        app = self._apps.get(scope["path"], self._rest) if direct else self._rest
        await app(scope, receive, send)


async def _unmatched(request: Request, error: HTTPException) -> Response:
    response = _REFUSALS.get(error.status_code, UNREADABLE).answer(request)
    response.headers.update(error.headers or {})
    return response


async def _leave_to_the_edge(_request: Request, error: Exception) -> NoReturn:
    raise error

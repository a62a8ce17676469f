"""Routes -> the application that the edge stands in front of.

Routes that do not match explain themselves (404, 405), as a page or as JSON. A bug in a route passes on to the edge,
which logs it once and answers with a reference. A path is what it says: `/connections/` is not `/connections`.

Below: `refusal`. Above: the app.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.surfaces.refusal import METHOD, NOT_FOUND, UNREADABLE

_REFUSALS = {404: NOT_FOUND, 405: METHOD}


def application(
    routes: Sequence[BaseRoute], lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None
) -> Starlette:
    """The routes in one application; `lifespan` runs round its life."""
    handlers = {HTTPException: _unmatched, Exception: _leave_to_the_edge}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
    app.router.redirect_slashes = False
    return app


async def _unmatched(request: Request, error: HTTPException) -> Response:
    response = _REFUSALS.get(error.status_code, UNREADABLE).answer(request)
    response.headers.update(error.headers or {})
    return response


async def _leave_to_the_edge(_request: Request, error: Exception) -> NoReturn:
    raise error

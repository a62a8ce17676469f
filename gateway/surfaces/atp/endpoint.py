"""One endpoint of the app's half: asks for the app's key, and turns what went wrong into an answer.

An app's key speaks for all its users, so it belongs in a back end. A request that carries `Origin` comes from a
browser's script and is refused. Answers are never cached. Below: `keys`. Above: `app_routes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import GatewayError, KeyRefusedError
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.keys import AppKeys
from gateway.surfaces.atp.requests import RefusalError
from gateway.wire import wire

Serve = Callable[[App, Request], Awaitable[Response]]
"""What an endpoint is there for: gets the app and its request."""


class Endpoint:
    """`answer` is what a route calls."""

    def __init__(self, keys: AppKeys, serve: Serve) -> None:
        self._keys = keys
        self._serve = serve

    async def answer(self, request: Request) -> Response:
        try:
            return await self._serve(await self._app(request), request)
        except RefusalError as refusal:
            return refused(refusal.status, refusal.code, str(refusal))
        except GatewayError as error:
            return refused(wire(error).http, error.code, error.message)

    async def _app(self, request: Request) -> App:
        if "origin" in request.headers:
            raise RefusalError(
                403, "browser_refused", "An app's key must not be used from a browser. Call from your back end."
            )
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "apikey" or not key.strip():
            raise RefusalError(
                401, KeyRefusedError.code, "The app's key is missing. Send it as `Authorization: ApiKey <key>`."
            )
        return await self._keys.app(key.strip())


def route(method: str | None, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    """A route for this method alone; None: for every one.

    Starlette lets HEAD run what GET does, which here may delete a webhook, or take a call that nobody then gets.
    """
    found = Route(path, endpoint)
    found.methods = {method} if method else set()
    return found


def json_answer(body: Any) -> Response:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def refused(status: int, code: str, message: str) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "ApiKey"
    return JSONResponse({"status": "error", "code": code, "message": message}, status, headers)

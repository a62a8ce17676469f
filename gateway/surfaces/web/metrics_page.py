"""`GET /metrics`, for a program that watches the gateway. Nobody's name is in it.

On the gateway's own machine everybody may read it; elsewhere it takes an administrator's key, in the way that
Prometheus sends one: `Authorization: Bearer …`. Above: the app, which wires it.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.keys import Keys
from gateway.errors import GatewayError
from gateway.key_types import KeyKind
from gateway.metrics import MEDIA_TYPE, Metrics
from gateway.wire import wire

PATH = "/metrics"
_NO_STORE = {"cache-control": "no-store"}


class MetricsPage:
    """`keys`: None where everybody may read."""

    def __init__(self, metrics: Metrics, keys: Keys | None) -> None:
        self._metrics = metrics
        self._keys = keys

    def routes(self) -> list[Route]:
        return [Route(PATH, self._answer, methods=["GET"])]

    async def _answer(self, request: Request) -> Response:
        refusal = await self._refusal(request)
        if refusal is None:
            text = await asyncio.to_thread(self._metrics.text)
            return Response(text, media_type=MEDIA_TYPE, headers=_NO_STORE)
        told = {"status": "error", "code": refusal.code, "message": refusal.message}
        status = wire(refusal).http
        more = {"www-authenticate": "Bearer"} if status == 401 else {}
        return JSONResponse(told, status, {**_NO_STORE, **more})

    async def _refusal(self, request: Request) -> GatewayError | None:
        if self._keys is None:
            return None
        _, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            found = await self._keys.find(text.strip(), KeyKind.ADMIN)
        except GatewayError as error:
            return error
        return found if isinstance(found, GatewayError) else None

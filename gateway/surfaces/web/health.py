"""Is it alive, is it ready? For whoever watches the process: says "ok" or not, and nothing about the inside.

`/healthz` also answers another gateway process's challenge: see `gateway.surfaces.instance`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.surfaces.instance import Instance

log = logging.getLogger(__name__)

_NO_STORE = {"cache-control": "no-store"}
_LONGEST_CHALLENGE = 64


class Health:
    """`is_ready` says whether calls can be served now: the store answers, the vault opens. If it fails, they cannot."""

    def __init__(self, is_ready: Callable[[], Awaitable[bool]], instance: Instance | None = None) -> None:
        self._is_ready = is_ready
        self._instance = instance

    def routes(self) -> list[Route]:
        return [Route("/healthz", self._alive, methods=["GET"]), Route("/readyz", self._ready, methods=["GET"])]

    async def _alive(self, request: Request) -> Response:
        answer = {"status": "ok"}
        challenge = request.query_params.get("challenge", "")
        if self._instance is not None and 0 < len(challenge) <= _LONGEST_CHALLENGE:
            answer["proof"] = self._instance.proof(request.headers["host"], challenge)
        return JSONResponse(answer, headers=_NO_STORE)

    async def _ready(self, request: Request) -> Response:
        try:
            ready = await self._is_ready()
        except Exception:  # whatever keeps the check from its end keeps calls from theirs
            log.exception("the gateway is not ready")
            ready = False
        return JSONResponse(
            {"status": "ok" if ready else "not ready"}, status_code=200 if ready else 503, headers=_NO_STORE
        )

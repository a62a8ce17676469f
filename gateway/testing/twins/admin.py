"""The control of a twin from other processes: its clock, log and script over HTTP, on loopback.

    GET  /twin/clock                      {"now": "2026-…"}
    POST /twin/clock    {"advance": 60}   moves it by so many seconds
    GET  /twin/log?after=7                {"hits": [...]}: what came after the seventh
    GET  /twin/script                     {"steps": [...]}: what is left of it
    POST /twin/script   {"steps": [...]}  adds to it
    DELETE /twin/script                   empties it
    GET  /twin/faults                     every fault by name, with what it does
    POST /twin/behaviour {"rotates": true, "reuse_window": 30}   durations in seconds
    POST /twin/people/alice/revoke        ends her grants, as on the provider's page of connected apps
    POST /twin/people/alice/revoke-access ends her access tokens before their time

There is no proof of who asks: only this machine may. Below: `authorization_server`. Above: `twin`, `remote`.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.providers.provider import is_loopback
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.behaviour import Behaviour
from gateway.testing.clocks import Movable

_DURATIONS = {field.name for field in dataclasses.fields(Behaviour) if "timedelta" in str(field.type)}
_NAMES = {field.name for field in dataclasses.fields(Behaviour)}


class Admin:
    """The endpoints. An unknown name is answered with 400 and a sentence."""

    def __init__(self, server: AuthorizationServer, clock: Movable) -> None:
        self._server = server
        self._clock = clock
        self._app = Starlette(
            routes=[
                Route("/twin/clock", self._show_clock),
                Route("/twin/clock", self._move_clock, methods=["POST"]),
                Route("/twin/log", self._show_log),
                Route("/twin/script", self._show_script),
                Route("/twin/script", self._add_to_script, methods=["POST"]),
                Route("/twin/script", self._clear_script, methods=["DELETE"]),
                Route("/twin/faults", self._show_faults),
                Route("/twin/behaviour", self._behave, methods=["POST"]),
                Route("/twin/people/{name}/{end}", self._end, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = (scope.get("client") or ("",))[0]
        named = Request(scope).url.hostname or ""
        # A page on the Web can send a browser here under a name of its own: the name has to be ours, too.
        allowed = is_loopback(host) and is_loopback(named)
        await (self._app if allowed else Response("Only from this machine.", 403))(scope, receive, send)

    async def _show_clock(self, request: Request) -> Response:
        return JSONResponse({"now": self._clock.now().isoformat()})

    async def _move_clock(self, request: Request) -> Response:
        self._clock.advance(timedelta(seconds=(await request.json())["advance"]))
        return await self._show_clock(request)

    async def _show_log(self, request: Request) -> Response:
        after = int(request.query_params.get("after", 0))
        return JSONResponse({"hits": [hit.as_json() for hit in self._server.log.since(after)]})

    async def _show_script(self, request: Request) -> Response:
        return JSONResponse({"steps": [step.as_json() for step in self._server.script.steps()]})

    async def _add_to_script(self, request: Request) -> Response:
        steps = (await request.json())["steps"]
        if unknown := [step["fault"] for step in steps if step["fault"] not in self._server.faults]:
            return JSONResponse({"error": f"No fault is called {unknown[0]}. See /twin/faults."}, 400)
        self._server.script.add(*steps)
        return await self._show_script(request)

    async def _clear_script(self, request: Request) -> Response:
        self._server.script.clear()
        return await self._show_script(request)

    async def _show_faults(self, request: Request) -> Response:
        return JSONResponse({name: fault.about for name, fault in self._server.faults.items()})

    async def _behave(self, request: Request) -> Response:
        wanted: dict[str, Any] = await request.json()
        if unknown := wanted.keys() - _NAMES:
            return JSONResponse({"error": f"Behaviour has no {min(unknown)}."}, 400)
        for name, value in wanted.items():
            is_duration = name in _DURATIONS and value is not None
            setattr(self._server.behaviour, name, timedelta(seconds=value) if is_duration else _as_tuple(value))
        return JSONResponse({})

    async def _end(self, request: Request) -> Response:
        name, grants = request.path_params["name"], self._server.grants
        ends = {"revoke": grants.revoke_all, "revoke-access": grants.revoke_access}
        if name not in self._server.people or request.path_params["end"] not in ends:
            return JSONResponse({"error": f"There is no {name}, or no such way to end their tokens."}, 400)
        ends[request.path_params["end"]](name)
        return JSONResponse({})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

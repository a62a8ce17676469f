"""What a toolkit says of itself over HTTP: `verify_hash`, `verify_tool_hash`, `register_tool`, `execute_function`.

The last is a report that the published SDK never sends; it names no call, so it is answered and left at that.

Below: `toolkit_keys`, `gateway.remote`. Above: `toolkit_routes`. Source: AgentToolProtocol 0.2.5, `ToolKitClient`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError
from gateway.remote.registration import Declared, Registration
from gateway.surfaces.atp.endpoint import json_answer, refused
from gateway.surfaces.atp.requests import RefusalError, json_object, text
from gateway.surfaces.atp.toolkit_keys import ToolkitKeys, shown
from gateway.wire import wire

LARGEST_REGISTRATION = 256 << 10  # bytes

Answer = Callable[[Request], Awaitable[Response]]


def answering(serve: Answer) -> Answer:
    """The endpoint that turns what went wrong into an answer. No browser's script has business here."""

    async def answer(request: Request) -> Response:
        if "origin" in request.headers:
            return refused(403, "browser_refused", "A toolkit's key must not be used from a browser.")
        try:
            return await serve(request)
        except RefusalError as refusal:
            return refused(refusal.status, refusal.code, str(refusal))
        except GatewayError as error:
            return refused(wire(error).http, error.code, error.message)

    return answer


class ToolkitRequests:
    """The four endpoints."""

    def __init__(self, keys: ToolkitKeys, registration: Registration) -> None:
        self._keys = keys
        self._registration = registration

    async def verify_hash(self, request: Request) -> Response:
        """`POST /api/v1/toolkit/verify_hash`"""
        body = await _body(request)
        key = await self._keys.find(shown(request.headers, body.get("api_key")))
        return json_answer({"up_to_date": await self._registration.verify_hash(key, text(body, "toolkit_hash"))})

    async def verify_tool_hash(self, request: Request) -> Response:
        """`POST /api/v1/toolkit/verify_tool_hash`"""
        body = await _body(request)
        key = await self._keys.find(shown(request.headers, body.get("api_key")))
        name, code_hash = text(body, "tool_name"), text(body, "tool_hash")
        return json_answer({"up_to_date": await self._registration.verify_tool_hash(key, name, code_hash)})

    async def register_tool(self, request: Request) -> Response:
        """`POST /api/v1/register_tool`"""
        body = await _body(request)
        key = await self._keys.find(shown(request.headers, body.get("api_key")))
        metadata = body.get("metadata")
        if not isinstance(metadata, dict):
            raise RefusalError(400, "invalid_request", "metadata is missing. Send it as a JSON object.")
        declared = Declared(text(body, "function_id"), text(body, "code_hash"), text(body, "toolkit_hash"), metadata)
        await self._registration.register(key, declared)
        return json_answer({"exchange_token": secrets.token_urlsafe(24)})

    async def execute_function(self, request: Request) -> Response:
        """`POST /api/v1/execute_function`"""
        await _body(request)
        return json_answer({"status": "ignored"})


async def _body(request: Request) -> dict[str, Any]:
    return await json_object(request, LARGEST_REGISTRATION)

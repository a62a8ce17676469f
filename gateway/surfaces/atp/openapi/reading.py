"""`GET /openapi.json`: the document, for whoever may read it.

On the gateway's own machine everybody may. Elsewhere it takes a key, of an app, a toolkit or an administrator: nothing
in it is secret, but what a gateway can do is no stranger's business either.

Below: access, `document`. Above: the app, which wires it.
"""

from __future__ import annotations

import json
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.keys import Keys
from gateway.errors import GatewayError, KeyRefusedError
from gateway.key_types import ApiKey, KeyKind
from gateway.surfaces.atp.endpoint import refused
from gateway.surfaces.atp.openapi.document import document
from gateway.surfaces.atp.openapi.gateway_operations import DOCUMENT_PATH
from gateway.surfaces.atp.toolkit_keys import shown
from gateway.wire import wire

_READERS = (KeyKind.APP, KeyKind.TOOLKIT, KeyKind.ADMIN)


class Reading:
    """`keys`: None where everybody may read."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys

    def routes(self) -> list[Route]:
        return [Route(DOCUMENT_PATH, self.answer, methods=["GET"])]

    async def answer(self, request: Request) -> Response:
        try:
            if self._keys is None or await self._has_key(self._keys, shown(request.headers, None)):
                return Response(_written(), media_type="application/json", headers={"Cache-Control": "no-store"})
        except GatewayError as error:
            return refused(wire(error).http, error.code, error.message)
        return refused(
            401, KeyRefusedError.code, "This document takes a key. Send one of yours as `Authorization: ApiKey <key>`."
        )

    async def _has_key(self, keys: Keys, text: str) -> bool:
        for kind in _READERS if text else ():
            if isinstance(await keys.find(text, kind), ApiKey):
                return True
        return False


@cache
def _written() -> bytes:
    return json.dumps(document(), ensure_ascii=False).encode()

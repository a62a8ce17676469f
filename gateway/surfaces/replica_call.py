"""The way in for other gateways of the same database: a sealed call in, its sealed end out.

Whatever is no such call, by whatever method, is answered as a path that does not exist, beside a mark that means
nothing to strangers. Whoever hangs up has their call given up, as any caller.

Below: `while_there`, `refusal`. Above: the app, which says who reads the calls (`gateway.remote.holder`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.remote.elsewhere import MEDIA_TYPE, PATH
from gateway.remote.holder import Refused
from gateway.remote.sealed_call import MARK
from gateway.surfaces.refusal import NOT_FOUND
from gateway.surfaces.while_there import while_there

Answer = Callable[[bytes], Coroutine[Any, Any, bytes | Refused]]
"""The sealed end of a sealed call."""

REPLICA_PATHS = (PATH,)


class ReplicaCall:
    """The route's endpoint: ASGI, so that every method comes here. `answer` is `Holder.answer`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body() if request.method == "POST" else b""
        await _response(request, await while_there(request, self._answer(body)))(scope, receive, send)


def _response(request: Request, end: bytes | Refused) -> Response:
    if isinstance(end, bytes):
        return Response(end, media_type=MEDIA_TYPE)
    refusal = NOT_FOUND.answer(request)
    refusal.headers[MARK] = end.mark
    return refusal


def replica_routes(answer: Answer) -> list[Route]:
    return [Route(PATH, ReplicaCall(answer))]

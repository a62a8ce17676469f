"""A worker without a WebSocket: it asks for one call after the other, and the gateway holds each question open until
there is one.

Several calls run at a time all the same: the next is asked for as soon as there is room. An answer is safe to send
again, so it is, for a while; a call that was asked for is never run twice. Below: `calls`, `httpx2`. Above: `work`.
Source: AgentToolProtocol 0.2.5, `ToolKitClient.poll_inbox_for_requests`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import httpx2

from gateway.errors import GatewayError, GatewayUnreachableError
from gateway.toolkit.afar.calls import Calls, Ended
from gateway.toolkit.afar.place import Place
from gateway.toolkit.afar.registration import check
from gateway.toolkit.afar.stopping import unless
from gateway.toolkit.answers import unreachable

log = logging.getLogger(__name__)

PATH = "/api/v1/toolkit/inbox"
POLL_SECONDS = 60.0  # a gateway answers well before
SHORTEST_POLL = 1.0  # seconds between two questions, where the gateway does not hold them open
_ANSWER_SECONDS = 15.0
_TIMES = 4  # that an answer is sent before it is given up


class InboxLine:
    """The worker's line to `place`, over `http`, which shows the toolkit's key with every request."""

    def __init__(self, http: httpx2.AsyncClient, place: Place, calls: Calls) -> None:
        self._http = http
        self._place = place
        self._calls = calls

    async def serve(self, stopping: asyncio.Event) -> None:
        """Serve calls until `stopping`, and then until every call is answered.

        KeyRefusedError when the key is no good, GatewayUnreachableError when it should be tried again.
        """
        log.info("asking %s for calls: up to %d at a time", self._place.base_url, self._calls.at_once)
        await unless(stopping, self._ask_on())
        await self._calls.idle()

    async def _ask_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._calls.room()
            asked = loop.time()
            request = await self._ask()
            if request is not None:
                self._begin(request)
            elif (early := asked + SHORTEST_POLL - loop.time()) > 0:
                await asyncio.sleep(early)

    async def _ask(self) -> dict[str, Any] | None:
        try:
            answer = await self._http.get(self._place.http(PATH), timeout=POLL_SECONDS)
        except httpx2.ReadTimeout:
            return None
        except httpx2.TransportError as error:
            raise unreachable(self._place.base_url, error) from None
        check(answer)
        try:
            said = answer.json() if answer.content else None
        except (ValueError, RecursionError):
            said = None
        return said if isinstance(said, dict) and isinstance(said.get("request_id"), str) else None

    def _begin(self, request: dict[str, Any]) -> None:
        self._calls.begin(request, lambda ended: self._answer(request["request_id"], ended))

    async def _answer(self, request_id: str, ended: Ended) -> None:
        body = {"request_id": request_id, "response": ended.value, **ended.fields}
        for time in range(_TIMES):
            try:
                check(await self._http.post(self._place.http(f"{PATH}/respond"), json=body, timeout=_ANSWER_SECONDS))
            except (GatewayUnreachableError, httpx2.TransportError):
                await asyncio.sleep(random.uniform(0, 2.0**time))  # noqa: S311 - no secret
            except GatewayError as error:
                log.warning("the gateway does not take an answer: %s", error.message)
                return
            else:
                return
        log.warning("an answer could not be sent: the gateway cannot be reached")

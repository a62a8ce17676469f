"""The polled inbox: `GET …/inbox` is held until a call comes, `POST …/inbox/respond` brings its answer.

A poll is held for less than the 30 seconds that the published SDK waits, or for as long as it says itself: `Prefer:
wait=5`. One whose client has gone takes no call: that
is looked at just before a call is handed over. What is lost on its way after that has an unknown outcome, and is not
sent again. Answers that nobody waits for are counted, and get 200 all the same: the SDK raises on anything else.

Below: `gateway.remote.inbox`, `toolkit_keys`. Above: `toolkit_routes`.
Source: AgentToolProtocol 0.2.5, `poll_inbox_for_requests`, `_send_tool_result_inbox`; RFC 7240 section 4.3 (`wait`).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError
from gateway.key_types import ApiKey
from gateway.remote.inbox import STAYS_SECONDS, Inbox
from gateway.remote.remote_toolkit import RemoteToolkit
from gateway.remote.remote_toolkits import RemoteToolkits
from gateway.surfaces.atp.endpoint import json_answer
from gateway.surfaces.atp.requests import RefusalError
from gateway.surfaces.atp.toolkit_keys import ToolkitKeys, shown
from gateway.surfaces.atp.worker_words import CONCURRENCY, answered, as_sent
from gateway.surfaces.server import MESSAGE_LIMIT

HELD_SECONDS = 25.0
KEY_SECONDS = 2.0  # how often an open poll's key is looked at again
MOST_POLLS = 64  # of one toolkit at a time


class ToolkitInbox:
    """The two endpoints. The numbers are as above."""

    def __init__(
        self,
        keys: ToolkitKeys,
        toolkits: RemoteToolkits,
        *,
        held_seconds: float = HELD_SECONDS,
        key_seconds: float = KEY_SECONDS,
        stays_seconds: float = STAYS_SECONDS,
    ) -> None:
        self._keys = keys
        self._toolkits = toolkits
        self._held_seconds = held_seconds
        self._key_seconds = key_seconds
        self._stays_seconds = stays_seconds
        self._inboxes: dict[RemoteToolkit, Inbox] = {}

    async def poll(self, request: Request) -> Response:
        """`GET /api/v1/toolkit/{api_key}/inbox`: a call, or `{}`"""
        text = shown(request.headers, request.path_params.get("api_key"))
        key = await self._keys.find(text)
        inbox = await self._inbox(key)
        if inbox.open_polls >= MOST_POLLS:
            raise RefusalError(429, "too_many_polls", "Too many polls of this toolkit are open. Close some.")
        limit = asyncio.timeout(_patience(request.headers, self._held_seconds))
        async with self._watched(request, text, inbox, limit) as watch:
            call = await inbox.take(key, limit)
        if call is not None and (watch.is_over or await request.is_disconnected()):
            inbox.give_back(call)
            call = None
        if watch.refusal is not None:
            inbox.drop(key)
            raise watch.refusal
        return json_answer({} if call is None else as_sent(call, ours=CONCURRENCY in request.headers))

    async def respond(self, request: Request) -> Response:
        """`POST /api/v1/toolkit/{api_key}/inbox/respond`: `{"request_id", "response"}`"""
        key = await self._keys.find(shown(request.headers, request.path_params.get("api_key")))
        toolkit, inbox, body = await self._toolkits.of(key), await self._inbox(key), await _body(request)
        request_id = body.get("request_id")
        worker = inbox.answering(key)
        if worker and isinstance(request_id, str) and answered(worker, request_id, body, "response"):
            return json_answer({"status": "received"})
        toolkit.ignored += 1
        return json_answer({"status": "ignored"})

    async def _inbox(self, key: ApiKey) -> Inbox:
        toolkit = await self._toolkits.of(key)
        return self._inboxes.setdefault(toolkit, Inbox(toolkit, stays_seconds=self._stays_seconds))

    @asynccontextmanager
    async def _watched(
        self, request: Request, text: str, inbox: Inbox, limit: asyncio.Timeout
    ) -> AsyncIterator[_Watch]:
        watch = _Watch(limit)
        tasks = [
            asyncio.create_task(watch.client(request)),
            asyncio.create_task(watch.key(self._keys, text, inbox, self._key_seconds)),
        ]
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Watch:
    """Ends an open poll when its client has gone, or its key is no key any more."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self.is_over = False
        self.refusal: RefusalError | None = None

    async def client(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._end()

    async def key(self, keys: ToolkitKeys, text: str, inbox: Inbox, seconds: float) -> None:
        while self.refusal is None:
            await asyncio.sleep(seconds)
            with suppress(GatewayError):  # a store that is away for a moment revokes nothing
                try:
                    inbox.show_key(await keys.find(text))
                except RefusalError as refusal:
                    self.refusal = refusal
        self._end()

    def _end(self) -> None:
        self.is_over = True
        with suppress(RuntimeError):  # it is over already
            self._limit.reschedule(0.0)


def _patience(headers: Mapping[str, str], most: float) -> float:
    """How many seconds a poll is held."""
    asked = _WAIT.search(headers.get("prefer", ""))
    return min(most, float(asked[1])) if asked else most


_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*([0-9]{1,4})(?:$|[,;\s])", re.ASCII)


def object_or_nothing(raw: str | bytes | bytearray) -> dict[str, Any]:
    """What a worker says. NaN and the like pass: what a tool returned is judged where all results are."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def _body(request: Request) -> dict[str, Any]:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MESSAGE_LIMIT:
            raise RefusalError(413, "too_large", f"The answer is larger than {MESSAGE_LIMIT} bytes. Return less.")
    return object_or_nothing(raw)

"""An app's messages over HTTP: `POST process/`, answered with JSON, or with events where the app asks for them.

The SDK reads an answer's body only with status 200, so a failed task has that; of a context that cannot be given it
reads the status. Whoever hangs up has their call cancelled.

The SDK's `*_streaming` methods give their caller each event, and callers take the first for the answer. So there is one
event, and progress before it only for an app that sends `"progress": true`, as our own client can. A comment goes out
now and then, which the SDK skips, lest a proxy take the silence for a dead connection.

Below: `tasks`. Above: `app_routes`. Source: AgentToolProtocol 0.2.5; HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.surfaces.atp import shapes
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.endpoint import json_answer
from gateway.surfaces.atp.requests import json_object
from gateway.surfaces.atp.tasks import Message, Tasks
from gateway.surfaces.while_there import while_there
from gateway.toolkit.context import NullChannel

SILENCE = 15.0  # seconds, the longest between two signs of life
_EVENTS_AHEAD = 64  # progress that a slow reader has not fetched yet; more is dropped

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Process:
    """`silence` is how many seconds a stream of events may say nothing."""

    def __init__(self, tasks: Tasks, silence: float = SILENCE) -> None:
        self._tasks = tasks
        self._silence = silence

    async def answer(self, app: App, request: Request) -> Response:
        message = await json_object(request)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return json_answer(await while_there(request, self._tasks.answer(app, message)))
        if message.get("type") == "task_request":
            return _stream(self._events(app, message))
        return _stream(_once(await self._tasks.answer(app, message)))

    async def _events(self, app: App, message: Message) -> AsyncIterator[str]:
        progress = _Progress(message.get("request_id"))
        channel = progress if message.get("progress") is True else NullChannel()
        running = asyncio.create_task(self._tasks.answer(app, message, channel))
        running.add_done_callback(progress.end)
        try:
            while not running.done() or progress.waits:
                try:
                    async with asyncio.timeout(self._silence):
                        event = await progress.next()
                except TimeoutError:
                    yield ": the tool is running\n\n"
                    continue
                if event is not None:
                    yield _event(event)
            yield _event(await running)
        finally:
            running.cancel()


class _Progress(NullChannel):
    """The progress of one call, as events in a queue; None in it is the call's end."""

    def __init__(self, request_id: Any) -> None:
        self._request_id = request_id
        self._queue: asyncio.Queue[shapes.Json | None] = asyncio.Queue()

    @property
    def waits(self) -> bool:
        return not self._queue.empty()

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        if self._queue.qsize() < _EVENTS_AHEAD:
            self._queue.put_nowait(shapes.task_progress(self._request_id, done, total, message))

    def end(self, _running: asyncio.Task[Any]) -> None:
        self._queue.put_nowait(None)

    async def next(self) -> shapes.Json | None:
        return await self._queue.get()


async def _once(answer: shapes.Json) -> AsyncIterator[str]:
    yield _event(answer)


def _event(value: shapes.Json) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _stream(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

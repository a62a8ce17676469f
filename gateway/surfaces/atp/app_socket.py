"""An app's messages over a WebSocket: `/ws/v1/atp/llm-client/{api_key}/`.

The first message must be `{"type": "auth", "api_key"}`, with a key of the app whose key stands in the path; it is
answered with `auth_response`. From then on each message is answered by itself, as soon as its answer is there, with its
`request_id`. What cannot be read, or is no question, gets an answer of type `error`.

So many messages are worked on at a time, and so many wait. What is more is refused at once and not left in the socket:
a socket that nobody reads hides that its client has gone. A client that goes has its calls cancelled, and a key that is
revoked ends its socket. Other sites' pages do not get here: the edge refuses their `Origin`. Ours may be there, for the
SDK's WebSocket library sends the one that it connects to.

Below: `tasks`, `keys`. Above: `app_routes`. Source: AgentToolProtocol 0.2.5, `LLMClient`; RFC 6455 section 7.4.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.errors import GatewayError, KeyRefusedError
from gateway.secret import Secret
from gateway.surfaces.atp import shapes
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.keys import AppKeys
from gateway.surfaces.atp.requests import LARGEST_BODY, RefusalError, object_in
from gateway.surfaces.atp.tasks import Message, Tasks

log = logging.getLogger(__name__)

AUTH_SECONDS = 10.0  # what the SDK waits for its answer, too
AT_ONCE = 16  # messages being worked on
WAITING = 64  # messages that wait for one of those to end
WAITING_CHARACTERS = 4 << 20  # all of them together
KEY_SECONDS = 2.0  # how often an idle socket's key is looked at again
MOST_SOCKETS = 100  # of one app
LONGEST_REQUEST_ID = 300  # characters

_POLICY, _UNSUPPORTED = 1008, 1003  # RFC 6455: close codes

FindApp = Callable[[], Awaitable[App]]
"""Which app's the socket's key is, right now. RefusalError: it is no key any more."""


class AppSockets:
    """`serve` is what the route calls. The numbers are as above."""

    def __init__(
        self,
        keys: AppKeys,
        tasks: Tasks,
        *,
        auth_seconds: float = AUTH_SECONDS,
        key_seconds: float = KEY_SECONDS,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
    ) -> None:
        self._keys = keys
        self._tasks = tasks
        self._auth_seconds = auth_seconds
        self._key_seconds = key_seconds
        self._at_once = at_once
        self._waiting = waiting
        self._open: Counter[tuple[str, str]] = Counter()

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        with suppress(WebSocketDisconnect):
            try:
                key, app = await self._enter(socket)
            except (RefusalError, GatewayError) as error:
                await _say(socket, {"type": "auth_response", "success": False, "error": str(error)})
                await socket.close(_POLICY)
                return
            with self._counted(app):
                await _say(socket, {"type": "auth_response", "success": True})
                await self._converse(socket, key)

    @contextmanager
    def _counted(self, app: App) -> Iterator[None]:
        who = (app.tenant, app.name)
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1

    async def _enter(self, socket: WebSocket) -> tuple[Secret, App]:
        """The key in the first message, and its app, whose key is in the path, too."""
        try:
            async with asyncio.timeout(self._auth_seconds):
                message = object_in(await socket.receive_text(), "The first message")
        except (TimeoutError, KeyError):  # KeyError is Starlette's word for a binary message
            message = {}
        key = message.get("api_key")
        if message.get("type") != "auth" or not isinstance(key, str):
            raise RefusalError(401, KeyRefusedError.code, 'Send {"type": "auth", "api_key": …} first, and at once.')
        app = await self._keys.app(key)
        if app != await self._keys.app(socket.path_params["api_key"]):
            raise RefusalError(401, KeyRefusedError.code, "The key in the path is another app's. Use one for both.")
        if self._open[app.tenant, app.name] >= MOST_SOCKETS:
            raise RefusalError(503, "too_many_sockets", f"This app has {MOST_SOCKETS} sockets open. Close some.")
        return Secret(key), app

    async def _converse(self, socket: WebSocket, key: Secret) -> None:
        """Read until the client goes, or its key is no key any more; then end what is still running for it."""

        async def app() -> App:
            return await self._keys.app(key.reveal())

        exchange = _Exchange(socket, self._tasks, app, self._at_once, self._waiting)
        watch = asyncio.create_task(self._watch(socket, app))
        try:
            while (frame := await socket.receive())["type"] != "websocket.disconnect":
                if frame.get("text") is None:
                    await socket.close(_UNSUPPORTED, "Send text.")
                    return
                await exchange.take(frame["text"])
        finally:
            watch.cancel()
            exchange.end()

    async def _watch(self, socket: WebSocket, app: FindApp) -> None:
        """Close the socket when its key is no key any more."""
        with suppress(RefusalError):
            while True:
                await asyncio.sleep(self._key_seconds)
                with suppress(GatewayError):  # a store that is away for a moment revokes nothing
                    await app()
        with suppress(WebSocketDisconnect, RuntimeError):  # it has gone by itself
            await socket.close(_POLICY, "The key was revoked.")


class _Exchange:
    """The messages of one socket that are being answered, or wait for it."""

    def __init__(self, socket: WebSocket, tasks: Tasks, app: FindApp, at_once: int, waiting: int) -> None:
        self._socket = socket
        self._tasks = tasks
        self._app = app
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._answering: set[asyncio.Task[None]] = set()
        self._characters = 0
        self._at_once = at_once

    async def take(self, text: str) -> None:
        """Have a message answered. One that is wrong, or one too many, is refused before the next is read."""
        request_id = None
        try:
            message = _read(text)
            request_id = _request_id(message)
            self._check_room(len(text))
        except RefusalError as refusal:
            await _say(self._socket, shapes.refused_message(request_id, refusal.code, str(refusal)))
            return
        self._characters += len(text)
        task = asyncio.create_task(self._answer(message, request_id))
        self._answering.add(task)
        task.add_done_callback(lambda done: self._answered(done, len(text)))

    def end(self) -> None:
        for task in self._answering:
            task.cancel()

    def _answered(self, task: asyncio.Task[None], characters: int) -> None:
        self._answering.discard(task)
        self._characters -= characters

    def _check_room(self, characters: int) -> None:
        if len(self._answering) >= self._most or self._characters + characters > WAITING_CHARACTERS:
            raise RefusalError(
                503,
                "too_many_requests",
                f"This socket is being asked too much: {self._at_once} requests run and {len(self._answering)} are "
                "open. Wait for answers before sending more.",
            )

    async def _answer(self, message: Message, request_id: str) -> None:
        async with self._turn:
            with suppress(WebSocketDisconnect, RuntimeError):  # it has gone, and the reader knows
                await _say(self._socket, await self._answer_to(message, request_id))

    async def _answer_to(self, message: Message, request_id: str) -> shapes.Json:
        is_context = message.get("type") == "get_toolkit_context"
        refused = shapes.refused_context if is_context else shapes.refused_message
        try:
            return await self._tasks.answer(await self._app(), message)
        except (RefusalError, GatewayError) as error:
            return refused(request_id, error.code, str(error))
        except Exception:  # the other messages of this socket are not to suffer for a bug of ours
            reference = secrets.token_hex(4)
            log.exception("a message over an app's socket failed, reference %s", reference)
            sentence = f"That is the gateway's fault. The cause is in its log under reference {reference}."
            return refused(request_id, "internal_error", sentence)


def _read(text: str) -> Message:
    if len(text) > LARGEST_BODY:
        raise RefusalError(413, "too_large", f"The message is larger than {LARGEST_BODY} characters. Send less.")
    return object_in(text, "The message")


def _request_id(message: Message) -> str:
    request_id = message.get("request_id")
    if not isinstance(request_id, str) or not 0 < len(request_id) <= LONGEST_REQUEST_ID:
        raise RefusalError(
            400,
            "invalid_request",
            f"request_id must be a string of 1 to {LONGEST_REQUEST_ID} characters: the answer is known by it.",
        )
    return request_id


async def _say(socket: WebSocket, message: Any) -> None:
    """Send a message, unless the socket has been closed from here."""
    if socket.application_state is WebSocketState.CONNECTED:
        await socket.send_text(json.dumps(message, ensure_ascii=False))

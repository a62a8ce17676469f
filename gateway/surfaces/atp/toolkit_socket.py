"""A worker's WebSocket: calls go out as they come, answers come in, until one side has gone.

    /ws/v1/atp/toolkit-client/{api_key}/     the published SDK, which takes one call at a time
    /ws/v1/atp/toolkit-client/               a client of ours: `Authorization: ApiKey …`, and `ATP-Concurrency: n` calls

Who is there is known by pings, which each side handles in the order of messages. The published SDK runs a tool in the
thread that reads, and answers no ping meanwhile. So one that has nothing to do has to answer in time. One that runs a
call is left alone until the call's time is up; then a ping tells when it is free again, whether it answered late or,
for a tool that it does not know, never. One that stays stuck is cut off in the end. A client of ours always answers.

A key that is revoked ends the socket within seconds. `Origin` is the edge's business: it lets in our own, which the
SDK's WebSocket library sends of itself, and no other.

Below: `gateway.remote`, `toolkit_keys`, `pace`. Above: `toolkit_routes`.
Source: AgentToolProtocol 0.2.5, `ToolKitClient.on_message`; RFC 6455 sections 5.5, 7.4.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.errors import GatewayError
from gateway.key_types import ApiKey
from gateway.remote.remote_toolkit import RemoteToolkit
from gateway.remote.remote_toolkits import RemoteToolkits
from gateway.secret import Secret
from gateway.surfaces.atp.endpoint import refused
from gateway.surfaces.atp.pace import Pace
from gateway.surfaces.atp.requests import RefusalError
from gateway.surfaces.atp.toolkit_inbox import object_or_nothing
from gateway.surfaces.atp.toolkit_keys import ToolkitKeys, shown
from gateway.surfaces.atp.worker_words import answered, as_sent
from gateway.surfaces.probing import Probe, probe_in
from gateway.toolkit.tool_request import ToolRequest
from gateway.wire import wire

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32  # calls of one socket
MOST_SOCKETS = 64  # of one toolkit
_POLICY, _GONE = 1008, 1011  # RFC 6455: close codes


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds: how often a key is looked at; how often a ping is sent, and how long its pong may take; how long a
    worker may stay stuck in a call whose time is up; how long tools stay listed when the last worker has gone."""

    key: float = 2.0
    ping: float = 20.0
    pong: float = 20.0
    stuck: float = 300.0
    grace: float = 10.0


class ToolkitSockets:
    """`serve` is what the route calls."""

    def __init__(
        self, keys: ToolkitKeys, toolkits: RemoteToolkits, *, times: Times | None = None, pace: Pace | None = None
    ) -> None:
        self._keys = keys
        self._toolkits = toolkits
        self._times = times or Times()
        self._pace = pace or Pace()
        self._open: dict[RemoteToolkit, int] = {}

    async def serve(self, socket: WebSocket) -> None:
        text = shown(socket.headers, socket.path_params["rest"].removesuffix("/"))
        try:
            key, toolkit, at_once = await self._enter(socket, text)
        except (RefusalError, GatewayError) as error:
            await self._pace.hold()
            status = error.status if isinstance(error, RefusalError) else wire(error).http
            with suppress(WebSocketDisconnect):
                await socket.send_denial_response(refused(status, error.code, str(error)))
            return
        self._open[toolkit] = self._open.get(toolkit, 0) + 1
        try:
            with suppress(WebSocketDisconnect):
                await socket.accept()
                await _Session(socket, toolkit, self._keys, Secret(text), self._times).run(key, at_once)
        finally:
            self._open[toolkit] -= 1

    async def _enter(self, socket: WebSocket, text: str) -> tuple[ApiKey, RemoteToolkit, int | None]:
        key = await self._keys.find(text)
        toolkit = await self._toolkits.of(key)
        at_once = _at_once(socket.headers)
        if self._open.get(toolkit, 0) >= MOST_SOCKETS or not await self._pace.turn(f"{key.tenant}/{key.name}"):
            raise RefusalError(503, "too_many_sockets", "This toolkit connects too often. Wait before the next try.")
        return key, toolkit, at_once


class _Session:
    """One socket of a toolkit."""

    def __init__(
        self, socket: WebSocket, toolkit: RemoteToolkit, keys: ToolkitKeys, text: Secret, times: Times
    ) -> None:
        self._socket = socket
        self._toolkit = toolkit
        self._keys = keys
        self._text = text
        self._times = times
        self._probe = probe_in(socket.scope)
        self._stuck: dict[str, float] = {}
        self._probing: set[asyncio.Task[None]] = set()
        self._is_revoked = False

    async def run(self, key: ApiKey, at_once: int | None) -> None:
        """Until one side has gone. `at_once` calls at a time; None: the published SDK, which takes one."""
        self._key = key
        self._is_ours = at_once is not None
        self._worker = self._toolkit.workers.join(at_once or 1, self._abandoned)
        self._toolkit.show_key(self._worker, key)
        try:
            await self._say("atp_client_connected", {"message": f"Connected as {key.name}."})
            await self._until_one_ends()
        finally:
            if not self._is_revoked:
                self._toolkit.linger(self._times.grace)
            self._worker.leave()
            self._toolkit.drop_key(self._worker)
            for task in self._probing:
                task.cancel()

    async def _until_one_ends(self) -> None:
        tasks = [asyncio.create_task(part()) for part in (self._read, self._hand_out, self._guard, self._watch)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                raise error

    async def _read(self) -> None:
        while (frame := await self._socket.receive())["type"] != "websocket.disconnect":
            message = object_or_nothing(frame.get("text") or frame.get("bytes") or "")
            if message.get("type") == "worker_stopping":
                self._worker.take_no_more()
                await self._say("worker_stopping", {})
                continue
            request_id = message.get("request_id")
            if message.get("type") != "tool_response" or not isinstance(request_id, str):
                self._toolkit.ignored += 1
                continue
            self._stuck.pop(request_id, None)
            if "not_begun" in message:
                self._worker.take_no_more()  # or it would be given the same call again
            if not answered(self._worker, request_id, message, "result"):
                self._toolkit.ignored += 1

    async def _hand_out(self) -> None:
        while (call := await self._worker.take()) is not None:
            credential = call.credential
            no = credential and self._toolkit.not_granted(self._key, credential.provider)
            if no:
                self._worker.fail(call.id, no)
                continue
            try:
                await self._say("atp_tool_request", as_sent(call, ours=self._is_ours))
            except (WebSocketDisconnect, asyncio.CancelledError):
                # Uvicorn waits and raises before it writes, and never after.
                self._worker.give_back(call)
                raise

    async def _say(self, message_type: str, payload: Mapping[str, object]) -> None:
        await self._socket.send_text(json.dumps({"message_type": message_type, "payload": payload}))

    async def _close(self, code: int, reason: str) -> None:
        with suppress(RuntimeError):  # it has been closed at the same moment
            await self._socket.close(code, reason)

    async def _guard(self) -> None:
        """Until the key is no key any more. What it was granted may change before."""
        while True:
            await asyncio.sleep(self._times.key)
            with suppress(GatewayError):  # a store that is away for a moment revokes nothing
                try:
                    self._key = await self._keys.find(self._text.reveal())
                except RefusalError as refusal:
                    self._is_revoked = True
                    await self._close(_POLICY, str(refusal)[:100])
                    return
                self._toolkit.show_key(self._worker, self._key)

    async def _watch(self) -> None:
        """Until the other side no longer follows."""
        while True:
            await asyncio.sleep(self._times.ping)
            if self._is_stuck() or not await self._follows():
                log.warning("a worker of the toolkit %s no longer follows; its socket is closed", self._toolkit.name)
                await self._close(_GONE, "no answer to a ping")
                return

    async def _follows(self) -> bool:
        if self._probe is None or (self._worker.is_busy and not self._is_ours):
            return True
        try:
            async with asyncio.timeout(self._times.pong):
                return await self._probe()
        except TimeoutError:
            return self._worker.is_busy and not self._is_ours  # it was sent a call since

    def _is_stuck(self) -> bool:
        now = asyncio.get_running_loop().time()
        return any(now - since > self._times.stuck for since in self._stuck.values())

    def _abandoned(self, call: ToolRequest) -> None:
        """A call's time is up, or its caller has gone: find out when the worker is free again."""
        self._stuck[call.id] = asyncio.get_running_loop().time()
        if self._probe is not None and not self._is_ours:
            task = asyncio.create_task(self._release(call.id, self._probe))
            self._probing.add(task)
            task.add_done_callback(self._probing.discard)

    async def _release(self, request_id: str, probe: Probe) -> None:
        if await probe():
            self._stuck.pop(request_id, None)
            self._worker.release(request_id)


def _at_once(headers: Mapping[str, str]) -> int | None:
    """How many calls at a time a client of ours takes; None: it does not say, as the published SDK."""
    value = headers.get("atp-concurrency")
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and 0 < int(value[:4]) <= MOST_AT_ONCE):
        raise RefusalError(400, "invalid_request", f"ATP-Concurrency is a number from 1 to {MOST_AT_ONCE}.")
    return int(value)

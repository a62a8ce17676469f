"""A desk that workers come to: the gateway's half of the toolkit protocol, which does what a test says.

How our workers fare with the gateway itself is in test_with_a_gateway.py.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway import ToolKitClient
from gateway.testing.serving import serving

KEY = "atpg_toolkit_" + "k" * 43


@dataclass
class Desk:
    """`refusal` is a status that everything is answered with; `told` is what workers said, in order."""

    url: str = ""
    known: set[str] = field(default_factory=set)
    registered: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusal: int | None = None
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    sockets: list[WebSocket] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    polls: int = 0
    refuse_answers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def until(self, condition: Callable[[], Any]) -> None:
        with anyio.fail_after(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def request(self, tool: str, token: str | None = None, /, **params: Any) -> dict[str, Any]:
        return {"request_id": f"r{next(self.numbers)}", "tool_name": tool, "params": params, "auth_token": token}

    async def send(self, request: dict[str, Any]) -> str:
        """Send a call to the newest worker; gives its id."""
        await self.until(lambda: self.sockets)
        await self.sockets[-1].send_json({"message_type": "atp_tool_request", "payload": request})
        return str(request["request_id"])

    async def answer_to(self, request_id: str) -> dict[str, Any]:
        await self.until(lambda: request_id in self.answers)
        return self.answers[request_id]

    async def call(self, tool: str, token: str | None = None, /, **params: Any) -> dict[str, Any]:
        return await self.answer_to(await self.send(self.request(tool, token, **params)))

    # the wire
    async def asked(self, request: Request) -> Response:
        body = await request.json()
        name = request.url.path.rpartition("/")[2]
        self._note(name, body, request.headers)
        if self.refusal:
            return JSONResponse({"code": "key_refused", "message": "No key of this gateway."}, self.refusal)
        if name == "register_tool":
            if "bad" in body["function_id"]:
                return JSONResponse({"code": "tool_not_registered", "message": "That is taken."}, 422)
            self.registered[body["function_id"]] = body
            self.known.add(body["code_hash"])
            return JSONResponse({"exchange_token": "x"})
        return JSONResponse({"up_to_date": body.get("tool_hash") in self.known})

    async def socket(self, socket: WebSocket) -> None:
        self._note("socket", {}, socket.headers)
        if self.refusal:
            await socket.send_denial_response(JSONResponse({"message": "Revoked."}, self.refusal))
            return
        await socket.accept()
        await socket.send_json({"message_type": "atp_client_connected", "payload": {"message": "hello"}})
        self.sockets.append(socket)
        self.changed.set()
        try:
            while True:
                message = await socket.receive_json()
                self._note(message["type"], message)
                if message["type"] == "worker_stopping":
                    await socket.send_json({"message_type": "worker_stopping", "payload": {}})
                if message["type"] == "tool_response":
                    self.answers[message["request_id"]] = message
                self.changed.set()
        except WebSocketDisconnect:
            self.sockets.remove(socket)
            self.changed.set()

    async def inbox(self, request: Request) -> Response:
        self.polls += 1
        self._note("inbox", {}, request.headers)
        if self.refusal:
            return JSONResponse({"message": "Revoked."}, self.refusal)
        await request.body()  # what is received next is that the worker has gone
        asked, gone = asyncio.create_task(self.requests.get()), asyncio.create_task(request.receive())
        try:
            await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
            self.changed.set()
            return JSONResponse(asked.result() if asked.done() else None)
        finally:
            asked.cancel()
            gone.cancel()

    async def respond(self, request: Request) -> Response:
        body = await request.json()
        self._note("respond", body, request.headers)
        if self.refuse_answers:
            self.refuse_answers -= 1
            return JSONResponse({"message": "Try again."}, 503)
        self.answers[body["request_id"]] = body
        self.changed.set()
        return JSONResponse({})

    def _note(self, what: str, said: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self.told.append((what, said))
        if headers is not None:
            self.headers.append(headers)
        self.changed.set()

    def app(self) -> Starlette:
        posts = ("toolkit/verify_hash", "toolkit/verify_tool_hash", "register_tool")
        return Starlette(
            routes=[
                *(Route(f"/api/v1/{path}", self.asked, methods=["POST"]) for path in posts),
                Route("/api/v1/toolkit/inbox", self.inbox),
                Route("/api/v1/toolkit/inbox/respond", self.respond, methods=["POST"]),
                WebSocketRoute("/ws/v1/atp/toolkit-client/", self.socket),
            ]
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    async with serving(desk.app()) as desk.url:
        yield desk


Serve = Callable[[ToolKitClient], Any]


@pytest.fixture
def started() -> Serve:
    """Runs a client's `start()` in a thread for the block, then stops it."""

    @asynccontextmanager
    async def running(client: ToolKitClient, **more: Any) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(asyncio.to_thread(client.start, **more))
        try:
            yield task
        finally:
            while not task.done():
                client.stop()
                await asyncio.wait([task], timeout=0.05)
        await task

    return running

"""A stand-in for the Anthropic Messages API that needs no model: it asks once for a tool, then repeats what it got.

An ASGI app, for `gateway.testing.serving`. With it Claude Code runs as it is, without a key and without the internet.
Source: the Messages API, "Streaming messages" and "Tool use".
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


class FakeModel:
    """Asks for `tool` with `arguments`. `offered` are the names of the tools that it was shown."""

    def __init__(self, tool: str, arguments: Mapping[str, Any]) -> None:
        self.offered: set[str] = set()
        self._tool = tool
        self._arguments = arguments
        self._app = Starlette(routes=[Route("/v1/messages", self._answer, methods=["POST"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        asked = await request.json()
        names = {tool["name"] for tool in asked.get("tools", [])}
        self.offered |= names
        block, stop = self._next(asked["messages"][-1]["content"], names)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        if asked.get("stream"):
            return StreamingResponse(_events(message, block, stop), media_type="text/event-stream")
        return JSONResponse({**message, "content": [block], "stop_reason": stop})

    def _next(self, content: Any, names: set[str]) -> tuple[dict[str, Any], str]:
        """What the model says now, and why it stops: a call of the tool, or the result it got."""
        blocks = content if isinstance(content, list) else []
        results = [block["content"] for block in blocks if block["type"] == "tool_result"]
        if results or self._tool not in names:
            return {"type": "text", "text": json.dumps(results)}, "end_turn"
        return {"type": "tool_use", "id": "toolu_1", "name": self._tool, "input": dict(self._arguments)}, "tool_use"


async def _events(message: dict[str, Any], block: dict[str, Any], stop: str) -> AsyncIterator[str]:
    """The message as it streams: an empty block, then all of its content in one delta."""
    if block["type"] == "text":
        empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    ended = {"stop_reason": stop, "stop_sequence": None}
    yield _event("message_start", message=message)
    yield _event("content_block_start", index=0, content_block=empty)
    yield _event("content_block_delta", index=0, delta=delta)
    yield _event("content_block_stop", index=0)
    yield _event("message_delta", delta=ended, usage={"output_tokens": 1})
    yield _event("message_stop")


def _event(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"

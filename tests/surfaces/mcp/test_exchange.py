"""One modern request over HTTP: when the answer is JSON, when it is a stream, and what ends it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import httpx2
import pytest

from gateway import Context
from gateway.surfaces.mcp.limits import Limits
from tests.surfaces.mcp.world import World

VERSION = "2026-07-28"


@pytest.fixture
def limits() -> Limits:
    return Limits(pause_seconds=0.2)


def post(url: str, method: str, /, *, name: str | None = None, meta: Any = None, **changed: Any) -> dict[str, Any]:
    """Arguments for `httpx2.AsyncClient.post` or `.stream`: a valid request, but for what is changed."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        **(meta or {}),
    }
    params: dict[str, Any] = {"_meta": envelope} | ({"name": name, "arguments": {}} if name else {})
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": method,
        **({"mcp-name": name} if name else {}),
        **changed.pop("headers", {}),
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **changed}
    return {"url": f"{url}/mcp", "json": body, "headers": headers}


def messages(answer: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


async def test_a_quick_answer_is_one_json_object(world: World) -> None:
    world.tool(function_name="quick", description="d")(lambda: "é")
    async with world.http() as url, httpx2.AsyncClient() as http:
        answer = await http.post(**post(url, "tools/call", name="quick"))
    assert answer.headers["content-type"] == "application/json"
    result = answer.json()["result"]
    assert (answer.json()["id"], result["content"][0]["text"], result["resultType"]) == (1, "é", "complete")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "gateway"


async def test_a_slow_answer_without_a_word_is_json_too(world: World) -> None:
    """So that its HTTP status still tells what happened."""

    @world.tool
    async def slow() -> str:
        """Slow."""
        with anyio.move_on_after(0.1):
            await anyio.sleep_forever()
        return "there"

    async with world.http() as url, httpx2.AsyncClient() as http:
        answer = await http.post(**post(url, "tools/call", name="slow"))
    assert answer.headers["content-type"] == "application/json"


async def test_a_call_that_reports_is_answered_with_a_stream_in_order(world: World) -> None:
    @world.tool
    async def chatty(ctx: Context) -> str:
        """Chatty."""
        for step in range(200):
            await ctx.progress(step)
        return "there"

    async with world.http() as url, httpx2.AsyncClient() as http:
        answer = await http.post(**post(url, "tools/call", name="chatty", meta={"progressToken": "p"}))
    assert answer.headers["content-type"] == "text/event-stream"
    *progress, last = messages(answer)
    assert [message["params"]["progress"] for message in progress] == list(range(200))
    assert {message["params"]["progressToken"] for message in progress} == {"p"}
    assert last["result"]["content"][0]["text"] == "there"


async def test_a_long_silence_becomes_a_stream_with_signs_of_life(world: World) -> None:
    release = asyncio.Event()

    @world.tool
    async def silent() -> str:
        """Silent."""
        await release.wait()
        return "there"

    async with (
        world.http() as url,
        httpx2.AsyncClient() as http,
        http.stream("POST", **post(url, "tools/call", name="silent")) as answer,
    ):
        text = ""
        async for chunk in answer.aiter_text():
            text += chunk
            if text.count(": still working") == 2:
                release.set()
    assert text.startswith(": still working\r\n\r\n")
    assert '"there"' in text


async def test_a_silent_call_is_cancelled_when_its_host_hangs_up(world: World) -> None:
    started = asyncio.Event()

    @world.tool
    async def endless() -> str:
        """Endless."""
        started.set()
        await asyncio.Event().wait()
        return ""

    async with world.http() as url, httpx2.AsyncClient() as http:
        call = asyncio.create_task(http.post(**post(url, "tools/call", name="endless")))
        with anyio.fail_after(5):
            await started.wait()
            call.cancel()
            while not world.events:
                await world.audit.flush()
                await anyio.lowlevel.checkpoint()
    assert [event.outcome for event in world.events] == ["cancelled"]


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"headers": {"mcp-method": "tools/list"}}, 400, -32020),
        ({"headers": {"mcp-name": "other"}}, 400, -32020),
        ({"headers": {"mcp-protocol-version": "2026-07-29"}}, 400, -32020),
        ({"meta": {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}}, 400, -32020),
        ({"params": {"name": "quick", "arguments": {}}}, 400, -32602),
        ({"jsonrpc": "1.0"}, 400, -32600),
        ({"id": None}, 400, -32600),
        ({"id": 1.5}, 400, -32600),
        ({"params": [1]}, 400, -32600),
        ({"method": 5, "headers": {"mcp-method": "5"}}, 400, -32600),
        ({"method": "nope", "headers": {"mcp-method": "nope"}}, 404, -32601),
        ({"method": "initialize", "headers": {"mcp-method": "initialize"}}, 404, -32601),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_request_that_contradicts_itself_is_refused(
    world: World, changed: dict[str, Any], status: int, code: int
) -> None:
    world.tool(function_name="quick", description="d")(lambda: "")
    async with world.http() as url, httpx2.AsyncClient() as http:
        answer = await http.post(**post(url, "tools/call", name="quick", **changed))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert world.events == []


async def test_a_revision_we_do_not_know_is_told_which_we_do(world: World) -> None:
    unknown = {
        "headers": {"mcp-protocol-version": "2099-01-01"},
        "meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"},
    }
    async with world.http() as url, httpx2.AsyncClient() as http:
        answer = await http.post(**post(url, "tools/list", **unknown))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32022
    assert answer.json()["error"]["data"] == {"supported": [VERSION], "requested": "2099-01-01"}


@pytest.mark.parametrize(
    ("headers", "status"), [({"accept": "application/json"}, 406), ({"content-type": "text/plain"}, 400)]
)
async def test_other_media_types_are_refused(world: World, headers: dict[str, str], status: int) -> None:
    async with world.http() as url, httpx2.AsyncClient() as http:
        answer = await http.post(**post(url, "tools/list", headers=headers))
    assert answer.status_code == status


async def test_a_doubled_routing_header_is_refused(world: World) -> None:
    async with world.http() as url, httpx2.AsyncClient() as http:
        request = post(url, "tools/list")
        twice = [*request.pop("headers").items(), ("mcp-method", "tools/list")]
        answer = await http.post(**request, headers=twice)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_a_notification_is_taken_and_dropped(world: World) -> None:
    async with world.http() as url, httpx2.AsyncClient() as http:
        request = post(url, "notifications/cancelled")
        del request["json"]["id"]
        answer = await http.post(**request)
    assert (answer.status_code, answer.content) == (202, b"")

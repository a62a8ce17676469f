"""A session of a handshake revision over HTTP, message by message: how calls are answered, asked, cancelled, ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import pytest

from gateway import Context
from gateway.surfaces.mcp.limits import Limits
from gateway.toolkit.context import Form
from tests.surfaces.mcp.world import World

JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
FORM = Form("Your name?", {"type": "object", "properties": {"name": {"type": "string"}}})


@pytest.fixture
def limits() -> Limits:
    return Limits(pause_seconds=0.2, sessions_each=2)


@dataclass
class Host:
    """A host that writes its own messages."""

    http: httpx2.AsyncClient
    url: str
    session: str

    @property
    def headers(self) -> dict[str, str]:
        return {**JSON, "mcp-session-id": self.session, "mcp-protocol-version": "2025-11-25"}

    async def send(self, **message: Any) -> httpx2.Response:
        return await self.http.post(self.url, json={"jsonrpc": "2.0", **message}, headers=self.headers)

    async def call(self, name: str, number: Any = 1, **meta: Any) -> httpx2.Response:
        params = {"name": name, "arguments": {}} | ({"_meta": meta} if meta else {})
        return await self.send(id=number, method="tools/call", params=params)

    def streamed(self, name: str, **meta: Any) -> Any:
        params = {"name": name, "arguments": {}, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return self.http.stream("POST", self.url, json=message, headers=self.headers)

    def listen(self) -> Any:
        return self.http.stream("GET", self.url, headers=self.headers | {"accept": "text/event-stream"})


def initialize(**params: Any) -> dict[str, Any]:
    capabilities = {"elicitation": {}}
    client = {"name": "test", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client} | params
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


@asynccontextmanager
async def host(world: World) -> AsyncIterator[Host]:
    async with world.http() as base, httpx2.AsyncClient(timeout=5) as http:
        yield await greeted(http, f"{base}/mcp")


async def greeted(http: httpx2.AsyncClient, url: str) -> Host:
    answer = await http.post(url, json=initialize(), headers=JSON)
    found = Host(http, url, answer.headers["mcp-session-id"])
    assert (await found.send(method="notifications/initialized")).status_code == 202
    return found


async def messages(stream: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def outcomes(world: World, count: int) -> list[str]:
    with anyio.fail_after(5):
        while len(world.events) < count:
            await world.audit.flush()
            await anyio.lowlevel.checkpoint()
    return [event.outcome for event in world.events]


@pytest.mark.parametrize("params", [{"name": "count", "arguments": {}}, {}, None])
async def test_a_call_without_an_id_is_a_notification_and_runs_nothing(
    world: World, params: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """There would be nobody to answer. Nor is it a way to fill the log."""
    ran = []

    @world.tool
    def count() -> str:
        """Counts."""
        ran.append(1)
        return "counted"

    async with host(world) as opened:
        assert (await opened.send(method="tools/call", **({} if params is None else {"params": params}))).is_success
        answer = (await opened.call("count")).json()
    assert answer["result"]["content"][0]["text"] == "counted"
    assert ran == [1]
    assert await outcomes(world, 1) == ["done"]
    assert "Traceback" not in caplog.text


async def test_a_question_without_an_id_leaves_no_stack_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with host(world) as opened:
        forged = {"uri": "file:///a", "requestState": 7}
        assert (await opened.send(method="resources/read", params=forged)).is_success
        assert (await opened.send(id=2, method="ping")).json()["result"] == {}
    assert "Traceback" not in caplog.text


async def test_a_call_that_says_nothing_is_answered_with_one_json_object(world: World) -> None:
    world.tool(function_name="quick", description="d")(lambda: "é")
    async with host(world) as us:
        answer = await us.call("quick", number="a")
        listed = await us.send(id=2, method="tools/list")
        ping = await us.send(id=3, method="ping")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["mcp-session-id"] == us.session
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": "a",
        "result": {"content": [{"type": "text", "text": "é"}], "isError": False},
    }
    assert [tool["name"] for tool in listed.json()["result"]["tools"]] == ["quick"]
    assert ping.json() == {"jsonrpc": "2.0", "id": 3, "result": {}}


async def test_a_call_that_reports_is_answered_with_a_stream_in_order(world: World) -> None:
    @world.tool
    async def chatty(ctx: Context) -> str:
        """Says more than a line holds."""
        for step in range(200):
            await ctx.progress(step)
        await ctx.log("nearly", "warning")
        return "there"

    async with host(world) as us, us.streamed("chatty", progressToken="p") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["mcp-session-id"] == us.session
        *progress, line, last = [message async for message in messages(answer)]
    assert [message["params"]["progress"] for message in progress] == list(range(200))
    assert line["method"] == "notifications/message"
    assert last["result"]["content"][0]["text"] == "there"


async def test_a_long_silence_becomes_a_stream_with_signs_of_life(world: World) -> None:
    release = asyncio.Event()

    @world.tool
    async def silent() -> str:
        """Silent."""
        await release.wait()
        return "there"

    async with host(world) as us, us.streamed("silent") as answer:
        text = ""
        async for chunk in answer.aiter_text():
            text += chunk
            if text.count(": still working") == 2:
                release.set()
    assert text.startswith(": still working\r\n\r\n")
    assert '"there"' in text


def add_curious(world: World) -> None:
    @world.tool
    async def curious(ctx: Context) -> str:
        """Asks."""
        answer = await ctx.ask(FORM)
        return f"{answer.action} {dict(answer.content)}"


async def test_a_question_travels_on_the_call_and_its_answer_on_a_post(world: World) -> None:
    add_curious(world)
    async with host(world) as us, us.streamed("curious") as answer:
        stream = messages(answer)
        question = await anext(stream)
        assert (question["method"], question["params"]["message"]) == ("elicitation/create", "Your name?")
        for number in (99, None, question["id"], question["id"]):
            replied = await us.send(id=number, result={"action": "accept", "content": {"name": f"Ada {number}"}})
            assert replied.status_code == (400 if number is None else 202)
        last = await anext(stream)
    assert last["result"]["content"][0]["text"] == f"accept {{'name': 'Ada {question['id']}'}}"


async def test_a_host_may_refuse_a_question(world: World) -> None:
    add_curious(world)
    async with host(world) as us, us.streamed("curious") as answer:
        stream = messages(answer)
        question = await anext(stream)
        await us.send(id=question["id"], error={"code": -1, "message": "no"})
        last = await anext(stream)
    assert last["result"]["content"][0]["text"] == "decline {}"


async def test_another_person_cannot_answer_a_question(world: World) -> None:
    add_curious(world)
    async with host(world) as us, us.streamed("curious") as answer:
        stream = messages(answer)
        number = (await anext(stream))["id"]
        forged = {"jsonrpc": "2.0", "id": number, "result": {"action": "accept", "content": {"name": "Bob"}}}
        theirs = await us.http.post(us.url, json=forged, headers=us.headers | {"authorization": "Bearer bob"})
        his = await greeted(httpx2.AsyncClient(headers={"authorization": "Bearer bob"}), us.url)
        assert (await his.send(**forged)).status_code == 202
        await us.send(id=number, result={"action": "accept", "content": {"name": "Ada"}})
        last = await anext(stream)
        await his.http.aclose()
    assert theirs.status_code == 404
    assert last["result"]["content"][0]["text"] == "accept {'name': 'Ada'}"


def add_endless(world: World) -> asyncio.Event:
    started = asyncio.Event()

    @world.tool
    async def endless() -> str:
        """Endless."""
        started.set()
        await asyncio.Event().wait()
        return ""

    return started


@pytest.mark.parametrize("number", [1, "1", "call-1"])
async def test_a_cancelled_call_stops_and_is_answered_as_cancelled(world: World, number: Any) -> None:
    started = add_endless(world)
    async with host(world) as us:
        call = asyncio.create_task(us.call("endless", number))
        with anyio.fail_after(5):
            await started.wait()
            await us.send(method="notifications/cancelled", params={"requestId": "another"})
            assert not call.done()
            await us.send(method="notifications/cancelled", params={"requestId": number, "reason": "enough"})
            answer = await call
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": number,
        "error": {"code": -32800, "message": "Request cancelled"},
    }
    assert await outcomes(world, 1) == ["cancelled"]


async def test_a_host_that_hangs_up_has_cancelled_nothing(world: World) -> None:
    """MCP 2025-11-25, Transports: "Disconnection SHOULD NOT be interpreted as the client cancelling its request"."""
    release = asyncio.Event()

    @world.tool
    async def stubborn(ctx: Context) -> str:
        """Says more than a line holds, to nobody."""
        await ctx.progress(-1)
        await release.wait()
        for step in range(200):
            await ctx.progress(step)
        return str((await ctx.ask(FORM)).action)

    async with host(world) as us:
        async with us.streamed("stubborn", progressToken="p") as answer:
            await anext(messages(answer))
        assert (await us.send(id=2, method="ping")).status_code == 200
        release.set()
        assert await outcomes(world, 1) == ["done"]


async def test_a_deleted_session_takes_its_calls_and_its_stream_with_it(world: World) -> None:
    started = add_endless(world)
    async with host(world) as us, us.listen() as listening:
        call = asyncio.create_task(us.call("endless"))
        with anyio.fail_after(5):
            await started.wait()
            assert (await us.http.delete(us.url, headers=us.headers)).status_code == 200
            answer = await call
            assert [message async for message in messages(listening)] == []
        again = await us.send(id=2, method="ping")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "The session has ended.")
    assert again.status_code == 404
    assert await outcomes(world, 1) == ["cancelled"]


@pytest.mark.parametrize("limits", [Limits(pause_seconds=0.2, session_idle_seconds=0.8, sessions_each=2)], ids=["soon"])
async def test_a_session_without_a_request_for_its_time_ends(world: World) -> None:
    """But not while its stream is open, or a call runs."""
    release = asyncio.Event()

    @world.tool
    async def long() -> str:
        """Long."""
        await release.wait()
        return "there"

    async with host(world) as us:
        working = await greeted(us.http, us.url)
        async with us.listen() as listening, working.streamed("long") as answer:
            lives = 0
            async for chunk in listening.aiter_text():
                lives += chunk.count(": still working")
                if lives == 9:  # more than twice the time
                    break
            release.set()
            assert [message async for message in messages(answer)] != []
        assert (await us.send(id=2, method="ping")).status_code == 200
        with anyio.fail_after(5):
            while (await us.http.post(us.url, json=initialize(), headers=JSON)).status_code == 429:
                await anyio.lowlevel.checkpoint()
        ended = [await one.send(id=3, method="ping") for one in (us, working)]
    assert 404 in [answer.status_code for answer in ended]


async def test_a_session_has_one_stream_and_hears_of_changes_on_it(world: World) -> None:
    async with host(world) as us, us.listen() as listening:
        assert (await us.http.get(us.url, headers=us.headers)).status_code == 409
        world.tool(function_name="fresh", description="d")(lambda: "")
        with anyio.fail_after(5):
            assert (await anext(messages(listening)))["method"] == "notifications/tools/list_changed"


async def test_a_handshake_that_fails_leaves_no_session(world: World) -> None:
    async with host(world) as us:
        for _ in range(3):
            failed = await us.http.post(us.url, json=initialize(clientInfo=None), headers=JSON)
            assert failed.json()["error"]["code"] == -32602
            assert "mcp-session-id" not in failed.headers
        await greeted(us.http, us.url)
        third = await us.http.post(us.url, json=initialize(), headers=JSON)
    assert third.status_code == 429


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"accept": "application/json"}, 406),
        ("POST", {"content-type": "text/plain"}, 400),
        ("GET", {"accept": "application/json"}, 406),
        ("PUT", {}, 405),
        ("DELETE", {"mcp-session-id": ""}, 400),
    ],
)
async def test_what_the_transport_does_not_know_is_refused(
    world: World, method: str, headers: dict[str, str], status: int
) -> None:
    async with host(world) as us:
        ping = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        answer = await us.http.request(method, us.url, content=ping, headers=us.headers | headers)
    assert answer.status_code == status


@pytest.mark.parametrize("message", [{"id": 1}, {"id": None, "method": "ping"}, {"method": 5}, {"params": {}}])
async def test_what_is_no_message_is_refused(world: World, message: dict[str, Any]) -> None:
    async with host(world) as us:
        answer = await us.send(**message)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)

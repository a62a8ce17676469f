"""Streamable HTTP and HTTP+SSE over real sockets: sessions, edges, disconnects."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import INVALID_PARAMS

from gateway import Context
from gateway.surfaces.mcp.limits import Limits
from tests.surfaces.mcp.world import World, text_of

JSON_HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
MODERN = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
def limits() -> Limits:
    return Limits(sessions_each=3, body_bytes=10_000)


def add_tools(world: World) -> None:
    @world.tool(auth_provider="hubspot")
    def whoami(auth_token: str) -> str:
        """Who."""
        return auth_token.removeprefix("token-of-")

    @world.tool
    async def slow(ctx: Context) -> str:
        """Reports once and then waits for ever."""
        await ctx.progress(1)
        await asyncio.Event().wait()
        return ""

    world.consents.connected |= {("alice", "hubspot"), ("bob", "hubspot")}


def modern(method: str, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Body and headers of one modern request."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": ENVELOPE}}
    headers = {**JSON_HEADERS, "mcp-protocol-version": MODERN, "mcp-method": method}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return body, headers


def as_person(name: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(headers={"authorization": f"Bearer {name}"}, timeout=5)


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


async def open_session(http: httpx2.AsyncClient, url: str) -> str:
    answer = await http.post(f"{url}/mcp", json=INITIALIZE, headers=JSON_HEADERS)
    assert answer.status_code == 200, answer.text
    session = answer.headers["mcp-session-id"]
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await http.post(f"{url}/mcp", json=ready, headers={**JSON_HEADERS, "mcp-session-id": session})
    return str(session)


async def call_in_session(http: httpx2.AsyncClient, url: str, session: str, tool: str) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    return await http.post(f"{url}/mcp", json=body, headers={**JSON_HEADERS, "mcp-session-id": session})


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_each_person_is_served_as_themselves(world: World, era: str, path: str) -> None:
    add_tools(world)
    async with world.http() as url:
        for name in ("alice", "bob"):
            async with as_person(name) as http:
                if path == "/mcp":
                    transport = streamable_http_client(f"{url}/mcp", http_client=http)
                else:
                    transport = sse_client(f"{url}/sse", headers={"authorization": f"Bearer {name}"})
                async with Client(transport, mode=era) as client:
                    assert text_of(await client.call_tool("whoami")) == name


async def test_a_session_answers_only_the_person_who_opened_it(world: World) -> None:
    """A stolen session id is exactly as good as an unknown one: POST, GET and DELETE."""
    add_tools(world)
    async with world.http() as url, as_person("alice") as alice, as_person("bob") as bob:
        session = await open_session(alice, url)
        headers = {**JSON_HEADERS, "mcp-session-id": session}
        unknown = {**JSON_HEADERS, "mcp-session-id": "0" * 32}
        for method in ("POST", "GET", "DELETE"):
            content = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) if method == "POST" else None
            stolen = await bob.request(method, f"{url}/mcp", headers=headers, content=content)
            invented = await bob.request(method, f"{url}/mcp", headers=unknown, content=content)
            assert (stolen.status_code, stolen.content) == (invented.status_code, invented.content)
            assert stolen.status_code == 404
        mine = await call_in_session(alice, url, session, "whoami")
    assert '"alice"' in mine.text


async def test_a_session_answers_only_through_the_client_that_opened_it(world: World) -> None:
    add_tools(world)
    async with world.http() as url, as_person("alice/inspector") as here, as_person("alice/another") as there:
        session = await open_session(here, url)
        assert (await call_in_session(there, url, session, "whoami")).status_code == 404
        assert (await call_in_session(here, url, session, "whoami")).status_code == 200


async def test_messages_to_somebody_elses_sse_stream_are_not_taken(world: World) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with (
        world.http() as url,
        as_person("alice") as alice,
        as_person("bob") as bob,
        alice.stream("GET", f"{url}/sse") as stream,
    ):
        endpoint = url + (await anext(data_lines(stream))).removeprefix("data: ")
        stolen = await bob.post(endpoint, json=ping)
        mine = await alice.post(endpoint, json=ping)
    assert (stolen.status_code, stolen.text) == (404, "Could not find session")
    assert mine.status_code == 202


async def test_a_request_that_nobody_vouched_for_is_refused(world: World) -> None:
    body, headers = modern("tools/list")
    async with world.http() as url, as_person("nobody") as http:
        assert (await http.post(f"{url}/mcp", json=body, headers=headers)).status_code == 401
        assert (await http.get(f"{url}/sse")).status_code == 401
        assert (await http.post(f"{url}/messages/", json=body)).status_code == 401


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/"])
@pytest.mark.parametrize(
    ("header", "status"), [({"host": "evil.example"}, 421), ({"origin": "http://evil.example"}, 403)]
)
async def test_other_hosts_and_origins_are_refused(
    world: World, path: str, header: dict[str, str], status: int
) -> None:
    """DNS rebinding, at every route, even if no edge stood in front."""
    body, headers = modern("tools/list")
    method = "GET" if path == "/sse" else "POST"
    async with world.http() as url, as_person("alice") as http:
        answer = await http.request(method, url + path, headers={**headers, **header}, content=json.dumps(body))
    assert answer.status_code == status


@pytest.mark.parametrize(
    "content",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\udc00"}}',
        b"[]",
        b"",
        b"\xff\xff",
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
async def test_a_body_that_two_parsers_read_differently_is_refused(world: World, path: str, content: bytes) -> None:
    async with world.http() as url, as_person("alice") as http:
        answer = await http.post(url + path, content=content, headers={**JSON_HEADERS, "mcp-protocol-version": MODERN})
    assert answer.status_code == 400
    assert answer.json()["id"] is None
    assert answer.json()["error"]["code"] in (-32700, -32600)


async def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    async with world.http() as url, as_person("alice") as http:
        answer = await http.post(f"{url}/mcp", content=b"x" * 10_001, headers=JSON_HEADERS)
    assert answer.status_code == 413


async def test_headers_that_contradict_the_body_are_refused_and_nothing_runs(world: World) -> None:
    ran = False

    @world.tool
    def danger() -> str:
        """Dangerous."""
        nonlocal ran
        ran = True
        return ""

    body, headers = modern("tools/call", name="danger", arguments={})
    async with world.http() as url, as_person("alice") as http:
        answer = await http.post(f"{url}/mcp", json=body, headers={**headers, "mcp-name": "safe"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    assert not ran


async def test_a_mirrored_argument_must_match_its_header(world: World) -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    world.tool(function_name="mirror", description="d", input_schema=schema)(lambda **given: given["region"])
    body, headers = modern("tools/call", name="mirror", arguments={"region": "eu"})
    async with world.http() as url, as_person("alice") as http:
        right = await http.post(f"{url}/mcp", json=body, headers={**headers, "mcp-param-region": "eu"})
        wrong = await http.post(f"{url}/mcp", json=body, headers={**headers, "mcp-param-region": "us"})
    assert right.json()["result"]["content"][0]["text"] == "eu"
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, -32020)


async def test_one_person_cannot_take_everybodys_sessions(world: World) -> None:
    add_tools(world)
    async with world.http() as url, as_person("alice") as alice, as_person("bob") as bob:
        sessions = [await open_session(alice, url) for _ in range(3)]
        refused = await alice.post(f"{url}/mcp", json=INITIALIZE, headers=JSON_HEADERS)
        await open_session(bob, url)
        await alice.delete(f"{url}/mcp", headers={"mcp-session-id": sessions[0]})
        await open_session(alice, url)
    assert refused.status_code == 429
    assert "End one" in refused.json()["error"]["message"]


async def test_modern_requests_need_no_session_and_are_never_capped(world: World) -> None:
    add_tools(world)
    body, headers = modern("tools/call", name="whoami", arguments={})
    async with world.http() as url, as_person("alice") as http:
        for _ in range(3):
            await open_session(http, url)
        answer = await http.post(f"{url}/mcp", json=body, headers=headers)
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers


async def test_one_person_may_open_only_so_many_sse_streams(world: World) -> None:
    async with world.http() as url, as_person("alice") as http, anyio.create_task_group() as tasks:
        opened: list[int] = []
        three = anyio.Event()

        async def hold() -> None:
            async with http.stream("GET", f"{url}/sse") as stream:
                opened.append(stream.status_code)
                if len(opened) == 3:
                    three.set()
                await anyio.sleep_forever()

        for _ in range(3):
            tasks.start_soon(hold)
        with anyio.fail_after(5):
            await three.wait()
            assert (await http.get(f"{url}/sse")).status_code == 429
        tasks.cancel_scope.cancel()


async def test_a_host_that_hangs_up_cancels_its_call(world: World) -> None:
    """Only because answers are streams; a JSON-only server would run the tool to its end."""
    add_tools(world)
    body, headers = modern("tools/call", name="slow", arguments={})
    body["params"]["_meta"] = {**ENVELOPE, "progressToken": 1}
    async with world.http() as url, as_person("alice") as http:
        async with http.stream("POST", f"{url}/mcp", json=body, headers=headers) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert "progress" in await anext(data_lines(stream))
        with anyio.fail_after(5):
            while not world.events:
                await world.audit.flush()
                await anyio.lowlevel.checkpoint()
    assert [event.outcome for event in world.events] == ["cancelled"]


async def data_lines(stream: httpx2.Response) -> Any:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield line


async def test_nobody_cancels_somebody_elses_call(world: World) -> None:
    """`notifications/cancelled` with a guessed id does nothing outside its own session."""
    release = asyncio.Event()
    started = asyncio.Event()

    @world.tool
    async def held() -> str:
        """Waits until it is released."""
        started.set()
        await release.wait()
        return "finished"

    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    async with world.http() as url, as_person("alice") as alice, as_person("bob") as bob:
        hers, his = await open_session(alice, url), await open_session(bob, url)
        call = asyncio.create_task(call_in_session(alice, url, hers, "held"))
        with anyio.fail_after(5):
            await started.wait()
            for session in (his, hers):
                await bob.post(f"{url}/mcp", json=cancel, headers={**JSON_HEADERS, "mcp-session-id": session})
            await bob.post(f"{url}/mcp", json=cancel, headers={**JSON_HEADERS, "mcp-protocol-version": MODERN})
            release.set()
            answer = await call
    assert "finished" in answer.text


async def test_a_stream_cannot_be_resumed_into_anybodys_answers(world: World) -> None:
    """No event store: there is nothing to replay, whatever Last-Event-ID says."""
    async with world.http() as url, as_person("alice") as http:
        session = await open_session(http, url)
        headers = {"accept": "text/event-stream", "mcp-session-id": session, "last-event-id": "1"}
        with anyio.move_on_after(0.5):
            answer = await http.get(f"{url}/mcp", headers=headers)
            assert "data: {" not in answer.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_the_modern_endpoint_takes_only_posts(world: World, method: str) -> None:
    async with world.http() as url, as_person("alice") as http:
        answer = await http.request(method, f"{url}/mcp", headers={"mcp-protocol-version": MODERN})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_parameters_of_the_wrong_shape_are_a_protocol_error(world: World) -> None:
    async with world.http() as url, as_person("alice") as http:
        for params in ({"name": 5}, {"name": "a", "arguments": [1]}, {}):
            body, headers = modern("tools/call", **params)
            headers["mcp-name"] = str(params.get("name", ""))
            answer = await http.post(f"{url}/mcp", json=body, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] in (INVALID_PARAMS, -32020)


async def test_a_handshake_session_must_shake_hands_first(world: World) -> None:
    add_tools(world)
    async with world.http() as url, as_person("alice") as http:
        answer = await http.post(f"{url}/mcp", json=INITIALIZE, headers=JSON_HEADERS)
        session = answer.headers["mcp-session-id"]
        called = await call_in_session(http, url, session, "whoami")
        no_session = await http.post(
            f"{url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=JSON_HEADERS
        )
    assert '"alice"' in called.text  # `initialize` alone opens the gate, `initialized` may come late
    assert no_session.status_code == 400

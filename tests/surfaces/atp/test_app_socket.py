"""The app's WebSocket, with a client that is as odd as it likes. The SDK's own goes through test_tasks.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.errors import StoreUnavailableError
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.app_socket import MOST_SOCKETS, AppSockets
from gateway.surfaces.atp.keys import ExactUrls
from gateway.surfaces.atp.requests import LARGEST_BODY, RefusalError
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.server import MESSAGE_LIMIT
from gateway.testing.serving import listen, serving

KEY, OTHERS_KEY = "app-key-7f3a9c51d2", "another-key-0123"
CONTEXT = {"type": "get_toolkit_context", "request_id": "r1", "toolkit_id": "crm"}


def task(request_id: str, function: str = "echo", **more: Any) -> dict[str, Any]:
    payload = {"function": function, "parameters": {"name": "Ada"}}
    return {"type": "task_request", "request_id": request_id, "toolkit_id": "crm", "payload": payload, **more}


class Line:
    """The client's end, with every wait bounded."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, *messages: Any) -> None:
        for message in messages:
            await self.connection.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        with anyio.fail_after(5):
            heard: dict[str, Any] = json.loads(await self.connection.recv())
            return heard

    async def ask(self, message: Any) -> dict[str, Any]:
        await self.say(message)
        return await self.hear()

    async def end(self) -> int:
        """The code that the server closes with."""
        with anyio.fail_after(5), pytest.raises(ConnectionClosed) as closed:
            await self.connection.recv()
        assert closed.value.rcvd
        return closed.value.rcvd.code


@asynccontextmanager
async def line_to(base_url: str, path_key: str = KEY, key: str | None = KEY, **more: Any) -> AsyncIterator[Line]:
    """A line to the gateway; authenticated, unless `key` is None."""
    url = base_url.replace("http:", "ws:") + f"/ws/v1/atp/llm-client/{path_key}/"
    async with connect(url, max_size=None, **more) as connection:
        line = Line(connection)
        if key is not None:
            assert (await line.ask({"type": "auth", "api_key": key}))["success"] is True
        yield line


class Keys:
    """Keys that can be revoked, in a store that can be away."""

    def __init__(self) -> None:
        self.apps = {KEY: App("shop", ExactUrls(()), frozenset({"call"}))}
        self.away = False

    async def app(self, key: str) -> App:
        if self.away:
            raise StoreUnavailableError("The database does not answer. Try again in a moment.")
        if key not in self.apps:
            raise RefusalError(401, "unknown_key", "This key was revoked.")
        return self.apps[key]


class Nobody:
    """Stands for an authenticator: the door is public."""

    async def program(self, headers: Any) -> None:
        return None

    browser = program


class Slow:
    """Stands for `Tasks`: answers a message when it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = self.most = 0

    async def answer(self, app: App, message: dict[str, Any]) -> dict[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        if message["type"] == "bug":
            raise RuntimeError("at db.internal with password hunter2")
        return {"type": "task_response", "request_id": message["request_id"]}


@asynccontextmanager
async def alone(keys: Any, tasks: Any, **numbers: Any) -> AsyncIterator[str]:
    route = WebSocketRoute("/ws/v1/atp/llm-client/{api_key}/", AppSockets(keys, tasks, **numbers).serve)
    async with serving(Starlette(routes=[route])) as base_url:
        yield base_url


@pytest.mark.parametrize(
    ("path_key", "first"),
    [
        (KEY, {"type": "auth", "api_key": "wrong"}),
        (KEY, {"type": "auth", "api_key": 7}),
        (KEY, {"type": "auth"}),
        (KEY, {"type": "task_request", "api_key": KEY}),
        (KEY, {"type": "auth", "api_key": OTHERS_KEY}),
        ("wrong", {"type": "auth", "api_key": KEY}),
        (KEY, "auth"),
    ],
)
async def test_nobody_enters_without_a_key_of_the_same_app_in_path_and_first_message(
    serve: Any, path_key: str, first: Any
) -> None:
    async with serve() as house, line_to(house.base_url, path_key, None) as line:
        answer = await line.ask(first)

        assert (answer["type"], answer["success"]) == ("auth_response", False)
        assert answer["error"].endswith((".", "first, and at once."))
        assert KEY not in answer["error"]
        assert await line.end() == 1008


async def test_an_app_has_so_many_sockets_and_one_that_it_closes_makes_room() -> None:
    async with alone(Keys(), Slow()) as url:
        async with AsyncExitStack() as lines:
            for _ in range(MOST_SOCKETS):
                await lines.enter_async_context(line_to(url))
            async with line_to(url, key=None) as one_more:
                refused = await one_more.ask({"type": "auth", "api_key": KEY})
        async with line_to(url):
            pass

    assert (refused["success"], refused["error"]) == (False, f"This app has {MOST_SOCKETS} sockets open. Close some.")


async def test_whoever_does_not_say_who_they_are_is_not_waited_for() -> None:
    async with alone(Keys(), Slow(), auth_seconds=0.05) as url, line_to(url, key=None) as line:
        assert (await line.hear())["success"] is False
        assert await line.end() == 1008


async def test_a_page_of_another_site_is_refused_before_the_handshake_and_the_sdks_own_origin_is_not() -> None:
    """websocket-client, on which the SDK stands, sends the origin that it connects to."""
    slow, path = Slow(), "/ws/v1/atp/llm-client/{api_key}/"
    inner = Starlette(routes=[WebSocketRoute(path, AppSockets(Keys(), slow).serve)])
    doors = Doors(public=["/ws/v1/atp/llm-client/*"])
    listener = listen()
    port = listener.getsockname()[1]
    listener.close()
    edge = Edge(inner, Nobody(), doors, Addresses.of("https://gateway.example", "10.0.0.1", port))
    async with serving(edge, port=port) as base_url:
        with pytest.raises(InvalidStatus) as refused:
            async with line_to(base_url, origin="http://shop.example"):
                pass
        async with line_to(base_url, origin=base_url), line_to(base_url, origin="https://gateway.example"):
            pass

    assert refused.value.response.status_code == 403


async def test_questions_are_answered_by_their_request_id_as_soon_as_each_is_done(serve: Any) -> None:
    async with serve() as house, line_to(house.base_url) as line:
        release = asyncio.Event()
        held = house.hold("wait", release)
        await line.say(task("slow", "wait"), task("fast"))

        assert (await line.hear())["request_id"] == "fast"
        await held.until(lambda: held.running == 1)
        release.set()
        assert (await line.hear())["request_id"] == "slow"


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "7", "null", '{"request_id": NaN}', "[" * 100_000, '{"a":' * 50_000, '{"type": "\\ud800"}']
    + [json.dumps(CONTEXT | {"request_id": wrong}) for wrong in (None, 7, "", "x" * 400, ["r1"])]
    + [json.dumps(task("r1") | {"type": wrong}) for wrong in (None, 7, "dance", "auth")],
)
async def test_what_is_no_question_is_answered_with_an_error_and_the_next_is_served(serve: Any, frame: str) -> None:
    async with serve() as house, line_to(house.base_url) as line:
        await line.connection.send(frame)

        answer = await line.hear()
        assert (answer["type"], answer["code"]) == ("error", "invalid_request")
        assert answer["request_id"] in (None, "r1")
        assert (await line.ask(task("r2")))["status"] == "success"


async def test_binary_messages_and_giant_ones_end_the_socket_with_a_code(serve: Any) -> None:
    async with serve() as house:
        async with line_to(house.base_url) as line:
            await line.connection.send(b"\x00\xff")
            assert await line.end() == 1003
        async with line_to(house.base_url, key=None) as line:
            await line.connection.send(b"\x00\xff")
            assert (await line.hear())["success"] is False
            assert await line.end() == 1008
        async with line_to(house.base_url) as line:
            with suppress(ConnectionClosed):
                await line.connection.send(json.dumps(task("r1", more="x" * MESSAGE_LIMIT)))
            assert await line.end() == 1009


async def test_a_message_that_is_too_large_is_refused_and_the_next_is_served(serve: Any) -> None:
    async with serve() as house, line_to(house.base_url) as line:
        assert (await line.ask(task("r1", more="x" * LARGEST_BODY)))["code"] == "too_large"
        assert (await line.ask(task("r2")))["status"] == "success"


async def test_a_context_that_cannot_be_given_is_said_at_once_in_the_type_that_the_sdk_waits_for(serve: Any) -> None:
    async with serve() as house, line_to(house.base_url) as line:
        answer = await line.ask(CONTEXT | {"toolkit_id": "nope"})

        assert (answer["type"], answer["request_id"], answer["code"]) == ("toolkit_context", "r1", "unknown_toolkit")
        assert answer["payload"] == {"error": answer["message"]}


async def test_a_client_that_hangs_up_has_its_calls_cancelled(serve: Any) -> None:
    async with serve() as house:
        held = house.hold("wait", asyncio.Event())
        async with line_to(house.base_url) as line:
            await line.say(task("r1", "wait"), task("r2", "wait"))
            await held.until(lambda: held.running == 2)
        await held.until(lambda: held.cancelled == 2)


async def test_so_many_messages_are_worked_on_so_many_wait_and_the_rest_is_refused() -> None:
    slow = Slow()
    async with alone(Keys(), slow, at_once=2, waiting=3) as url, line_to(url) as line:
        await line.say(*(task(f"r{n}") for n in range(7)))
        refused = [await line.hear(), await line.hear()]
        slow.go.set()
        answered = [await line.hear() for _ in range(5)]

    assert [(r["request_id"], r["code"]) for r in refused] == [("r5", "too_many_requests"), ("r6", "too_many_requests")]
    assert {r["request_id"] for r in answered} == {f"r{n}" for n in range(5)}
    assert slow.most == 2


async def test_messages_that_wait_are_counted_by_their_size_too() -> None:
    async with alone(Keys(), Slow()) as url, line_to(url) as line:
        await line.say(*(task(f"r{n}", more="x" * 1_000_000) for n in range(5)))

        assert (await line.hear())["code"] == "too_many_requests"


async def test_a_revoked_key_ends_its_socket() -> None:
    keys = Keys()
    async with alone(keys, Slow(), key_seconds=0.02) as url, line_to(url) as line:
        keys.apps.clear()

        assert await line.end() == 1008


async def test_a_question_with_a_key_that_has_just_been_revoked_is_refused() -> None:
    keys, slow = Keys(), Slow()
    async with alone(keys, slow) as url, line_to(url) as line:
        keys.apps.clear()

        assert (await line.ask(task("r1")))["code"] == "unknown_key"


async def test_a_store_that_is_away_for_a_moment_revokes_nothing() -> None:
    keys, slow = Keys(), Slow()
    slow.go.set()
    async with alone(keys, slow, key_seconds=0.01) as url, line_to(url) as line:
        keys.away = True
        away = await line.ask(task("r1"))
        keys.away = False

        assert away["code"] == "store_unavailable"
        assert (await line.ask(task("r2")))["type"] == "task_response"


async def test_a_bug_in_one_answer_is_told_by_a_reference_and_the_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()
    slow.go.set()
    async with alone(Keys(), slow) as url, line_to(url) as line:
        answer = await line.ask(task("r1") | {"type": "bug"})

        assert (answer["request_id"], answer["code"]) == ("r1", "internal_error")
        assert "hunter2" not in answer["message"]
        assert answer["message"].split()[-1].strip(".") in caplog.text
        assert (await line.ask(task("r2")))["type"] == "task_response"

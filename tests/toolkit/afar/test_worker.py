"""Our ToolKitClient as a worker of a gateway elsewhere: what it says of its tools, and how it serves calls."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway import CapabilityMissingError, Context, Credential, Form, Image, ToolError, ToolKitClient
from gateway.errors import GatewayError, KeyRefusedError
from gateway.toolkit.afar.work import LONGEST_DELAY, delay_after
from gateway.toolkit.tool import Annotations

KEY = "atpg_toolkit_" + "k" * 43
TOKEN = "token-CNRY-0123456789"


@pytest.fixture
def client(desk: Any) -> ToolKitClient:
    return ToolKitClient(api_key=KEY, app_name="crm", base_url=desk.url)


@pytest.fixture(params=["ws", "http"])
def call(request: pytest.FixtureRequest, desk: Any) -> Callable[..., Any]:
    """Has a tool called over either line; gives the answer's value and whether it is an error."""

    async def over_the_socket(tool: str, token: str | None = None, /, **params: Any) -> tuple[Any, bool]:
        answer = await desk.call(tool, token, **params)
        return answer["result"], answer.get("is_error", False)

    async def through_the_inbox(tool: str, token: str | None = None, /, **params: Any) -> tuple[Any, bool]:
        asked = desk.request(tool, token, **params)
        desk.requests.put_nowait(asked)
        answer = await desk.answer_to(asked["request_id"])
        return answer["response"], answer.get("is_error", False)

    found = over_the_socket if request.param == "ws" else through_the_inbox
    found.protocol = request.param  # type: ignore[attr-defined]
    return found


@pytest.fixture
def either(call: Any, desk: Any) -> ToolKitClient:
    """A client for the line that `call` uses."""
    return ToolKitClient(KEY, "crm", desk.url, protocol=call.protocol)


async def test_it_says_all_that_is_known_of_a_tool_and_not_its_source(desk: Any, client: Any, started: Any) -> None:
    @client.tool(
        auth_provider="hubspot",
        scopes=["b", "a"],
        annotations=Annotations(title="Find", read_only=True),
        output_schema={"type": "object"},
        timeout=7,
    )
    def find(email: str, credential: Credential, limit: int = 3) -> dict[str, str]:
        """Finds a contact.

        Args:
            email: Where they are written to.
        """
        return {"secret of the source": email}

    async with started(client):
        await desk.until(lambda: desk.sockets)

    (body,) = desk.registered.values()
    said = body["metadata"]
    assert (body["function_id"], body["app_name"]) == ("find", "crm")
    assert (said["params"], said["required_params"]) == (["email", "limit"], ["email"])
    assert said["input_schema"]["properties"]["email"]["description"] == "Where they are written to."
    assert said["output_schema"] == {"type": "object"}
    assert said["annotations"] == {"title": "Find", "read_only": True}
    assert (said["auth_provider"], said["auth_type"], said["scopes"]) == ("hubspot", "oauth2", ["a", "b"])
    assert (said["timeout"], said["description"]) == (7, "Finds a contact.")
    assert "secret of the source" not in str(body)


async def test_the_key_travels_in_a_header_and_nowhere_else(desk: Any, client: Any, started: Any) -> None:
    client.tool(lambda_named("t"))
    async with started(client):
        await desk.until(lambda: desk.sockets)

    assert {headers["authorization"] for headers in desk.headers} == {f"ApiKey {KEY}"}
    assert KEY not in str(desk.told)
    assert KEY not in repr(client) + repr(vars(client))


async def test_a_gateway_that_knows_the_tools_is_not_told_again_and_of_a_changed_one_only_that(
    desk: Any, client: Any, started: Any
) -> None:
    for name in ("a", "b"):
        client.tool(lambda_named(name))
    async with started(client):
        await desk.until(lambda: desk.sockets)
    desk.registered.clear()
    again = ToolKitClient(KEY, "crm", desk.url)
    again.tool(lambda_named("a"))
    again.tool("b", description="Something else.")(lambda_named("b"))
    async with started(again):
        await desk.until(lambda: desk.sockets)

    assert list(desk.registered) == ["b"]


async def test_a_tool_that_the_gateway_does_not_take_is_named_and_the_others_are_served(
    desk: Any, client: Any, started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("bad_one", "good_one"):
        client.tool(lambda_named(name))
    async with started(client):
        assert (await desk.call("good_one"))["result"] == "good_one"

    assert "the gateway does not take bad_one: That is taken." in caplog.text


async def test_tools_that_come_and_go_while_it_serves_are_told(desk: Any, client: Any, started: Any) -> None:
    client.tool(lambda_named("a"))
    async with started(client):
        await desk.until(lambda: desk.sockets)
        client.tool(lambda_named("b"))
        await desk.until(lambda: "b" in desk.registered)
        before = len(desk.told)
        client.unregister_tool("a")
        await desk.until(lambda: [what for what, _ in desk.told[before:]].count("verify_tool_hash") == 1)

    assert desk.told[-1][1].get("tool_name", "b") == "b"


async def test_functions_of_every_kind_answer_with_json(either: Any, started: Any, call: Any) -> None:
    @either.tool
    def plain(number: int) -> dict[str, int]:
        return {"double": number * 2}

    @either.tool
    async def awaited(name: str) -> str:
        await asyncio.sleep(0)
        return f"hello {name}"

    @either.tool
    def nothing() -> None: ...

    @either.tool
    def picture() -> Any:
        return Image(b"\0")

    @either.register_tool("loose", ["a"], ["a"], "Loose.", None, None, None)
    def loose(**kwargs: Any) -> Any:
        return kwargs

    async with started(either):
        assert await call("plain", number=4) == ({"double": 8}, False)
        assert await call("awaited", name="Ada") == ("hello Ada", False)
        assert await call("nothing") == (None, False)
        assert await call("picture") == ([{"type": "image", "mimeType": "image/png", "data": "AA=="}], False)
        assert await call("loose", a=1) == ({"a": 1}, False)


async def test_the_token_arrives_in_every_way_that_a_function_may_want_it(either: Any, started: Any, call: Any) -> None:
    needs = {"auth_provider": "hubspot"}

    @either.tool(**needs)
    def by_name(auth_token: str) -> str:
        return auth_token[:5]

    @either.tool(**needs)
    def as_credential(credential: Credential) -> Any:
        return [credential.token[:5], credential.provider]

    @either.register_tool("among_others", [], [], "", "hubspot", "oauth2", "access_token")
    def among_others(**kwargs: Any) -> str:
        return str(kwargs["auth_token"][:5])

    async with started(either):
        assert await call("by_name", TOKEN) == ("token", False)
        assert await call("as_credential", TOKEN) == (["token", "hubspot"], False)
        assert await call("among_others", TOKEN) == ("token", False)


async def test_what_else_a_gateway_of_ours_says_of_a_credential_arrives_too(
    desk: Any, client: Any, started: Any
) -> None:
    @client.tool(auth_provider="salesforce")
    def where(credential: Credential) -> Any:
        return [credential.extras["instance_url"], credential.account, sorted(credential.scopes), credential.expires_at]

    asked = desk.request("where", TOKEN) | {
        "credential": {
            "provider": "salesforce",
            "account": "work",
            "scopes": ["api"],
            "expires_at": "2026-05-01T12:00:00Z",
            "extras": {"instance_url": "https://eu.salesforce.example"},
        }
    }
    async with started(client):
        answer = await desk.answer_to(await desk.send(asked))

    assert answer["result"] == ["https://eu.salesforce.example", "work", ["api"], "2026-05-01T12:00:00+00:00"]


async def test_what_a_tool_says_is_told_and_what_it_did_not_mean_to_say_is_not(
    either: Any, started: Any, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @either.tool
    def refuse() -> None:
        raise ToolError("There is no such contact.")

    @either.tool(auth_provider="hubspot")
    def crash(auth_token: str) -> None:
        raise RuntimeError(f"at db.internal with {auth_token}")

    @either.tool
    def asks(ctx: Context) -> Any:
        ctx.wait(ctx.progress(1, 2))
        ctx.wait(ctx.log("half"))
        return ctx.wait(ctx.ask(Form("Which?", {"type": "object"})))

    @either.tool(timeout=0.1)
    async def slow() -> None:
        await asyncio.Event().wait()

    @either.tool
    def unsendable() -> Any:
        return object()

    async with started(either):
        assert await call("refuse") == ({"error": "There is no such contact."}, True)
        value, failed = await call("crash", TOKEN)
        assert failed
        assert "db.internal" not in value["error"]
        assert value["error"].split()[-1].rstrip(".") in caplog.text
        assert TOKEN not in caplog.text
        assert await call("asks") == ({"error": CapabilityMissingError("form").message}, True)
        assert await call("slow") == ({"error": "slow did not finish within 0.1 s."}, True)
        assert "cannot be sent" in (await call("unsendable"))[0]["error"]
        assert (await call("no_such_tool"))[1]
        assert "name" in (await call("refuse", unknown=1))[0]["error"] or (await call("refuse", unknown=1))[1]


async def test_an_answer_that_is_too_large_is_an_error_and_the_line_holds(either: Any, started: Any, call: Any) -> None:
    @either.tool
    def much(size: int) -> str:
        return "x" * size

    async with started(either):
        assert (await call("much", size=2_000_000))[1]
        assert await call("much", size=900_000) == ("x" * 900_000, False)


@pytest.mark.parametrize("kind", ["async", "threads"])
async def test_so_many_calls_run_at_a_time_and_one_too_many_is_told(desk: Any, started: Any, kind: str) -> None:
    client = ToolKitClient(KEY, "crm", desk.url, concurrency=3)
    go = threading.Event()
    inside = threading.Semaphore(0)

    if kind == "async":

        @client.tool
        async def wait() -> str:
            inside.release()
            await asyncio.to_thread(go.wait, 5)
            return "done"
    else:

        @client.tool
        def wait() -> str:
            inside.release()
            go.wait(5)
            return "done"

    async with started(client):
        asked = [await desk.send(desk.request("wait")) for _ in range(3)]
        for _ in asked:
            assert await asyncio.to_thread(inside.acquire, timeout=5)
        refused = await desk.call("wait")
        go.set()
        answers = [await desk.answer_to(each) for each in asked]

    assert desk.headers[-1]["atp-concurrency"] == "3"
    assert (refused["is_error"], "busy with 3" in refused["result"]["error"]) == (True, True)
    assert [answer["result"] for answer in answers] == ["done"] * 3


async def test_no_more_is_asked_of_the_inbox_than_there_is_room_for(desk: Any, started: Any) -> None:
    client = ToolKitClient(KEY, "crm", desk.url, protocol="http", concurrency=2)
    go = threading.Event()

    @client.tool
    def wait() -> str:
        go.wait(5)
        return "done"

    async with started(client):
        asked = [desk.request("wait") for _ in range(3)]
        for each in asked:
            desk.requests.put_nowait(each)
        await desk.until(lambda: desk.requests.qsize() == 1)
        assert desk.polls == 2
        go.set()
        for each in asked:
            assert (await desk.answer_to(each["request_id"]))["response"] == "done"


async def test_an_answer_that_the_inbox_did_not_take_is_sent_again_and_the_tool_is_not_run_again(
    desk: Any, started: Any
) -> None:
    client = ToolKitClient(KEY, "crm", desk.url, protocol="http")
    runs = []

    @client.tool
    def once() -> int:
        runs.append(1)
        return len(runs)

    desk.refuse_answers = 1
    async with started(client):
        asked = desk.request("once")
        desk.requests.put_nowait(asked)

        assert (await desk.answer_to(asked["request_id"]))["response"] == 1
    assert runs == [1]


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_stopping_begins_nothing_new_and_ends_what_runs(desk: Any, started: Any, protocol: str) -> None:
    client = ToolKitClient(KEY, "crm", desk.url, protocol=protocol)
    begun, go = threading.Event(), threading.Event()

    @client.tool
    def wait() -> str:
        begun.set()
        go.wait(5)
        return "done"

    async with started(client) as serving:
        asked = desk.request("wait")
        await (desk.send(asked) if protocol == "ws" else desk.requests.put(asked))
        assert await asyncio.to_thread(begun.wait, 5)
        client.stop()
        if protocol == "ws":
            await desk.until(lambda: "worker_stopping" in [what for what, _ in desk.told])
            late = await desk.call("wait")
            assert (late["not_begun"], "did not begin this call" in late["result"]["error"]) == (True, True)
        assert not serving.done()
        go.set()
        answer = await desk.answer_to(asked["request_id"])
        await asyncio.wait_for(serving, 5)

    assert answer["result" if protocol == "ws" else "response"] == "done"


async def test_a_worker_that_cannot_reach_its_gateway_stops_at_once() -> None:
    client = ToolKitClient(KEY, "crm", "http://127.0.0.1:9")
    client.tool(lambda_named("t"))
    serving = asyncio.create_task(asyncio.to_thread(client.start))
    while not serving.done():
        client.stop()
        await asyncio.wait([serving], timeout=0.05)

    assert serving.exception() is None


def test_it_waits_longer_after_each_failure_and_never_all_workers_the_same() -> None:
    longest = [max(delay_after(failures) for _ in range(200)) for failures in (1, 3, 5, 20, 100_000)]

    assert 0.5 < longest[0] <= 1
    assert 2 < longest[1] <= 4
    assert max(longest) <= LONGEST_DELAY
    assert min(delay_after(20) for _ in range(200)) < 5


async def test_it_comes_back_when_the_line_breaks(desk: Any, client: Any, started: Any) -> None:
    client.tool(lambda_named("t"))
    async with started(client):
        await desk.until(lambda: desk.sockets)
        await desk.sockets[0].close(1012)
        await desk.until(lambda: not desk.sockets)

        assert (await desk.call("t"))["result"] == "t"


@pytest.mark.parametrize("protocol", ["ws", "http"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_ends_it_with_the_gateways_sentence(desk: Any, protocol: str, status: int) -> None:
    client = ToolKitClient(KEY, "crm", desk.url, protocol=protocol)
    client.tool(lambda_named("t"))
    desk.refusal = status

    with pytest.raises(KeyRefusedError, match="No key of this gateway"):
        await asyncio.wait_for(asyncio.to_thread(client.start), 10)


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_a_key_that_is_revoked_later_ends_it_too(desk: Any, protocol: str) -> None:
    client = ToolKitClient(KEY, "crm", desk.url, protocol=protocol)
    client.tool(lambda_named("t"))
    serving = asyncio.create_task(asyncio.to_thread(client.start))
    await desk.until(lambda: desk.sockets or desk.polls)
    desk.refusal = 401
    if protocol == "ws":
        await desk.sockets[0].close(1008)
    else:
        desk.requests.put_nowait(desk.request("t"))

    with pytest.raises(KeyRefusedError):
        await asyncio.wait_for(serving, 10)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"base_url": "gateway.example"}, "https://gateway.example.com"),
        ({"base_url": "https://"}, "https://gateway.example.com"),
        ({"base_url": "http://gateway.example"}, "without encryption"),
        ({"base_url": "https://gateway.example", "api_key": ""}, "keys create toolkit"),
        ({"base_url": "https://gateway.example", "protocol": "smtp"}, "Unsupported protocol"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(how: dict[str, Any], said: str) -> None:
    client = ToolKitClient(**{"api_key": KEY, "app_name": "crm", **how})
    client.tool(lambda_named("t"))

    with pytest.raises(GatewayError, match=said):
        client.start()


def test_a_client_without_tools_has_nothing_to_serve() -> None:
    with pytest.raises(GatewayError, match="no tool"):
        ToolKitClient(KEY, "crm", "http://127.0.0.1:9").start()


async def test_start_in_a_running_loop_says_why_it_does_not() -> None:
    client = ToolKitClient(KEY, "crm", "http://127.0.0.1:9")
    client.tool(lambda_named("t"))

    with pytest.raises(GatewayError, match="in a thread"):
        client.start()


async def test_no_argument_no_token_and_no_key_is_logged(
    desk: Any, client: Any, started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    @client.tool(auth_provider="hubspot")
    def find(email: str, auth_token: str) -> str:
        return f"found {email}"

    async with started(client):
        await desk.call("find", TOKEN, email="ada-CNRY@example.com")

    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("gateway", "websockets"))]
    assert any("find done in" in line for line in ours)
    assert [line for line in ours if "CNRY" in line or KEY in line] == []


def lambda_named(name: str) -> Callable[[], str]:
    """A function of this name, which gives it."""

    def function() -> str:
        return name

    function.__name__ = name
    return function

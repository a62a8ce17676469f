"""Tools seen and called by apps, through the published SDK and through our own client."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx2
import pytest
from atp_sdk.clients import LLMClient as Published
from looped import LoopedLLMClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.surfaces.atp.process import Process
from gateway.testing.serving import serving
from gateway.toolkit.llm_client import LLMClient
from gateway.types import CredentialKind, Principal, Requirement

KEY = "app-key-7f3a9c51d2"
PROCESS = "/api/v1/atp/llm-client/process/"

ASKED = {
    "openai": {"type": "function_call", "call_id": "c1", "name": "echo", "arguments": '{"name": "Ada"}'},
    "anthropic": {"type": "tool_use", "id": "c1", "name": "echo", "input": {"name": "Ada"}},
    "mistral": {"id": "c1", "function": {"name": "echo", "arguments": '{"name": "Ada"}'}},
}
ANSWERED = {
    "openai": {"type": "function_call_output", "call_id": "c1", "output": '{"name": "Ada"}'},
    "anthropic": {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": '{"name": "Ada"}'}],
    },
    "mistral": {"role": "tool", "name": "echo", "content": '{"name": "Ada"}', "tool_call_id": "c1"},
}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
SHOWN = {
    "openai": {"type": "function", "name": "echo", "description": "Does echo.", "parameters": SCHEMA},
    "anthropic": {"name": "echo", "description": "Does echo.", "input_schema": SCHEMA},
    "mistral": {
        "type": "function",
        "function": {"name": "echo", "description": "Does echo.", "parameters": SCHEMA},
    },
}


class _InAThread:
    """A client whose methods, and its connecting, leave the loop alone: the server runs there."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._client = functools.cache(build)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            method = getattr(self._client(), name)
            return method(*args, **more)

        return call


CLIENTS = {"published, http": Published, "ours": LLMClient, "ours, async": LoopedLLMClient}


@pytest.fixture(params=[*CLIENTS, "published, ws"])
def app_client(request: pytest.FixtureRequest, house: Any) -> Callable[..., Any]:
    """The SDK as published, over HTTP and over a WebSocket, and our own client: they are to see the same gateway."""

    def build() -> Any:
        if request.param in CLIENTS:
            return CLIENTS[request.param](api_key=KEY, base_url=house.base_url)
        client = Published(KEY, protocol="ws", base_url=house.base_url)
        house.leaving.append(client.ws.close)
        return client

    return lambda: _InAThread(build)


@pytest.fixture(params=CLIENTS.values())
def http_client(request: pytest.FixtureRequest, house: Any) -> Callable[..., Any]:
    return lambda: request.param(api_key=KEY, base_url=house.base_url)


def _asked(tool: str, /, **arguments: Any) -> list[dict[str, Any]]:
    return [{"call_id": "c1", "name": tool, "arguments": json.dumps(arguments)}]


async def _post(house: Any, message: Mapping[str, Any], **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=house.base_url) as http:
        return await http.post(PROCESS, json=message, headers={"Authorization": f"ApiKey {KEY}", **headers})


def _task_message(function: str) -> dict[str, Any]:
    payload = {"function": function, "parameters": {"name": "Acme"}}
    return {"type": "task_request", "request_id": "r1", "toolkit_id": "crm", "payload": payload}


async def _task(house: Any, function: str = "create_company", **more: Any) -> dict[str, Any]:
    """The answer to a task_request, as it is on the wire."""
    answer = await _post(house, _task_message(function) | more)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert (body["type"], body["request_id"]) == ("task_response", "r1")
    return body


@pytest.mark.parametrize("provider", ["openai", "anthropic", "mistral"])
async def test_a_toolkits_tools_come_in_the_providers_own_shape(
    serve: Any, app_client: Callable[..., Any], provider: str
) -> None:
    async with serve():
        context = await asyncio.to_thread(app_client().get_toolkit_context, "crm", "make Acme", provider)

        assert SHOWN[provider] in context["tools"]
        assert (context["toolkit_id"], context["toolkit_name"]) == ("crm", "crm")
        assert (context["provider"], context["user_prompt"]) == (provider, "make Acme")


async def test_a_context_for_a_person_with_several_accounts_offers_the_choice_and_others_do_not(serve: Any) -> None:
    ask = {"type": "get_toolkit_context", "request_id": "r1", "toolkit_id": "crm"}
    async with serve() as house:
        house.choices[Principal("app:shop", "u1")] = {("hubspot", CredentialKind.OAUTH2): ("anna", "work")}
        found = [
            (await _post(house, ask | more)).json()["payload"]["tools"]
            for more in (
                {"external_user_id": "u1"},
                {"external_user_id": "u2"},
                {"external_user_id": "u1", "account": "work"},
                {},
            )
        ]

    offered = [{tool["name"]: tool["parameters"]["properties"] for tool in tools} for tools in found]
    assert offered[0]["create_company"]["hubspot_account"]["enum"] == ["anna", "work"]
    assert list(offered[0]["echo"]) == ["name"]
    assert [list(each["create_company"]) for each in offered[1:]] == [["name"]] * 3


async def test_an_account_that_the_app_chooses_is_the_one_that_is_used(serve: Any) -> None:
    async with serve() as house:
        house.connect("ada")
        client = LLMClient(KEY, base_url=house.base_url)
        asked = _asked("create_company", name="Acme", hubspot_account="anna")
        whose = {"external_user_id": "ada", "account": "work"}
        await asyncio.to_thread(client.call_tool, "crm", asked, **whose)
        await asyncio.to_thread(client.call_tool, "crm", asked, external_user_id="ada")

    assert house.accounts == ["work", "anna"]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "mistral"])
async def test_a_models_tool_call_is_run_and_answered_in_its_shape(
    serve: Any, app_client: Callable[..., Any], provider: str
) -> None:
    async with serve():
        answers = await asyncio.to_thread(app_client().call_tool, "crm", [ASKED[provider]], provider)

        assert answers == [ANSWERED[provider]]


async def test_a_call_uses_the_account_of_the_apps_one_connected_user(
    serve: Any, app_client: Callable[..., Any]
) -> None:
    async with serve() as house:
        house.connect("ada", token="token-of-ada1")

        answers = await asyncio.to_thread(app_client().call_tool, "crm", _asked("create_company", name="Acme"))

        assert json.loads(answers[0]["output"]) == {"made": "Acme", "with": "…ada1"}


async def test_a_token_the_app_sends_is_used_for_that_call_alone(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.connect("ada", token="token-of-ada1")
        client, asked = app_client(), _asked("create_company", name="Acme")

        own = await asyncio.to_thread(client.call_tool, "crm", asked, auth_token="sent-by-the-app9")
        stored = await asyncio.to_thread(client.call_tool, "crm", asked)

        assert [json.loads(a[0]["output"])["with"] for a in (own, stored)] == ["…app9", "…ada1"]


async def test_a_token_the_app_sends_never_comes_back_in_a_result(serve: Any) -> None:
    async with serve() as house:
        house.add("show", lambda name, auth_token: f"used {auth_token}", Requirement("hubspot"))

        body = await _task(house, "show", auth_token="sent-by-the-app9")

        assert body["status"] == "success"
        assert "sent-by-the-app9" not in json.dumps(body)


async def test_of_several_connected_users_the_named_one_is_used(serve: Any) -> None:
    async with serve() as house:
        house.connect("ada", token="token-of-ada1")
        house.connect("bob", token="token-of-bob2")
        client = LLMClient(KEY, base_url=house.base_url)

        answers = await asyncio.to_thread(
            client.call_tool, "crm", _asked("create_company", name="Acme"), external_user_id="bob"
        )

        assert json.loads(answers[0]["output"])["with"] == "…bob2"


@pytest.mark.parametrize(("users", "said"), [([], "no connected user"), (["ada", "bob"], "several connected users")])
async def test_a_call_that_names_nobody_is_told_the_three_ways_to(serve: Any, users: list[str], said: str) -> None:
    async with serve() as house:
        for user in users:
            house.connect(user)

        body = await _task(house)

        assert (body["status"], body["code"]) == ("error", "person_not_named")
        for words in (said, "external_user_id", "auth_token", "exactly one user"):
            assert words in body["message"]


async def test_a_named_user_without_a_connection_gets_the_link(serve: Any) -> None:
    async with serve() as house:
        body = await _task(house, external_user_id="carol")

        assert (body["status"], body["code"]) == ("error", "needs_connection")
        assert body["message"] == "Connect HubSpot first. https://gateway.example/connect/needed"
        assert body["authorization_url"] == "https://gateway.example/connect/needed"


async def test_another_apps_connected_user_is_not_borrowed(serve: Any) -> None:
    async with serve() as house:
        house.connect("ada", app="other")

        assert (await _task(house))["code"] == "person_not_named"
        assert (await _task(house, external_user_id="ada"))["code"] == "needs_connection"


async def test_an_app_that_may_not_call_is_told_so_as_a_failed_task_and_runs_nothing(serve: Any) -> None:
    async with serve() as house:
        house.let_in(KEY, "shop", may=frozenset({"connect"}))

        body = await _task(house, "echo")

    assert (body["status"], body["code"]) == ("error", "not_allowed")
    assert "keys allow atpg_app_prefix --may call" in body["message"]
    assert house.events == []


async def test_what_a_tool_reports_itself_is_its_result(serve: Any, app_client: Callable[..., Any]) -> None:
    """A toolkit behind the SDK answers a raised exception as a result with `error` in it."""
    async with serve() as house:
        house.add("report", lambda name: {"error": "HubSpot said 409"})

        answers = await asyncio.to_thread(app_client().call_tool, "crm", _asked("report", name="Acme"))

        assert json.loads(answers[0]["output"]) == {"error": "HubSpot said 409"}


async def test_a_failure_reaches_the_model_through_our_client(serve: Any) -> None:
    """The published SDK hands the model `{}` here."""
    async with serve() as house:
        client = LLMClient(KEY, base_url=house.base_url)

        answers = await asyncio.to_thread(client.call_tool, "crm", [*_asked("refuse", name="Acme"), *_asked("nothing")])

        assert json.loads(answers[0]["output"]) == {"error": "Acme is no company"}
        assert "no tool 'nothing'" in json.loads(answers[1]["output"])["error"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"toolkit_id": "nope"}, "unknown_toolkit"),
        ({"toolkit_id": None}, "invalid_request"),
        ({"toolkit_id": 7}, "invalid_request"),
        ({"payload": None}, "invalid_request"),
        ({"payload": {"function": "nope", "parameters": {}}}, "unknown_tool"),
        ({"payload": {"function": "echo", "parameters": [1]}}, "invalid_arguments"),
        ({"payload": {"function": "echo", "parameters": {}}}, "invalid_arguments"),
        ({"payload": {"function": "echo", "parameters": {"name": "x", "auth_token": "y"}}}, "reserved_argument"),
        ({"payload": {"function": "echo", "parameters": {"name": "x"}, "auth_token": 7}}, "invalid_request"),
        ({"payload": {"function": "refuse", "parameters": {"name": "x"}}}, "tool_error"),
        ({"payload": {"function": "crash", "parameters": {"name": "x"}}}, "tool_crashed"),
        ({"external_user_id": "a\nb"}, "invalid_request"),
    ],
)
async def test_a_task_that_fails_is_answered_with_a_sentence_and_status_200(
    serve: Any, change: Mapping[str, Any], code: str
) -> None:
    """The SDK throws away the body of any other status."""
    async with serve() as house:
        body = await _task(house, **change)

        assert (body["status"], body["code"]) == ("error", code)
        assert body["message"].endswith((".", "company"))
        assert "hunter2" not in body["message"]


async def test_a_toolkit_that_an_app_may_not_see_is_as_one_that_is_not_there(serve: Any) -> None:
    async with serve() as house:
        house.add("pay", lambda name: name, toolkit="bank")
        house.let_in(KEY, "shop", toolkits=frozenset({"bank"}))

        called, missing = await _task(house, "echo"), await _task(house, "echo", toolkit_id="nope")
        context = await _post(house, {"type": "get_toolkit_context", "toolkit_id": "crm"})

        assert called["code"] == missing["code"] == "unknown_toolkit"
        assert called["message"].replace("crm", "nope") == missing["message"]
        assert "crm" not in missing["message"]
        assert context.status_code == 404
        assert (await _task(house, "pay", toolkit_id="bank"))["status"] == "success"


async def test_a_tool_is_called_only_through_its_own_toolkit(serve: Any) -> None:
    async with serve() as house:
        house.add("pay", lambda name: name, toolkit="bank")

        assert (await _task(house, "pay"))["code"] == "unknown_tool"
        assert (await _task(house, "pay", toolkit_id="bank"))["status"] == "success"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"type": "get_toolkit_context", "toolkit_id": "nope"}, 404),
        ({"type": "get_toolkit_context", "toolkit_id": "crm", "provider": "abacus"}, 400),
        ({"type": "dance"}, 400),
        ({}, 400),
    ],
)
async def test_a_context_that_cannot_be_given_is_an_http_error(
    serve: Any, message: Mapping[str, Any], status: int
) -> None:
    """Here the SDK would take a body with status 200 for an empty context."""
    async with serve() as house:
        answer = await _post(house, message)

        assert answer.status_code == status
        assert answer.json()["message"].endswith(".")


@pytest.mark.parametrize("sequential", [True, False])
async def test_several_calls_are_answered_in_the_order_of_the_models(
    serve: Any, app_client: Callable[..., Any], *, sequential: bool
) -> None:
    async with serve():
        asked = [_asked("echo", name=name)[0] | {"call_id": name} for name in ("a", "b", "c")]

        answers = await asyncio.to_thread(app_client().call_tool, "crm", asked, sequential=sequential)

        assert [(a["call_id"], json.loads(a["output"])["name"]) for a in answers] == [(n, n) for n in "abc"]


async def test_a_client_that_gives_up_waiting_is_told_so_by_itself(serve: Any, app_client: Callable[..., Any]) -> None:
    """The published SDK has no limit over HTTP; its sequential mode makes an answer of the time-out."""
    async with serve() as house:
        release = asyncio.Event()
        held = house.hold("wait", release)
        call = functools.partial(app_client().call_tool, "crm", _asked("wait", name="x"), timeout=0.1, sequential=True)
        calling = asyncio.create_task(asyncio.to_thread(call))
        await held.until(lambda: held.running == 1)
        asyncio.get_running_loop().call_later(0.4, release.set)

        (answer,) = await calling

        assert answer["call_id"] == "c1"


async def test_the_streaming_calls_give_the_answer_as_the_only_event(
    serve: Any, http_client: Callable[..., Any]
) -> None:
    """Whoever takes the first event for the answer is right, also of a tool that reports progress."""
    async with serve() as house:
        released = asyncio.Event()
        released.set()
        house.hold("steps", released)
        client = http_client()
        steps = await asyncio.to_thread(lambda: list(client.call_tool_streaming("crm", _asked("steps", name="Ada"))))

        assert [event["type"] for event in steps] == ["task_response"]

        contexts = await asyncio.to_thread(lambda: list(client.get_toolkit_context_streaming("crm", "hi")))
        results = await asyncio.to_thread(lambda: list(client.call_tool_streaming("crm", _asked("echo", name="Ада"))))

        assert contexts[0]["payload"]["toolkit_id"] == "crm"
        assert results[0]["result"] == {"tool": {"name": "echo", "result": {"name": "Ада"}}}


async def test_an_app_that_asks_for_progress_hears_of_it_while_the_tool_runs(serve: Any) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        release = asyncio.Event()
        house.hold("wait", release)
        message = _task_message("wait") | {"progress": True}
        headers = {"Authorization": f"ApiKey {KEY}", "Accept": "text/event-stream"}
        async with http.stream("POST", PROCESS, json=message, headers=headers) as answer:
            lines = answer.aiter_lines()
            with anyio.fail_after(5):
                first = json.loads((await anext(lines)).removeprefix("data: "))
                release.set()
                rest = [json.loads(line.removeprefix("data: ")) async for line in lines if line]

    assert first == {"type": "task_progress", "request_id": "r1", "progress": 1, "total": 2, "message": "half"}
    assert [event["type"] for event in rest] == ["task_response"]


async def test_a_stream_that_says_nothing_says_that_it_lives(house: Any) -> None:
    class Tasks:
        async def answer(self, *_: Any) -> dict[str, Any]:
            await released.wait()
            return {"type": "task_response"}

    released = asyncio.Event()
    process = Process(Tasks(), silence=0.02)

    async def answer(request: Request) -> Response:
        return await process.answer("shop", request)

    route = Route("/", answer, methods=["POST"])
    async with serving(Starlette(routes=[route])) as url, httpx2.AsyncClient() as http:
        message, headers = {"type": "task_request"}, {"Accept": "text/event-stream"}
        async with http.stream("POST", url, json=message, headers=headers) as answer:
            lines = answer.aiter_lines()
            with anyio.fail_after(5):
                assert [await anext(lines) for _ in range(3)] == [": the tool is running", "", ": the tool is running"]
                released.set()
                assert [line async for line in lines if line.startswith("data")] == ['data: {"type": "task_response"}']


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_hangs_up_has_its_call_cancelled(serve: Any, accept: str) -> None:
    async with serve() as house:
        held = house.hold("wait", asyncio.Event())
        asking = asyncio.create_task(_post(house, _task_message("wait"), Accept=accept))
        await held.until(lambda: held.running == 1)
        asking.cancel()
        await held.until(lambda: held.cancelled == 1)


async def test_calls_are_audited_for_the_person_and_the_app(serve: Any) -> None:
    async with serve() as house:
        house.connect("ada")
        await _task(house, external_user_id="ada")
    event = house.events[0]
    assert (event.action, event.outcome, event.client) == ("tool.called", "done", "shop")
    assert event.principal.subject == "ada"

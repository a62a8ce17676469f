"""LLMClient and AsyncLLMClient where no gateway of ours answers: how they find one, and what they say when things go
wrong.

That they get the same from a gateway as the published SDK is shown in tests/surfaces/atp.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from atp_sdk.clients import LLMClient as Published
from looped import LoopedLLMClient

from gateway import AsyncLLMClient, LLMClient
from gateway.errors import (
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    NotAllowedError,
    NotConnectedError,
    UnexpectedAnswerError,
)
from gateway.secret import Secret
from gateway.toolkit.app_requests import Whose, task
from gateway.toolkit.llm_client import BoundGateway, bound_to
from gateway.toolkit.tool_calls import AskedCall

KEY = "app-key-7f3a9c51d2"
TOKEN = "token-0123456789"
Answer = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextmanager
def _server(answer: Answer) -> Iterator[tuple[str, list[SimpleNamespace]]]:
    """A server on loopback that answers everything with `answer`; gives its address and the requests it got."""
    seen: list[SimpleNamespace] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(SimpleNamespace(path=self.path, headers=dict(self.headers), body=body, method=self.command))
            status, headers, content = answer(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _json(body: Any, status: int = 200) -> Answer:
    return lambda _: (status, {}, json.dumps(body).encode())


@pytest.fixture(params=[LLMClient, LoopedLLMClient])
def kind(request: pytest.FixtureRequest) -> Any:
    """Both clients of ours, each to be built and called as LLMClient is."""
    return request.param


METHODS = [name for name in vars(Published) if not name.startswith("_")]


@pytest.mark.parametrize("ours", [LLMClient, AsyncLLMClient])
def test_its_methods_take_what_the_published_ones_take(ours: type) -> None:
    for name in METHODS:
        theirs = list(inspect.signature(getattr(Published, name)).parameters)
        assert list(inspect.signature(getattr(ours, name)).parameters)[: len(theirs)] == theirs, name
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(Published).parameters)


def test_both_of_ours_take_the_same() -> None:
    for name in METHODS:
        own, async_own = (inspect.signature(getattr(kind, name)).parameters for kind in (LLMClient, AsyncLLMClient))
        assert own == async_own, name


def test_every_request_has_a_time_limit_of_its_own() -> None:
    assert [name for name in METHODS if "timeout" not in inspect.signature(getattr(LLMClient, name)).parameters] == []


def test_without_a_gateway_it_is_built_and_says_at_the_first_request_what_to_do(kind: Any) -> None:
    client = kind(api_key=KEY)

    with pytest.raises(GatewayError, match="atp-gateway run"):
        client.get_user_tokens("hubspot", "ada")


def test_the_gateway_of_the_process_wins_over_its_arguments(kind: Any) -> None:
    with _server(_json({})) as (url, seen):
        with bound_to(BoundGateway(url, Secret("bound-key-12345"))):
            client = kind("YOUR_KEY", base_url="https://api.chat-atp.com")
        client.list_my_toolkits()

        assert seen[0].headers["Authorization"] == "ApiKey bound-key-12345"
    assert kind("x", base_url="https://gateway.example/").base_url == "https://gateway.example"


def test_a_client_built_in_another_thread_finds_the_gateway_of_the_process() -> None:
    built: list[LLMClient] = []
    with bound_to(BoundGateway("http://127.0.0.1:9", Secret(KEY))):
        thread = threading.Thread(target=lambda: built.append(LLMClient()))
        thread.start()
        thread.join()

    assert built[0].base_url == "http://127.0.0.1:9"


def test_ids_are_percent_encoded_and_a_path_before_ours_is_kept(kind: Any) -> None:
    with _server(_json({})) as (url, seen):
        kind(KEY, base_url=f"{url}/behind/a/proxy/").get_user_tokens("hub/spot", "a/../b?c#d é")

    assert seen[0].path == "/behind/a/proxy/api/v1/atp/llm-client/oauth/tokens/hub%2Fspot/a%2F..%2Fb%3Fc%23d%20%C3%A9/"


def test_the_methods_without_a_gateway_of_ours_speak_atp_too(kind: Any) -> None:
    with _server(_json([{"webhook_id": "w"}])) as (url, seen):
        client = kind(KEY, base_url=url)
        assert client.list_webhooks() == [{"webhook_id": "w"}]
        client.delete_webhook("w/1")
    assert [(r.method, r.path.removeprefix("/api/v1/atp/llm-client/")) for r in seen] == [
        ("GET", "webhooks/"),
        ("DELETE", "webhooks/w%2F1/delete/"),
    ]


def test_a_redirect_is_not_followed_for_the_key_would_go_along(kind: Any) -> None:
    with (
        _server(_json({})) as (elsewhere, stolen),
        _server(lambda _: (302, {"Location": elsewhere}, b"")) as (url, _),
        pytest.raises(GatewayError, match="302"),
    ):
        kind(KEY, base_url=url).list_my_toolkits()

    assert stolen == []


@pytest.mark.parametrize("content", [b"<html>", b"[" * 100_000, b"7", b"\xff"])
def test_an_answer_that_is_not_atp_is_an_error_that_asks_about_the_address(kind: Any, content: bytes) -> None:
    with (
        _server(lambda _: (200, {}, content)) as (url, _),
        pytest.raises(UnexpectedAnswerError, match="Is base_url the address of a gateway"),
    ):
        kind(KEY, base_url=url).list_my_toolkits()


@pytest.mark.parametrize("body", [{}, {"status": "success"}, {"result": None}, {"result": {"tool": {}}}, {"result": 7}])
def test_a_call_whose_answer_holds_no_result_is_answered_with_that(kind: Any, body: Any) -> None:
    with _server(_json(body)) as (url, _):
        answers = kind(KEY, base_url=url).call_tool("crm", [{"name": "f", "arguments": "{}"}])

    assert json.loads(answers[0]["output"]) == {"error": "The gateway's answer holds no result."}


def test_a_gateways_own_sentence_and_code_are_the_errors(kind: Any) -> None:
    with (
        _server(_json({"code": "unknown_app_key", "message": "The key is wrong."}, 401)) as (url, _),
        pytest.raises(GatewayError, match=r"^The key is wrong\.$") as caught,
    ):
        kind(KEY, base_url=url).get_toolkit_context("crm", "hi")

    assert caught.value.code == "unknown_app_key"
    assert GatewayError.code == "gateway_error"


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [("not_connected", 404, NotConnectedError), ("not_allowed", 403, NotAllowedError), ("new_one", 400, GatewayError)],
)
def test_an_error_is_of_the_kind_that_its_code_names(
    kind: Any, code: str, status: int, expected: type[GatewayError]
) -> None:
    with (
        _server(_json({"code": code, "message": "No."}, status)) as (url, _),
        pytest.raises(GatewayError) as caught,
    ):
        kind(KEY, base_url=url).get_user_tokens("hubspot", "ada")

    assert (type(caught.value), caught.value.code) == (expected, code)


def test_for_whom_it_asks_and_the_page_go_along(kind: Any) -> None:
    whose = {"external_user_id": "ada", "account": "work"}
    with _server(_json({"payload": {}})) as (url, seen):
        client = kind(KEY, base_url=url)
        client.get_toolkit_context("crm", "hi", **whose)
        list(client.get_toolkit_context_streaming("crm", "hi", **whose))
        client.call_tool("crm", [{"name": "f", "arguments": "{}"}], **whose)
        list(client.call_tool_streaming("crm", [{"name": "f", "arguments": "{}"}], **whose, progress=True))
        client.call_tool("crm", [{"name": "f", "arguments": "{}"}])
        client.list_store_toolkits(3, page_size=7)

    bodies = [json.loads(request.body) for request in seen[:5]]
    assert [body.items() >= whose.items() for body in bodies] == [True] * 4 + [False]
    assert [body.get("progress") for body in bodies] == [None, None, None, True, None]
    assert seen[5].path.endswith("/store/toolkits/list/?page=3&page_size=7")


def test_waiting_ends_at_any_answer_but_not_connected(kind: Any) -> None:
    with (
        _server(_json({"code": "unknown_app_key", "message": "The key is wrong."}, 404)) as (url, seen),
        pytest.raises(GatewayError, match="The key is wrong"),
    ):
        kind(KEY, base_url=url).wait_for_connection("hubspot", "ada", timeout=5)

    assert len(seen) == 1


def test_a_gateway_that_is_not_there_is_named_and_the_key_is_not(kind: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(GatewayError, match="cannot be reached") as caught:
            kind(KEY, base_url=url).list_my_toolkits()

    assert isinstance(caught.value, GatewayUnreachableError)
    assert url in str(caught.value)
    assert KEY not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_gateway_that_does_not_answer_is_given_up(kind: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = kind(KEY, base_url=f"http://127.0.0.1:{silent.getsockname()[1]}")

        answers = client.call_tool("crm", [{"name": "f", "arguments": "{}"}], timeout=0.1)

    assert "did not answer within 0.1 s" in answers[0]["output"]


@pytest.mark.parametrize("method", ["list_webhooks", "call_tool_streaming"])
def test_an_answer_that_never_ends_is_given_up_too(kind: Any, method: str) -> None:
    """The limit is for the whole answer, however often a little of it comes."""
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        with suppress(OSError):
            while not over.wait(0.02):
                handler.wfile.write(b": \n")
        return 200, {}, b""

    asked = {"call_tool_streaming": ("crm", [{"name": "f", "arguments": "{}"}])}
    with _server(drip) as (url, _):
        with pytest.raises(GatewayTimeoutError, match=r"within 0\.2 s"):
            list(getattr(kind(KEY, base_url=url), method)(*asked.get(method, ()), timeout=0.2))
        over.set()


@pytest.mark.parametrize(("sequential", "together"), [(False, 3), (True, 1)])
def test_several_calls_run_at_the_same_time_unless_they_are_not_to(kind: Any, sequential: bool, together: int) -> None:
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 3:
                full.set()
        full.wait(0.1 if sequential else 5)
        with lock:
            running -= 1
        return _json({"result": {"tool": {"result": "done"}}})(handler)

    calls = [{"call_id": str(n), "name": "f", "arguments": "{}"} for n in range(3)]
    with _server(answer) as (url, _):
        answers = kind(KEY, base_url=url).call_tool("crm", calls, sequential=sequential)

    assert [each["call_id"] for each in answers] == ["0", "1", "2"]
    assert most == together


@pytest.mark.parametrize(
    "base_url", ["gateway.example", "ftp://gateway.example", "http://", "http://[::1", "http://x:y"]
)
def test_an_address_that_is_none_is_a_sentence(kind: Any, base_url: str) -> None:
    with pytest.raises(GatewayError, match="base_url"):
        kind(KEY, base_url=base_url).list_my_toolkits()


@pytest.mark.parametrize("ours", [LLMClient, AsyncLLMClient])
def test_the_key_does_not_show(ours: type[Any]) -> None:
    client = ours(KEY, base_url="http://127.0.0.1:9")

    assert KEY not in repr(vars(client)) + repr(client)


async def test_the_time_limit_never_cuts_into_what_the_caller_does_with_an_event() -> None:
    done = []
    with _server(lambda _: (200, {}, b'data: {"n": 1}\n\n' * 2)) as (url, _):
        async with AsyncLLMClient(KEY, base_url=url) as client:
            async for event in client.call_tool_streaming("crm", [{"name": "f", "arguments": "{}"}], timeout=1):
                if not done:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.Event().wait(), 1.2)
                done.append(event)

    assert done == [{"n": 1}, {"n": 1}]


def test_a_call_that_the_model_wrote_wrong_is_an_event_and_not_sent(kind: Any) -> None:
    (event,) = kind(KEY).call_tool_streaming("crm", [{"name": "f", "arguments": "{"}])

    assert (event["status"], event["code"]) == ("error", "invalid_arguments")


def test_a_token_that_an_app_sends_does_not_show() -> None:
    call = AskedCall("1", "find", {})

    assert TOKEN not in repr(task("crm", call, None, Whose("ada", "work", TOKEN)))
    assert TOKEN not in repr(Whose("ada", "work", TOKEN))


def test_an_unknown_protocol_or_model_provider_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported protocol"):
        kind(KEY, protocol="smtp")
    with pytest.raises(ValueError, match="Unsupported provider"):
        kind(KEY).call_tool("crm", [{"name": "f"}], provider="abacus")
    assert kind(KEY, protocol="WSS").protocol == "wss"


def test_no_calls_are_no_answers(kind: Any) -> None:
    client = kind(KEY)

    assert client.call_tool("crm", []) == []
    assert list(client.call_tool_streaming("crm", [])) == []

"""LLMClient where no gateway of ours answers: how it finds one, and what it says when things go wrong.

That it gets the same from a gateway as the published SDK is shown in tests/surfaces/atp.
"""

from __future__ import annotations

import inspect
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from atp_sdk.clients import LLMClient as Published

from gateway.errors import GatewayError
from gateway.secret import Secret
from gateway.toolkit.llm_client import BoundGateway, LLMClient, bound_to

KEY = "app-key-7f3a9c51d2"
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

    server = HTTPServer(("127.0.0.1", 0), Handler)
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


def test_its_methods_take_what_the_published_ones_take() -> None:
    methods = [name for name in vars(Published) if not name.startswith("_")]
    for name in methods:
        theirs = list(inspect.signature(getattr(Published, name)).parameters)
        ours = list(inspect.signature(getattr(LLMClient, name)).parameters)
        assert ours[: len(theirs)] == theirs, name
    assert list(inspect.signature(LLMClient).parameters) == list(inspect.signature(Published).parameters)


def test_without_a_gateway_it_is_built_and_says_at_the_first_request_what_to_do() -> None:
    client = LLMClient(api_key=KEY)

    with pytest.raises(GatewayError, match="atp-gateway run"):
        client.get_user_tokens("hubspot", "ada")


def test_the_gateway_of_the_process_wins_over_its_arguments() -> None:
    with _server(_json({})) as (url, seen):
        with bound_to(BoundGateway(url, Secret("bound-key-12345"))):
            client = LLMClient("YOUR_KEY", base_url="https://api.chat-atp.com")
        client.list_my_toolkits()

        assert seen[0].headers["Authorization"] == "ApiKey bound-key-12345"
    assert LLMClient("x", base_url="https://gateway.example/").base_url == "https://gateway.example"


def test_a_client_built_in_another_thread_finds_the_gateway_of_the_process() -> None:
    built: list[LLMClient] = []
    with bound_to(BoundGateway("http://127.0.0.1:9", Secret(KEY))):
        thread = threading.Thread(target=lambda: built.append(LLMClient()))
        thread.start()
        thread.join()

    assert built[0].base_url == "http://127.0.0.1:9"


def test_ids_are_percent_encoded_and_a_path_before_ours_is_kept() -> None:
    with _server(_json({})) as (url, seen):
        LLMClient(KEY, base_url=f"{url}/behind/a/proxy/").get_user_tokens("hub/spot", "a/../b?c#d é")

    assert seen[0].path == "/behind/a/proxy/api/v1/atp/llm-client/oauth/tokens/hub%2Fspot/a%2F..%2Fb%3Fc%23d%20%C3%A9/"


def test_the_methods_without_a_gateway_of_ours_speak_atp_too() -> None:
    with _server(_json([{"webhook_id": "w"}])) as (url, seen):
        client = LLMClient(KEY, base_url=url)
        assert client.list_webhooks() == [{"webhook_id": "w"}]
        client.delete_webhook("w/1")
    assert [(r.method, r.path.removeprefix("/api/v1/atp/llm-client/")) for r in seen] == [
        ("GET", "webhooks/"),
        ("DELETE", "webhooks/w%2F1/delete/"),
    ]


def test_a_redirect_is_not_followed_for_the_key_would_go_along() -> None:
    with (
        _server(_json({})) as (elsewhere, stolen),
        _server(lambda _: (302, {"Location": elsewhere}, b"")) as (url, _),
        pytest.raises(GatewayError, match="302"),
    ):
        LLMClient(KEY, base_url=url).list_my_toolkits()

    assert stolen == []


@pytest.mark.parametrize("content", [b"<html>", b"[" * 100_000, b"7", b"\xff"])
def test_an_answer_that_is_not_atp_is_an_error_that_asks_about_the_address(content: bytes) -> None:
    with (
        _server(lambda _: (200, {}, content)) as (url, _),
        pytest.raises(GatewayError, match="Is base_url the address of a gateway"),
    ):
        LLMClient(KEY, base_url=url).list_my_toolkits()


@pytest.mark.parametrize("body", [{}, {"status": "success"}, {"result": None}, {"result": {"tool": {}}}, {"result": 7}])
def test_a_call_whose_answer_holds_no_result_is_answered_with_that(body: Any) -> None:
    with _server(_json(body)) as (url, _):
        answers = LLMClient(KEY, base_url=url).call_tool("crm", [{"name": "f", "arguments": "{}"}])

    assert json.loads(answers[0]["output"]) == {"error": "The gateway's answer holds no result."}


def test_a_gateways_own_sentence_and_code_are_the_errors() -> None:
    with (
        _server(_json({"code": "unknown_app_key", "message": "The key is wrong."}, 401)) as (url, _),
        pytest.raises(GatewayError, match=r"^The key is wrong\.$") as caught,
    ):
        LLMClient(KEY, base_url=url).get_toolkit_context("crm", "hi")

    assert caught.value.code == "unknown_app_key"
    assert GatewayError.code == "gateway_error"


def test_waiting_ends_at_any_answer_but_not_connected() -> None:
    with (
        _server(_json({"code": "unknown_app_key", "message": "The key is wrong."}, 404)) as (url, seen),
        pytest.raises(GatewayError, match="The key is wrong"),
    ):
        LLMClient(KEY, base_url=url).wait_for_connection("hubspot", "ada", timeout=5)

    assert len(seen) == 1


def test_a_gateway_that_is_not_there_is_named_and_the_key_is_not() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(GatewayError, match="cannot be reached") as caught:
            LLMClient(KEY, base_url=url).list_my_toolkits()

    assert url in str(caught.value)
    assert KEY not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_gateway_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = LLMClient(KEY, base_url=f"http://127.0.0.1:{silent.getsockname()[1]}")

        answers = client.call_tool("crm", [{"name": "f", "arguments": "{}"}], timeout=0.1)

    assert "did not answer within 0.1 s" in answers[0]["output"]


@pytest.mark.parametrize(
    "base_url", ["gateway.example", "ftp://gateway.example", "http://", "http://[::1", "http://x:y"]
)
def test_an_address_that_is_none_is_a_sentence(base_url: str) -> None:
    with pytest.raises(GatewayError, match="base_url"):
        LLMClient(KEY, base_url=base_url).list_my_toolkits()


def test_the_key_does_not_show() -> None:
    client = LLMClient(KEY, base_url="http://127.0.0.1:9")

    assert KEY not in repr(vars(client)) + repr(client)


def test_an_unknown_protocol_or_model_provider_is_refused() -> None:
    with pytest.raises(ValueError, match="Unsupported protocol"):
        LLMClient(KEY, protocol="smtp")
    with pytest.raises(ValueError, match="Unsupported provider"):
        LLMClient(KEY).call_tool("crm", [{"name": "f"}], provider="abacus")
    assert LLMClient(KEY, protocol="WSS").protocol == "wss"


def test_no_calls_are_no_answers() -> None:
    client = LLMClient(KEY)

    assert client.call_tool("crm", []) == []
    assert list(client.call_tool_streaming("crm", [])) == []

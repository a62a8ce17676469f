"""The app's client: what the back end of an agent uses to connect accounts and to have tools called.

`LLMClient` has the methods and the results of the ATP SDK's class of that name, and is what a script gets that imports
it from `atp_sdk` while the gateway loads or runs it. It speaks ATP over HTTP whatever `protocol` says. Unlike the
SDK's, it gives every request a time limit, percent-encodes ids into URLs, and hands the model `{"error": "…"}` for a
call that failed, where the SDK's hands it `{}`.

Which gateway it talks to: the one this process is bound to (`bound_to`, which `atp-gateway run` uses), else `base_url`.
Below: `app_line`, `tool_calls`. Not here: the gateway's side (`gateway.surfaces.atp`).

Source: AgentToolProtocol 0.2.5, `atp_sdk/clients.py`.
"""

from __future__ import annotations

import time
import urllib.parse
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import GatewayError
from gateway.secret import Secret
from gateway.toolkit.tool_calls import AskedCall, asked_calls, model_message

_PROTOCOLS = ("http", "https", "ws", "wss")
_SECONDS = 30.0  # for every request but a tool call, which brings its own limit


@dataclass(frozen=True, slots=True)
class BoundGateway:
    """A gateway, and the key of one app at it. `tell` is told what a person at the terminal has to know."""

    base_url: str
    app_key: Secret
    tell: Callable[[str], None] = field(default=lambda _: None)


_bound: list[BoundGateway] = []


@contextmanager
def bound_to(gateway: BoundGateway) -> Iterator[None]:
    """Have every LLMClient that this process builds meanwhile talk to `gateway`, whatever its arguments say.

    For the process, not for the context: a script may build its client in a thread of its own.
    """
    _bound.append(gateway)
    try:
        yield
    finally:
        _bound.remove(gateway)


class LLMClient:
    """What an app asks of a gateway. Failures are GatewayErrors; a wait that ran out is a TimeoutError."""

    def __init__(
        self, api_key: str = "", protocol: str = "https", base_url: str | None = None, idle_timeout: int = 300
    ) -> None:
        from gateway.toolkit.app_line import AppLine

        self.protocol = protocol.lower()
        if self.protocol not in _PROTOCOLS:
            raise ValueError(f"Unsupported protocol {protocol!r}. Use one of {', '.join(_PROTOCOLS)}.")
        gateway = _bound[-1] if _bound else BoundGateway(base_url or "", Secret(api_key))
        self._line = AppLine(gateway.base_url, gateway.app_key)
        self._tell = gateway.tell
        self.base_url = self._line.base_url
        self.idle_timeout = idle_timeout

    def initiate_oauth_connection(
        self, platform_id: str, external_user_id: str, developer_redirect_url: str | None = None
    ) -> dict[str, Any]:
        """Begin a consent. The person opens the answer's `authorization_url`, a page of the gateway."""
        body = {"external_user_id": external_user_id}
        if developer_redirect_url:
            body["developer_redirect_url"] = developer_redirect_url
        begun = self._post(f"oauth/confirmation/{_quote(platform_id)}/", body)
        self._tell(f"To connect {begun.get('provider_name')}, open {begun.get('authorization_url')}")
        return begun

    def wait_for_connection(
        self, platform_id: str, external_user_id: str, timeout: float = 300, poll_interval: float = 2
    ) -> dict[str, Any]:
        """The person's connection, as soon as there is one. `timeout` and `poll_interval` are in seconds."""
        deadline = time.monotonic() + timeout
        self._tell(f"Waiting until {platform_id} is connected …")
        while (left := deadline - time.monotonic()) > 0:
            try:
                account = self.get_user_tokens(platform_id, external_user_id)
            except GatewayError as error:
                if error.code != "not_connected":
                    raise
                time.sleep(min(poll_interval, left))
            else:
                self._tell(f"{platform_id} is connected.")
                return {"status": "completed", **account}
        raise TimeoutError(
            f"Nobody connected {platform_id} for {external_user_id} within {timeout:g} s. "
            "Begin again with initiate_oauth_connection and open its authorization_url."
        )

    def get_user_tokens(self, platform_id: str, external_user_id: str) -> dict[str, Any]:
        """The person's connection, with its tokens where the gateway is set to hand them out."""
        return self._get(f"oauth/tokens/{_quote(platform_id)}/{_quote(external_user_id)}/")

    def register_webhook(self, url: str, events: Sequence[str] = ("connection_success",)) -> dict[str, Any]:
        return self._post("webhooks/register/", {"url": url, "events": list(events)})

    def list_webhooks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._line.answer("GET", "webhooks/", None, _SECONDS)
        return found

    def delete_webhook(self, webhook_id: str) -> None:
        self._line.answer("DELETE", f"webhooks/{_quote(webhook_id)}/delete/", None, _SECONDS)

    def list_store_toolkits(self, page: int = 1, page_size: int = 10) -> dict[str, Any]:
        """The gateway's toolkits, all on one page: the SDK never sends `page` and `page_size` either."""
        return self._get("store/toolkits/list/")

    def list_my_toolkits(self, page: int = 1, page_size: int = 10) -> dict[str, Any]:
        """The same as `list_store_toolkits`: a gateway has one owner."""
        return self._get("developers/toolkits/")

    def get_toolkit_details(self, toolkit_id: str) -> dict[str, Any]:
        return self._get(f"store/toolkits/{_quote(toolkit_id)}/")

    def get_developer_profile(self, display_name: str) -> dict[str, Any]:
        return self._get(f"store/developers/{_quote(display_name)}/")

    def get_toolkit_context(self, toolkit_id: str, user_prompt: str, provider: str = "openai") -> dict[str, Any]:
        """A toolkit's tools, under `tools`, in the shape that `provider` (openai, anthropic, mistral) takes."""
        return _object(self._post("process/", _context_request(toolkit_id, user_prompt, provider)).get("payload"))

    def get_toolkit_context_streaming(
        self, toolkit_id: str, user_prompt: str, provider: str = "openai"
    ) -> Generator[dict[str, Any]]:
        """The same, as events."""
        return self._line.events("process/", _context_request(toolkit_id, user_prompt, provider), _SECONDS)

    def call_tool(  # noqa: PLR0917 - the SDK's signature
        self,
        toolkit_id: str,
        tool_calls: Sequence[Any],
        provider: str = "openai",
        auth_token: str | None = None,
        user_prompt: str | None = None,
        timeout: float = 120,
        sequential: bool = False,
        *,
        external_user_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Have the model's tool calls run, one after the other, and give the messages that answer them.

        Whose account: `external_user_id`'s connection, or `auth_token` itself; with neither, that of the app's one
        connected user. `timeout` is in seconds, for each call. A call that failed is answered with its error.
        """
        whose = {"auth_token": auth_token, "external_user_id": external_user_id}
        messages = []
        for call in asked_calls(tool_calls, provider):
            result = self._result(call, _task_request(toolkit_id, call, user_prompt, whose), timeout)
            messages.append(model_message(provider, call, result))
        return messages

    def call_tool_streaming(  # noqa: PLR0917 - the SDK's signature
        self,
        toolkit_id: str,
        tool_calls: Sequence[Any],
        provider: str = "openai",
        auth_token: str | None = None,
        user_prompt: str | None = None,
        timeout: float = 120,
        *,
        external_user_id: str | None = None,
    ) -> Generator[dict[str, Any]]:
        """Run the first of the model's tool calls and give what happens as events."""
        whose = {"auth_token": auth_token, "external_user_id": external_user_id}
        for call in asked_calls(tool_calls[:1], provider):
            yield from self._line.events("process/", _task_request(toolkit_id, call, user_prompt, whose), timeout)

    def _result(self, call: AskedCall, request: Mapping[str, Any], timeout: float) -> Any:
        if call.problem:
            return {"error": call.problem}
        try:
            answer = self._post("process/", request, timeout)
        except GatewayError as error:
            return {"error": error.message}
        if answer.get("status") == "error":
            return {"error": answer.get("message")}
        try:
            return answer["result"]["tool"]["result"]
        except (KeyError, TypeError):
            return {"error": "The gateway's answer holds no result."}

    def _get(self, path: str) -> dict[str, Any]:
        return _object(self._line.answer("GET", path, None, _SECONDS))

    def _post(self, path: str, body: Mapping[str, Any], timeout: float = _SECONDS) -> dict[str, Any]:
        return _object(self._line.answer("POST", path, body, timeout))


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise GatewayError("The gateway's answer is not what ATP says. Is base_url the address of a gateway?")
    return answer


def _quote(value: str) -> str:
    return urllib.parse.quote(value, safe="")


def _context_request(toolkit_id: str, user_prompt: str, provider: str) -> dict[str, Any]:
    return {
        "type": "get_toolkit_context",
        "toolkit_id": toolkit_id,
        "request_id": str(uuid.uuid4()),
        "provider": provider,
        "user_prompt": user_prompt,
    }


def _task_request(
    toolkit_id: str, call: AskedCall, user_prompt: str | None, whose: Mapping[str, str | None]
) -> dict[str, Any]:
    return {
        "type": "task_request",
        "request_id": f"task_{uuid.uuid4()}",
        "toolkit_id": toolkit_id,
        "user_prompt": user_prompt,
        **whose,
        "payload": {
            "function": call.function,
            "parameters": call.arguments,
            "auth_token": whose["auth_token"],
            "tool_call_id": call.id,
        },
    }

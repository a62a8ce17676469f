"""The app's client: what the back end of an agent uses to connect accounts and to have tools called.

`LLMClient` has the methods and the results of the ATP SDK's class of that name, and is what a script gets that imports
it from `atp_sdk` while the gateway loads or runs it. It speaks ATP over HTTP whatever `protocol` says. Unlike the
SDK's, it gives every request a time limit, percent-encodes ids into URLs, sends `page` and `page_size`, can say for
which of the app's users it asks, and hands the model `{"error": "…"}` for a call that failed, where the SDK's hands it
`{}`. `AsyncLLMClient` is the same for code that has an event loop.

Which gateway it talks to: the one this process is bound to (`bound_to`, which `atp-gateway run` uses), else `base_url`.
Below: `app_requests` (what is asked), `app_line`, `tool_calls`. Not here: the gateway's side (`gateway.surfaces.atp`).

Source: AgentToolProtocol 0.2.5, `atp_sdk/clients.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import GatewayError, NotConnectedError
from gateway.secret import Secret
from gateway.toolkit import app_requests as ask
from gateway.toolkit.app_requests import AT_ONCE, CALL_SECONDS, SECONDS, Json, Whose
from gateway.toolkit.tool_calls import AskedCall, asked_calls, model_message

_PROTOCOLS = ("http", "https", "ws", "wss")


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


def chosen_gateway(api_key: str, protocol: str, base_url: str | None) -> BoundGateway:
    """The gateway for a client that is built with these arguments. ValueError for a protocol that there is not."""
    if protocol.lower() not in _PROTOCOLS:
        raise ValueError(f"Unsupported protocol {protocol!r}. Use one of {', '.join(_PROTOCOLS)}.")
    return _bound[-1] if _bound else BoundGateway((base_url or "").rstrip("/"), Secret(api_key))


class LLMClient:
    """What an app asks of a gateway. Failures are GatewayErrors; a wait that ran out is a TimeoutError.

    `timeout` is how many seconds a request may take, from its beginning to the end of its answer. One client may be
    used by several threads.
    """

    def __init__(
        self, api_key: str = "", protocol: str = "https", base_url: str | None = None, idle_timeout: int = 300
    ) -> None:
        from gateway.toolkit.app_line import AppLine

        gateway = chosen_gateway(api_key, protocol, base_url)
        self._line = AppLine(gateway.base_url, gateway.app_key)
        self._tell = gateway.tell
        self.protocol = protocol.lower()
        self.base_url = self._line.base_url
        self.idle_timeout = idle_timeout

    def initiate_oauth_connection(
        self,
        platform_id: str,
        external_user_id: str,
        developer_redirect_url: str | None = None,
        *,
        timeout: float = SECONDS,
    ) -> Json:
        """Begin a consent. The person opens the answer's `authorization_url`, a page of the gateway."""
        begun = self._line.answer(ask.begin_consent(platform_id, external_user_id, developer_redirect_url), timeout)
        self._tell(f"To connect {begun.get('provider_name')}, open {begun.get('authorization_url')}")
        return begun

    def wait_for_connection(
        self, platform_id: str, external_user_id: str, timeout: float = 300, poll_interval: float = 2
    ) -> Json:
        """The person's connection, as soon as there is one. `timeout` and `poll_interval` are in seconds."""
        deadline = time.monotonic() + timeout
        self._tell(f"Waiting until {platform_id} is connected …")
        while (left := deadline - time.monotonic()) > 0:
            try:
                account = self.get_user_tokens(platform_id, external_user_id)
            except NotConnectedError:
                time.sleep(min(poll_interval, left))
            else:
                self._tell(f"{platform_id} is connected.")
                return {"status": "completed", **account}
        raise ask.nobody_connected(platform_id, external_user_id, timeout)

    def get_user_tokens(self, platform_id: str, external_user_id: str, *, timeout: float = SECONDS) -> Json:
        """The person's connection, with its tokens where the app may have them."""
        return self._line.answer(ask.user_tokens(platform_id, external_user_id), timeout)

    def register_webhook(
        self, url: str, events: Sequence[str] = ("connection_success",), *, timeout: float = SECONDS
    ) -> Json:
        """Have `events` sent to `url` from now on."""
        return self._line.answer(ask.register_webhook(url, events), timeout)

    def list_webhooks(self, *, timeout: float = SECONDS) -> list[Json]:
        """The app's webhooks."""
        return self._line.answer(ask.webhooks(), timeout)

    def delete_webhook(self, webhook_id: str, *, timeout: float = SECONDS) -> None:
        """Send nothing more to a webhook."""
        self._line.answer(ask.delete_webhook(webhook_id), timeout)

    def list_store_toolkits(self, page: int = 1, page_size: int = 10, *, timeout: float = SECONDS) -> Json:
        """A page of the toolkits that the app may use, under `results`; `count` is how many there are in all."""
        return self._line.answer(ask.store_toolkits(page, page_size), timeout)

    def list_my_toolkits(self, page: int = 1, page_size: int = 10, *, timeout: float = SECONDS) -> Json:
        """The same as `list_store_toolkits`: a gateway has one owner."""
        return self._line.answer(ask.my_toolkits(page, page_size), timeout)

    def get_toolkit_details(self, toolkit_id: str, *, timeout: float = SECONDS) -> Json:
        """A toolkit with its tools, their parameters and what each needs."""
        return self._line.answer(ask.toolkit_details(toolkit_id), timeout)

    def get_developer_profile(self, display_name: str, *, timeout: float = SECONDS) -> Json:
        """Who is behind a toolkit, where the gateway tells."""
        return self._line.answer(ask.developer_profile(display_name), timeout)

    def get_toolkit_context(
        self,
        toolkit_id: str,
        user_prompt: str,
        provider: str = "openai",
        *,
        external_user_id: str | None = None,
        account: str | None = None,
        timeout: float = SECONDS,
    ) -> Json:
        """A toolkit's tools, under `tools`, in the shape that `provider` (openai, anthropic, mistral) takes.

        With `external_user_id` the model may choose among that person's accounts, where they have several and the app
        does not choose one itself, by `account`.
        """
        whose = Whose(external_user_id, account)
        return self._line.answer(ask.toolkit_context(toolkit_id, user_prompt, provider, whose), timeout)

    def get_toolkit_context_streaming(
        self,
        toolkit_id: str,
        user_prompt: str,
        provider: str = "openai",
        *,
        external_user_id: str | None = None,
        account: str | None = None,
        timeout: float = SECONDS,
    ) -> Generator[Json]:
        """The same, as events."""
        whose = Whose(external_user_id, account)
        return self._line.events(ask.toolkit_context(toolkit_id, user_prompt, provider, whose), timeout)

    def call_tool(  # noqa: PLR0917 - the SDK's signature
        self,
        toolkit_id: str,
        tool_calls: Sequence[Any],
        provider: str = "openai",
        auth_token: str | None = None,
        user_prompt: str | None = None,
        timeout: float = CALL_SECONDS,
        sequential: bool = False,
        *,
        external_user_id: str | None = None,
        account: str | None = None,
    ) -> list[Json]:
        """Have the model's tool calls run and give the messages that answer them, in the model's order.

        Whose account: that of `external_user_id`, the default one or the one that `account` names; or `auth_token`
        itself; with neither, that of the app's one connected user. `timeout` is for each call; one that failed is
        answered with its error. Several run at the same time, unless `sequential`.
        """
        whose = Whose(external_user_id, account, auth_token)
        calls = asked_calls(tool_calls, provider)

        def run(call: AskedCall) -> Json:
            return model_message(provider, call, self._result(call, toolkit_id, user_prompt, whose, timeout))

        if sequential or len(calls) < 2:
            return [run(call) for call in calls]
        with ThreadPoolExecutor(min(len(calls), AT_ONCE), "atp-gateway-app") as threads:
            return list(threads.map(run, calls))

    def call_tool_streaming(  # noqa: PLR0917 - the SDK's signature
        self,
        toolkit_id: str,
        tool_calls: Sequence[Any],
        provider: str = "openai",
        auth_token: str | None = None,
        user_prompt: str | None = None,
        timeout: float = CALL_SECONDS,
        *,
        external_user_id: str | None = None,
        account: str | None = None,
        progress: bool = False,
    ) -> Generator[Json]:
        """Run the first of the model's tool calls and give its answer as an event.

        With `progress`, what the tool reports before that comes as events of type `task_progress`.
        """
        whose = Whose(external_user_id, account, auth_token)
        for call in asked_calls(tool_calls[:1], provider):
            if call.problem:
                yield ask.failed_event(call.problem)
                return
            request = ask.task(toolkit_id, call, user_prompt, whose, progress=progress)
            yield from self._line.events(request, timeout)

    def _result(self, call: AskedCall, toolkit_id: str, user_prompt: str | None, whose: Whose, timeout: float) -> Any:
        if call.problem:
            return {"error": call.problem}
        try:
            return self._line.answer(ask.task(toolkit_id, call, user_prompt, whose), timeout)
        except GatewayError as error:
            return ask.told(error)

"""The app's client for code that has an event loop: `LLMClient` with `await` before every method.

Below: `app_requests` (what is asked), `llm_client` (which gateway), `async_app_line`, `tool_calls`.
"""

# ruff: noqa: ASYNC109 - the methods are those of LLMClient, with its `timeout`

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gateway.errors import GatewayError, NotConnectedError
from gateway.toolkit import app_requests as ask
from gateway.toolkit.app_requests import AT_ONCE, CALL_SECONDS, SECONDS, Json, Whose
from gateway.toolkit.llm_client import chosen_gateway
from gateway.toolkit.tool_calls import AskedCall, asked_calls, model_message

if TYPE_CHECKING:
    from gateway.toolkit.async_app_line import AsyncAppLine


class AsyncLLMClient:
    """What an app asks of a gateway. The methods take and give what those of `LLMClient` do.

    Keeps its connections: close it with `aclose`, or use it in an `async with`. Belongs to one event loop.
    """

    def __init__(
        self, api_key: str = "", protocol: str = "https", base_url: str | None = None, idle_timeout: int = 300
    ) -> None:
        self._gateway = chosen_gateway(api_key, protocol, base_url)
        self._opened: AsyncAppLine | None = None
        self.protocol = protocol.lower()
        self.base_url = self._gateway.base_url
        self.idle_timeout = idle_timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A later request opens new ones."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def initiate_oauth_connection(
        self,
        platform_id: str,
        external_user_id: str,
        developer_redirect_url: str | None = None,
        *,
        timeout: float = SECONDS,
    ) -> Json:
        request = ask.begin_consent(platform_id, external_user_id, developer_redirect_url)
        begun = await self._line.answer(request, timeout)
        self._gateway.tell(f"To connect {begun.get('provider_name')}, open {begun.get('authorization_url')}")
        return begun

    async def wait_for_connection(
        self, platform_id: str, external_user_id: str, timeout: float = 300, poll_interval: float = 2
    ) -> Json:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        return {"status": "completed", **await self.get_user_tokens(platform_id, external_user_id)}
                    except NotConnectedError:
                        await asyncio.sleep(poll_interval)
        except TimeoutError:
            raise ask.nobody_connected(platform_id, external_user_id, timeout) from None

    async def get_user_tokens(self, platform_id: str, external_user_id: str, *, timeout: float = SECONDS) -> Json:
        return await self._line.answer(ask.user_tokens(platform_id, external_user_id), timeout)

    async def register_webhook(
        self, url: str, events: Sequence[str] = ("connection_success",), *, timeout: float = SECONDS
    ) -> Json:
        return await self._line.answer(ask.register_webhook(url, events), timeout)

    async def list_webhooks(self, *, timeout: float = SECONDS) -> list[Json]:
        return await self._line.answer(ask.webhooks(), timeout)

    async def delete_webhook(self, webhook_id: str, *, timeout: float = SECONDS) -> None:
        await self._line.answer(ask.delete_webhook(webhook_id), timeout)

    async def list_store_toolkits(self, page: int = 1, page_size: int = 10, *, timeout: float = SECONDS) -> Json:
        return await self._line.answer(ask.store_toolkits(page, page_size), timeout)

    async def list_my_toolkits(self, page: int = 1, page_size: int = 10, *, timeout: float = SECONDS) -> Json:
        return await self._line.answer(ask.my_toolkits(page, page_size), timeout)

    async def get_toolkit_details(self, toolkit_id: str, *, timeout: float = SECONDS) -> Json:
        return await self._line.answer(ask.toolkit_details(toolkit_id), timeout)

    async def get_developer_profile(self, display_name: str, *, timeout: float = SECONDS) -> Json:
        return await self._line.answer(ask.developer_profile(display_name), timeout)

    async def get_toolkit_context(
        self,
        toolkit_id: str,
        user_prompt: str,
        provider: str = "openai",
        *,
        external_user_id: str | None = None,
        account: str | None = None,
        timeout: float = SECONDS,
    ) -> Json:
        whose = Whose(external_user_id, account)
        return await self._line.answer(ask.toolkit_context(toolkit_id, user_prompt, provider, whose), timeout)

    def get_toolkit_context_streaming(
        self,
        toolkit_id: str,
        user_prompt: str,
        provider: str = "openai",
        *,
        external_user_id: str | None = None,
        account: str | None = None,
        timeout: float = SECONDS,
    ) -> AsyncGenerator[Json]:
        whose = Whose(external_user_id, account)
        return self._line.events(ask.toolkit_context(toolkit_id, user_prompt, provider, whose), timeout)

    async def call_tool(  # noqa: PLR0917 - the SDK's signature
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
        whose = Whose(external_user_id, account, auth_token)
        turn = asyncio.Semaphore(1 if sequential else AT_ONCE)

        async def run(call: AskedCall) -> Json:
            async with turn:
                return model_message(provider, call, await self._result(call, toolkit_id, user_prompt, whose, timeout))

        calls = [asyncio.create_task(run(call)) for call in asked_calls(tool_calls, provider)]
        try:
            return await asyncio.gather(*calls)
        finally:
            for each in calls:
                each.cancel()

    async def call_tool_streaming(  # noqa: PLR0917 - the SDK's signature
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
    ) -> AsyncGenerator[Json]:
        whose = Whose(external_user_id, account, auth_token)
        for call in asked_calls(tool_calls[:1], provider):
            if call.problem:
                yield ask.failed_event(call.problem)
                return
            request = ask.task(toolkit_id, call, user_prompt, whose, progress=progress)
            async for event in self._line.events(request, timeout):
                yield event

    async def _result(
        self, call: AskedCall, toolkit_id: str, user_prompt: str | None, whose: Whose, timeout: float
    ) -> Any:
        if call.problem:
            return {"error": call.problem}
        try:
            return await self._line.answer(ask.task(toolkit_id, call, user_prompt, whose), timeout)
        except GatewayError as error:
            return ask.told(error)

    @property
    def _line(self) -> AsyncAppLine:
        if self._opened is None:
            from gateway.toolkit.async_app_line import AsyncAppLine

            self._opened = AsyncAppLine(self._gateway.base_url, self._gateway.app_key)
        return self._opened

"""One app's line to a gateway, for code that has an event loop. Connections are kept and used again.

As `app_line`: a time limit for every request, no redirect, no proxy, and GatewayErrors. Below: `answers`, `httpx2`.
Above: `gateway.toolkit.async_llm_client`, which imports this when a client sends its first request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2

from gateway.secret import Secret
from gateway.toolkit.answers import LONGEST_REFUSAL, PATH, Address, decoded, event_in, out_of_time, refusal, unreachable
from gateway.toolkit.app_requests import AppRequest

T = TypeVar("T")


class AsyncAppLine:
    """Belongs to the loop that uses it first, until `aclose`."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self._base_url = base_url
        self._key = key
        verify = ssl.create_default_context() if Address.of(base_url).secure else False
        self._http = httpx2.AsyncClient(timeout=None, trust_env=False, verify=verify)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def answer(self, request: AppRequest[T], seconds: float) -> T:
        """What the request is answered with, within so many seconds."""
        with self._trouble(seconds):
            async with asyncio.timeout(seconds):
                response = await self._sent(request, "application/json")
                try:
                    return request.read(decoded(await response.aread()))
                finally:
                    await response.aclose()

    async def events(self, request: AppRequest[Any], seconds: float) -> AsyncGenerator[dict[str, Any]]:
        """The answer to a request as it comes in: server-sent events with JSON in them.

        What the caller does between two of them does not count.
        """
        left = _TimeLeft(seconds)
        with self._trouble(seconds):
            response = await left.to(self._sent(request, "text/event-stream"))
        try:
            lines = response.aiter_lines()
            while True:
                with self._trouble(seconds):
                    line = await left.to(anext(lines, None))
                if line is None:
                    return
                if (event := event_in(line.encode())) is not None:
                    yield event
        finally:
            await response.aclose()

    async def _sent(self, request: AppRequest[Any], accept: str) -> httpx2.Response:
        headers = {"Authorization": f"ApiKey {self._key.reveal()}", "Accept": accept}
        url = self._base_url + PATH + request.path
        built = self._http.build_request(request.method, url, json=request.body, headers=headers)
        response = await self._http.send(built, stream=True)
        if response.is_success:
            return response
        try:
            raise refusal(response.status_code, (await response.aread())[:LONGEST_REFUSAL])
        finally:
            await response.aclose()

    @contextmanager
    def _trouble(self, seconds: float) -> Iterator[None]:
        """What goes wrong in the block is told as a GatewayError."""
        try:
            yield
        except TimeoutError:
            raise out_of_time(self._base_url, seconds) from None
        except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(self._base_url, error) from None


class _TimeLeft:
    """So many seconds for several waits together. TimeoutError when they are used up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def to(self, wait: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._seconds):
                return await wait
        finally:
            self._seconds -= loop.time() - began

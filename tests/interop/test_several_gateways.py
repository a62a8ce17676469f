"""Three gateways of one database behind a load balancer that sends each request to the next: hosts do not notice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.interop.programs import gateway_settings, served_gateway


class RoundRobin(httpx2.AsyncBaseTransport):
    """Sends each request to the next of the gateways, whatever it is addressed to."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.sent: list[str] = []
        self._turns = cycle(range(len(urls)))
        self._plain = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = httpx2.URL(self.urls[next(self._turns)])
        request.url = request.url.copy_with(host=url.host, port=url.port)
        request.headers["host"] = f"{url.host}:{url.port}"
        self.sent.append(str(request.url))
        return await self._plain.handle_async_request(request)

    async def aclose(self) -> None:
        await self._plain.aclose()


@pytest.fixture
async def gateways(tmp_path: Path) -> AsyncIterator[list[str]]:
    environment = gateway_settings(tmp_path, "http://127.0.0.1:1")
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(served_gateway(environment)) for _ in range(3)]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdks_client_calls_through_all_of_them(gateways: list[str], mode: str) -> None:
    balancer = RoundRobin(gateways)
    http = httpx2.AsyncClient(transport=balancer, timeout=20)
    async with http, Client(streamable_http_client(f"{gateways[0]}/mcp", http_client=http), mode=mode) as client:
        for number in range(20):
            answer = await client.call_tool("add", {"a": number, "b": 1})
            assert answer.content[0].text == str(number + 1)  # type: ignore[union-attr]
        assert (await client.list_tools()).tools

    asked = {re.sub(r"/mcp$", "", url) for url in balancer.sent}
    assert asked == set(gateways)

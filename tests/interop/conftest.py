"""A provider, our gateway as a process, and a person who consents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from mcp import Client

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from tests.interop.programs import gateway_settings, served_gateway

LINK = re.compile(r"http://127\.0\.0\.1:\d+/connect/[\w-]+")


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """The provider `acme`, where our gateway is registered with the redirect URI of any loopback port."""
    client = RegisteredClient("interop", "not much of a secret", ("http://127.0.0.1/oauth/callback/acme",))
    async with serving(AuthorizationServer(client)) as url:
        yield url


@pytest.fixture
def environment(tmp_path: Path, issuer: str) -> dict[str, str]:
    """What a gateway process, or a host that starts one, has to be told."""
    return gateway_settings(tmp_path, issuer)


@dataclass(frozen=True)
class ServedGateway:
    base_url: str

    @property
    def mcp(self) -> str:
        return f"{self.base_url}/mcp"

    @property
    def sse(self) -> str:
        return f"{self.base_url}/sse"


@pytest.fixture
async def gateway_process(environment: dict[str, str]) -> AsyncIterator[ServedGateway]:
    """`atp-gateway serve`, started as a person starts it."""
    async with served_gateway(environment) as base_url:
        yield ServedGateway(base_url)


@pytest.fixture
async def consent() -> Callable[[str], Awaitable[None]]:
    """Alice, who follows the connect link in a text and consents."""

    async def follow(text: str) -> None:
        link = LINK.search(text)
        assert link, f"no connect link in: {text}"
        async with Browser() as browser:
            with anyio.fail_after(20):
                await browser.consent(link[0], user="alice")

    return follow


@pytest.fixture
def link_to_connect(gateway_process: ServedGateway) -> Callable[[], Awaitable[str]]:
    """Asks the gateway for the link to connect an account, as a host does that shows nothing but text."""

    async def ask() -> str:
        async with Client(gateway_process.mcp) as client:
            result = await client.call_tool("account", {})
        return str(result.content[0])

    return ask

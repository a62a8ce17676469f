"""An MCP host on the Python SDK's own OAuth client, in this process, that shows what it opens at a desk."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from mcp_types import Implementation

from tests.interop.desk import Desk
from tests.kept import Kept

_ITSELF = Implementation(name="Desk Assistant", version="1")
_BACK = b"<!doctype html><link rel=icon href=data:,><title>Back</title><h1>Back at the program</h1>"


class SdkHost:
    """One person's. It keeps its registration and its tokens from one session to the next."""

    def __init__(self, url: str, desk: Desk, callback: str, answers: asyncio.Queue[dict[str, str]]) -> None:
        self.url = url
        self._desk = desk
        self._answers = answers
        self._auth = OAuthClientProvider(
            url,
            OAuthClientMetadata(client_name=_ITSELF.name, redirect_uris=[callback]),  # type: ignore[list-item]
            Kept(),
            redirect_handler=self._show,
            callback_handler=self._called_back,
        )

    @asynccontextmanager
    async def session(self, mode: str = "auto") -> AsyncIterator[Client]:
        """Connected, and signed in as far as need be."""
        async with (
            httpx2.AsyncClient(auth=self._auth, trust_env=False, timeout=60) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode, client_info=_ITSELF) as client,
        ):
            yield client

    async def _show(self, url: str) -> None:
        self._desk.show(url)

    async def _called_back(self) -> AuthorizationCodeResult:
        answer = await self._answers.get()
        return AuthorizationCodeResult(code=answer.get("code", ""), state=answer.get("state"), iss=answer.get("iss"))


@asynccontextmanager
async def sdk_host(url: str, desk: Desk) -> AsyncIterator[SdkHost]:
    """Its callback listens while the block lasts."""
    answers: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def hear(reader: StreamReader, writer: StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" + _BACK)
        await writer.drain()
        writer.close()
        answers.put_nowait({name: values[0] for name, values in parse_qs(urlsplit(target).query).items()})

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server:
        yield SdkHost(url, desk, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback", answers)

"""A host on the MCP SDK for Python, 1.x: python_sdk_1.py http|login|sse URL, or stdio COMMAND ARGUMENT…

Speaks the protocol of `tests.interop.programs.Host` on its own stdin and stdout.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import httpx
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.auth import OAuthClientProvider
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

CALLBACK = "http://localhost:41997/callback"

transport, target, *rest = sys.argv[1:]


def say(**line):
    print(json.dumps(line), flush=True)  # noqa: T201 - how it speaks to the test


async def visit(context, params):
    say(visit=params.url)
    return types.ElicitResult(action="accept")


class Memory:
    """What the host keeps of a login."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def open_in_a_browser(url):
    say(open=url)


async def called_back():
    back = json.loads(await asyncio.to_thread(sys.stdin.readline))["back"]
    answer = parse_qs(urlsplit(back).query)
    return answer["code"][0], answer["state"][0]


def logged_in():
    said = OAuthClientMetadata(client_name="python-sdk-1", redirect_uris=[CALLBACK])
    return httpx.AsyncClient(auth=OAuthClientProvider(target, said, Memory(), open_in_a_browser, called_back))


async def connect(stack):
    if transport == "stdio":
        server = StdioServerParameters(command=target, args=rest, env=dict(os.environ))
        streams = await stack.enter_async_context(stdio_client(server))
    elif transport == "sse":
        streams = await stack.enter_async_context(sse_client(target))
    else:
        client = await stack.enter_async_context(logged_in()) if transport == "login" else None
        streams = await stack.enter_async_context(streamable_http_client(target, http_client=client))
    session = ClientSession(streams[0], streams[1], elicitation_callback=visit)
    return await stack.enter_async_context(session)


async def main():
    async with AsyncExitStack() as stack:
        session = await connect(stack)
        chosen = await session.initialize()
        tools = await session.list_tools()
        say(tools=[tool.name for tool in tools.tools], protocol=chosen.protocolVersion)
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                result = await session.call_tool(**json.loads(line))
                say(text=result.content[0].text, is_error=result.isError)
            except McpError as error:
                asked = (error.error.data or {}).get("elicitations", [])
                say(code=error.error.code, links=[elicitation["url"] for elicitation in asked])


asyncio.run(main())

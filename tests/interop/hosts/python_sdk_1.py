"""A host on the MCP SDK for Python, 1.x: python_sdk_1.py http|sse URL, or stdio COMMAND ARGUMENT…

Speaks the protocol of `tests.interop.programs.Host` on its own stdin and stdout.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack

from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

transport, target, *rest = sys.argv[1:]


def say(**line):
    print(json.dumps(line), flush=True)  # noqa: T201 - how it speaks to the test


async def visit(context, params):
    say(visit=params.url)
    return types.ElicitResult(action="accept")


async def connect(stack):
    if transport == "stdio":
        server = StdioServerParameters(command=target, args=rest, env=dict(os.environ))
        streams = await stack.enter_async_context(stdio_client(server))
    elif transport == "sse":
        streams = await stack.enter_async_context(sse_client(target))
    else:
        streams = await stack.enter_async_context(streamable_http_client(target))
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

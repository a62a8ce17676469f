"""A host on the MCP SDK for Python, 2.x: python_sdk_2.py MODE http|sse URL, or MODE stdio COMMAND ARGUMENT…

MODE is auto, legacy or a protocol revision. Speaks the protocol of `tests.interop.programs.Host` on its own stdin and
stdout.
"""

import asyncio
import json
import os
import sys

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

mode, transport, target, *rest = sys.argv[1:]


def say(**line):
    print(json.dumps(line), flush=True)  # noqa: T201 - how it speaks to the test


async def visit(context, params):
    say(visit=params.url)
    return types.ElicitResult(action="accept")


def server():
    if transport == "stdio":
        return StdioServerParameters(command=target, args=rest, env=dict(os.environ))
    return sse_client(target) if transport == "sse" else streamable_http_client(target)


async def main():
    async with Client(server(), mode=mode, elicitation_callback=visit) as client:
        tools = await client.list_tools()
        say(tools=[tool.name for tool in tools.tools], protocol=client.protocol_version)
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                result = await client.call_tool(**json.loads(line))
                say(text=result.content[0].text, is_error=result.is_error)
            except MCPError as error:
                asked = (error.error.data or {}).get("elicitations", [])
                say(code=error.error.code, links=[elicitation["url"] for elicitation in asked])


asyncio.run(main())

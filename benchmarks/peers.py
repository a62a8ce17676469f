"""What the gateway is measured against: `python benchmarks/peers.py KIND PORT TOOLS` serves one of them.

    echo      a bare Starlette route: JSON in, JSON out. The ceiling of what Python's HTTP stack does
    sdk       the MCP SDK's low-level server, told its schemas, with JSON answers: its fastest shape
    fastmcp   FastMCP as its documentation shows it
    stdio     the MCP SDK's low-level server on stdin and stdout; PORT is ignored

Each offers tools named greet_0, greet_1 … that answer "hello {name}", and runs on uvloop and httptools.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def echo(_tools: int) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def answer(request: Request) -> JSONResponse:
        message = await request.json()
        text = f"hello {message['params']['arguments']['name']}"
        result = {"content": [{"type": "text", "text": text}]}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    return Starlette(routes=[Route("/mcp", answer, methods=["POST"])])


def server(tools: int) -> Any:
    import mcp_types as types
    from mcp.server.lowlevel import Server

    listed = [types.Tool(name=f"greet_{n}", description="Greet somebody.", input_schema=SCHEMA) for n in range(tools)]
    schemas = {tool.name: tool.input_schema for tool in listed}

    async def list_tools(_ctx: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        text = f"hello {(params.arguments or {})['name']}"
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    return Server("sdk", on_list_tools=list_tools, on_call_tool=call_tool, get_tool_input_schema=schemas.get)


def sdk(tools: int) -> Any:
    return server(tools).streamable_http_app(json_response=True)


def fastmcp(tools: int) -> Any:
    from fastmcp import FastMCP

    app = FastMCP("fastmcp")

    def greet(name: str) -> str:
        """Greet somebody."""
        return f"hello {name}"

    for number in range(tools):
        app.tool(greet, name=f"greet_{number}")
    return app.http_app()


def serve_stdio() -> None:
    import anyio
    from mcp.server.stdio import stdio_server

    async def run() -> None:
        peer = server(1)
        async with stdio_server() as (read, write):
            await peer.run(read, write, peer.create_initialization_options())

    anyio.run(run)


APPS: dict[str, Callable[[int], Any]] = {"echo": echo, "sdk": sdk, "fastmcp": fastmcp}


def main(kind: str, port: str, tools: str) -> None:
    if kind == "stdio":
        serve_stdio()
        return
    import uvicorn

    uvicorn.run(
        APPS[kind](int(tools)), port=int(port), loop="uvloop", http="httptools", log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

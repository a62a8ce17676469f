"""MCP over the stdin and stdout of real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from mcp import Client, StdioServerParameters

from tests.surfaces.mcp.world import text_of
from tests.warm import python

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}

KIT = """
import ctypes, os, subprocess, sys, threading
from gateway import Context, ToolKitClient

print("printed while loading")
os.write(1, b"written while loading\\n")
client = ToolKitClient()

@client.tool
def noisy() -> str:
    '''Makes every kind of noise.'''
    forged = '{"jsonrpc": "2.0", "id": 1, "result": {"forged": true}}'
    print(forged, flush=True)
    sys.__stdout__.write(forged + "\\n")
    sys.__stdout__.flush()
    os.write(1, forged.encode() + b"\\n")
    libc = ctypes.CDLL(None)
    libc.puts(forged.encode())
    libc.fflush(None)
    subprocess.run(["echo", forged], check=True)
    return "quiet"

@client.tool
def read_stdin() -> str:
    '''Reads stdin.'''
    return repr(sys.stdin.read())

@client.tool
def echo(text: str) -> str:
    '''Echoes.'''
    return text

@client.tool
def slow() -> str:
    '''Takes a moment.'''
    threading.Event().wait(0.3)
    return "finished"

@client.tool
async def endless(ctx: Context) -> str:
    '''Never ends.'''
    import asyncio
    await ctx.progress(1)
    await asyncio.Event().wait()
    return ""
"""


@pytest.fixture
def kit(tmp_path: Path) -> str:
    path = tmp_path / "kit.py"
    path.write_text(KIT)
    return str(path)


class Host:
    """The other end of the pipe, by hand: sends what it is told and reads line by line."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._rest = b""

    async def send(self, message: dict[str, Any] | bytes) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self._process.stdin is not None
        await self._process.stdin.send(line + b"\n")

    async def request(self, method: str, request_id: int = 1, **params: Any) -> dict[str, Any]:
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return await self.receive()

    async def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with anyio.fail_after(10):
            while b"\n" not in self._rest:
                self._rest += await self._process.stdout.receive()
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    async def close(self) -> int:
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with anyio.fail_after(10):
            return await self._process.wait()


@asynccontextmanager
async def host_of(kit: str) -> AsyncIterator[tuple[Host, Process]]:
    process = await anyio.open_process(python(LAUNCHER, kit))
    try:
        yield Host(process), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


def parameters(kit: str) -> StdioServerParameters:
    command, *arguments = python(LAUNCHER, kit)
    return StdioServerParameters(command=command, args=arguments, env=dict(os.environ))


async def test_nothing_a_toolkit_prints_reaches_the_wire(kit: str) -> None:
    """While loading and while running: print, write, the C library, a child process; in both eras."""
    async with host_of(kit) as (host, _):
        first = await host.request("tools/call", 7, name="noisy", arguments={}, _meta=ENVELOPE)
        assert first["id"] == 7
        assert first["result"]["content"][0]["text"] == "quiet"
        second = await host.request("tools/call", 8, name="echo", arguments={"text": "a"}, _meta=ENVELOPE)
        assert second["id"] == 8


async def test_the_sdks_client_works_in_both_eras(kit: str, era: str) -> None:
    async with Client(parameters(kit), mode=era) as client:
        assert text_of(await client.call_tool("echo", {"text": "héllo\n😀"})) == "héllo\n😀"
        assert text_of(await client.call_tool("noisy")) == "quiet"
        assert text_of(await client.call_tool("read_stdin")) == "''"


async def test_a_host_may_probe_first_and_shake_hands_then(kit: str) -> None:
    """Claude Code sends `server/discover` and then `initialize` to the same process."""
    async with host_of(kit) as (host, _):
        discovered = await host.request("server/discover", 1, _meta=ENVELOPE)
        assert discovered["result"]["supportedVersions"] == ["2026-07-28"]
        initialized = await host.request("initialize", 2, **INITIALIZE)
        assert initialized["result"]["protocolVersion"] == "2025-11-25"
        await host.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        called = await host.request("tools/call", 3, name="echo", arguments={"text": "a"})
        assert called["result"]["content"][0]["text"] == "a"


async def test_a_probe_without_an_envelope_leads_to_the_handshake(kit: str) -> None:
    async with host_of(kit) as (host, _):
        assert "error" in await host.request("server/discover", 1)
        assert "result" in await host.request("initialize", 2, **INITIALIZE)


async def test_a_line_that_is_no_message_is_answered_and_forgotten(kit: str) -> None:
    bad = {
        b"\xff\xfe\xfa": -32700,
        b"{not json": -32700,
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}': -32600,
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}': -32600,
        b"[]": -32600,
        b'{"hello":"world"}': -32600,
        b"x" * 100_001: -32600,
        b'{"a":"' + b"x" * 300_000 + b'"}': -32600,
    }
    async with host_of(kit) as (host, _):
        for line, code in bad.items():
            await host.send(line)
            refused = await host.receive()
            assert (refused["id"], refused["error"]["code"]) == (None, code), line[:50]
        for blank in (b"", b"  ", b"\r"):
            await host.send(blank)
        answered = await host.request("tools/call", 2, name="echo", arguments={"text": "a"}, _meta=ENVELOPE)
        assert answered["result"]["content"][0]["text"] == "a"


async def test_the_end_of_input_lets_a_running_call_finish_and_then_the_process(kit: str) -> None:
    """`echo '{…}' | atp-gateway stdio …` gives its answer."""
    call = {"name": "slow", "arguments": {}, "_meta": ENVELOPE}
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    done = await anyio.run_process(python(LAUNCHER, kit), input=request.encode())
    assert done.returncode == 0
    assert json.loads(done.stdout)["result"]["content"][0]["text"] == "finished"
    assert b"printed while loading" in done.stderr
    assert b"written while loading" in done.stderr


async def test_the_end_of_input_does_not_wait_for_ever(kit: str) -> None:
    async with host_of(kit) as (host, _):
        meta = {**ENVELOPE, "progressToken": 1}
        call = {"name": "endless", "arguments": {}, "_meta": meta}
        progress = await host.request("tools/call", 1, **call)
        assert progress["method"] == "notifications/progress"
        assert await host.close() == 0


async def test_sigterm_ends_the_process_cleanly_while_it_waits_for_input(kit: str) -> None:
    async with host_of(kit) as (host, process):
        await host.request("server/discover", 1, _meta=ENVELOPE)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0


async def test_a_cancelled_call_is_not_answered_and_others_are(kit: str, era: str) -> None:
    async with host_of(kit) as (host, _):
        meta: dict[str, Any] = {"progressToken": 1}
        if era == "legacy":
            await host.request("initialize", 0, **INITIALIZE)
        else:
            meta |= ENVELOPE
        await host.request("tools/call", 1, name="endless", arguments={}, _meta=meta)
        await host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        after = await host.request("tools/call", 2, name="echo", arguments={"text": "a"}, _meta=meta)
        assert after["id"] == 2
        assert await host.close() == 0


async def test_claiming_stdout_costs_no_import() -> None:
    """It runs before anything else, so it must not bring the MCP library with it."""
    program = "import sys; import gateway.surfaces.mcp.stdout; print(sorted(sys.modules.keys() & {'mcp', 'starlette'}))"
    done = await anyio.run_process([sys.executable, "-c", program])
    assert done.stdout.strip() == b"[]"

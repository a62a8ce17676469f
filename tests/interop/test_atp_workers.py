"""Our ToolKitClient as a program of its own, at a gateway that serves: a remote tool is like a local one."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from gateway import app
from gateway.app import Gateway
from gateway.key_types import KeyKind
from gateway.settings import load_settings
from tests.warm import atp_gateway

ROOT = Path(__file__).parents[2]
VAULT_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
SCRIPT = """
import os, sys
from pathlib import Path
from gateway import ToolError, ToolKitClient
from gateway.toolkit.tool import Annotations

client = ToolKitClient(
    api_key=os.environ["KEY"], app_name="crm", base_url=sys.argv[1], protocol=sys.argv[2], concurrency=3
)

@client.tool(annotations=Annotations(title="Greet", read_only=True), timeout=20)
def greet(name: str, times: int = 1) -> list[str]:
    '''Greets.

    Args:
        name: Whom.
    '''
    return [f"hello {name}"] * times

@client.tool
async def fail() -> None:
    raise ToolError("There is no such contact.")

@client.tool
def crash() -> None:
    raise RuntimeError("at db.internal")

@client.tool
def hold(gate: str) -> str:
    '''Waits at a named pipe.'''
    Path(f"{gate}.reached").touch()
    return f"{os.getpid()} {Path(gate).read_text()}"

client.start()
"""


async def a_moment() -> None:
    with anyio.move_on_after(0.02):
        await anyio.sleep_forever()


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    with anyio.fail_after(seconds):
        while not condition():
            await a_moment()


def settings_for(folder: Path, port: int = 0) -> dict[str, str]:
    return {
        "ATP_GATEWAY_SERVER_PORT": str(port),
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": VAULT_KEY,
    }


@asynccontextmanager
async def worker(folder: Path, base_url: str, key: str, protocol: str = "ws") -> AsyncIterator[Process]:
    """A process that runs the script, until the block is left; `stderr` is a pipe."""
    script = folder / "crm.py"
    script.write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), base_url, protocol, cwd=folder, env=_environ() | {"KEY": key}, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.fail_after(20, shield=True):
            await process.communicate()


def _environ(**more: str) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **more}


async def call(base_url: str, tool: str, **arguments: Any) -> Any:
    async with Client(f"{base_url}/mcp") as host:
        with anyio.fail_after(30):
            return await host.call_tool(tool, arguments)


@dataclass
class Place:
    gateway: Gateway
    folder: Path
    key: str

    def names(self) -> list[str]:
        return sorted(tool.name for tool in self.gateway.registry.tools())

    async def call(self, tool: str, **arguments: Any) -> Any:
        return await call(self.gateway.base_url, tool, **arguments)

    def worker(self, protocol: str = "ws") -> Any:
        return worker(self.folder, self.gateway.base_url, self.key, protocol)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with app.serving(load_settings(None, settings_for(tmp_path)), []) as gateway:
        yield Place(gateway, tmp_path, await _toolkit_key(gateway))


async def _toolkit_key(gateway: Gateway) -> str:
    keys = (await gateway.accounts.open()).keys
    _, text = await keys.create(KeyKind.TOOLKIT, "crm", by=gateway.principal)
    return text.reveal()


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_its_tools_are_as_well_typed_and_fail_as_clearly_as_local_ones(place: Place, protocol: str) -> None:
    async with place.worker(protocol):
        await until(lambda: place.names() == ["crash", "fail", "greet", "hold"])
        async with Client(f"{place.gateway.base_url}/mcp") as host:
            listed = {tool.name: tool for tool in (await host.list_tools()).tools}
            greeted = await host.call_tool("greet", {"name": "Ada", "times": 2})
            wrong = await host.call_tool("greet", {"name": "Ada", "times": "many"})
            failed = await host.call_tool("fail", {})
            crashed = await host.call_tool("crash", {})

    greet = listed["greet"]
    assert greet.description == "Greets."
    assert greet.input_schema["properties"]["name"] == {"type": "string", "description": "Whom."}
    assert greet.input_schema["properties"]["times"]["type"] == "integer"
    assert (greet.annotations.title, greet.annotations.read_only_hint) == ("Greet", True)
    assert greeted.structured_content == ["hello Ada", "hello Ada"]
    assert (wrong.is_error, "times" in wrong.content[0].text) == (True, True)
    assert (failed.is_error, failed.content[0].text) == (True, "There is no such contact.")
    assert crashed.is_error
    assert "db.internal" not in crashed.content[0].text


async def test_one_worker_runs_several_calls_and_one_that_stops_finishes_while_another_takes_over(
    place: Place,
) -> None:
    gates = [place.folder / f"gate{number}" for number in range(4)]
    for gate in gates:
        os.mkfifo(gate)
    async with AsyncExitStack() as workers:
        first = await workers.enter_async_context(place.worker())
        await until(lambda: "hold" in place.names())
        running = [asyncio.create_task(place.call("hold", gate=str(gate))) for gate in gates[:3]]
        for gate in gates[:3]:
            await until(Path(f"{gate}.reached").exists)
        first.send_signal(signal.SIGTERM)
        await _until_said(first, b"stopping")
        await workers.enter_async_context(place.worker())
        late = asyncio.create_task(place.call("hold", gate=str(gates[3])))
        for gate in gates:
            await asyncio.to_thread(gate.write_text, "open")
        answers = [(await task).structured_content for task in (*running, late)]
        with anyio.fail_after(10):
            assert await first.wait() == 0

    pids = [answer.split()[0] for answer in answers]
    assert pids[:3] == [str(first.pid)] * 3
    assert pids[3] != str(first.pid)
    assert [answer.split()[1] for answer in answers] == ["open"] * 4


async def test_a_gateway_that_was_killed_has_its_toolkit_back_by_itself(tmp_path: Path) -> None:
    port = _free_port()
    base_url = f"http://127.0.0.1:{port}"
    async with app.listening(app.build(load_settings(None, settings_for(tmp_path)))) as gateway:
        key = await _toolkit_key(gateway)
    async with AsyncExitStack() as whole:
        first = await whole.enter_async_context(_serving(tmp_path, port))
        await whole.enter_async_context(worker(tmp_path, base_url, key))
        await _until_listed(base_url, "greet")
        first.kill()
        await first.communicate()
        await whole.enter_async_context(_serving(tmp_path, port))
        await _until_listed(base_url, "greet")
        answer = await call(base_url, "greet", name="Ada")

    assert answer.structured_content == ["hello Ada"]


async def _until_said(process: Process, words: bytes) -> None:
    assert process.stderr
    with anyio.fail_after(10):
        while words not in await process.stderr.readline():
            pass


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def _serving(folder: Path, port: int) -> AsyncIterator[Process]:
    environ = _environ(**settings_for(folder, port), ATP_GATEWAY_LOG_LEVEL="WARNING")
    process = await asyncio.create_subprocess_exec(*atp_gateway("serve"), cwd=folder, env=environ, stderr=PIPE)
    try:
        assert process.stderr
        with anyio.fail_after(30):
            assert b"/mcp" in await process.stderr.readline()
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        with anyio.fail_after(20, shield=True):
            await process.communicate()


async def _until_listed(base_url: str, tool: str) -> None:
    with anyio.fail_after(30):
        while True:
            async with Client(f"{base_url}/mcp") as host:
                if tool in [each.name for each in (await host.list_tools()).tools]:
                    return
            await a_moment()

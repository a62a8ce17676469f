"""Toolkits written with the published ATP SDK, started as their authors start them, at a gateway that serves."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import os
import secrets
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from gateway import app
from gateway.app import Gateway
from gateway.key_types import ApiKey, KeyKind
from gateway.settings import load_settings

NOTHING = "auth_provider=None, auth_type=None, auth_with=None"
GREETS = f"""
@client.register_tool(function_name="greet", params=["name"], required_params=["name"],
                      description="Greets.", {NOTHING})
def greet(**kwargs):
    return {{"hello": kwargs["name"]}}
"""
FAILS = f"""
@client.register_tool(function_name="fail", params=[], required_params=[], description="Fails.", {NOTHING})
def fail(**kwargs):
    raise ValueError("there is no such contact")
"""
HOLDS = f"""
@client.register_tool(function_name="hold", params=["gate"], required_params=["gate"], description="Waits.", {NOTHING})
def hold(gate):
    with open(gate + ".in", "w") as here:
        here.write("here")
    with open(gate) as opened:
        return opened.read()
"""


class Gate:
    """A named pipe at which a tool waits, in its own process, until it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    async def reached(self) -> None:
        await until(Path(f"{self.path}.in").exists)

    async def open(self, text: str) -> None:
        await asyncio.to_thread(self.path.write_text, text)


async def a_moment() -> None:
    with anyio.move_on_after(0.02):
        await anyio.sleep_forever()


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    with anyio.fail_after(seconds):
        while not condition():
            await a_moment()


@dataclass
class Place:
    """A gateway that serves, and a folder for toolkits and what they print."""

    gateway: Gateway
    folder: Path
    key: ApiKey
    key_text: str
    printed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def toolkit(self, protocol: str, *tools: str, key: str | None = None) -> AsyncIterator[Process]:
        """`python toolkit.py`, until the block is left. The client's settings are what published toolkits have."""
        script = self.folder / f"toolkit_{secrets.token_hex(4)}" / "toolkit.py"
        script.parent.mkdir()
        script.write_text(
            "from atp_sdk.clients import ToolKitClient\n"
            f"client = ToolKitClient(api_key={key or self.key_text!r}, app_name='', "
            f"base_url={self.gateway.base_url!r}, protocol={protocol!r})\n"
            + "".join(map(textwrap.dedent, tools))
            + "client.start()\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "toolkit.py", cwd=script.parent, env=environment, stderr=PIPE
        )
        reading = asyncio.create_task(self._read(process))
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            with anyio.fail_after(20, shield=True):
                await process.wait()
                await reading

    async def _read(self, process: Process) -> None:
        assert process.stderr
        async for line in process.stderr:
            self.printed.append(line.decode())

    def names(self) -> list[str]:
        return sorted(tool.name for tool in self.gateway.registry.tools())

    async def call(self, tool: str, **arguments: Any) -> Any:
        async with Client(f"{self.gateway.base_url}/mcp") as host:
            with anyio.fail_after(30):
                return await host.call_tool(tool, arguments)


@contextmanager
def logged_by(*names: str) -> Iterator[io.StringIO]:
    """Whatever these loggers have to say, as they say it."""
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield logged
    finally:
        for name, level in levels.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    settings = load_settings(
        None,
        {
            "ATP_GATEWAY_SERVER_PORT": "0",
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "ATP_GATEWAY_LOG_REQUESTS": "true",
        },
    )
    loggers = ("", "gateway", "uvicorn.access", "uvicorn.error", "websockets.server")
    async with app.serving(settings, []) as gateway:
        accounts = await gateway.accounts.open()
        key, text = await accounts.keys.create(KeyKind.TOOLKIT, "crm", by=gateway.principal)
        with logged_by(*loggers) as logged:
            yield Place(gateway, tmp_path, key, text.reveal())
    assert text.reveal() not in logged.getvalue()
    assert '"route": "/api/v1/toolkit/verify_hash"' in logged.getvalue()


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_its_tools_appear_and_are_called(place: Place, protocol: str) -> None:
    async with place.toolkit(protocol, GREETS, FAILS):
        await until(lambda: place.names() == ["fail", "greet"])
        async with Client(f"{place.gateway.base_url}/mcp") as host:
            listed = {tool.name: tool for tool in (await host.list_tools()).tools}
        called = await place.call("greet", name="Ada")

        assert listed["greet"].description == "Greets."
        assert listed["greet"].input_schema == {
            "type": "object",
            "properties": {"name": {}},
            "required": ["name"],
            "additionalProperties": False,
        }
        assert called.structured_content == {"hello": "Ada"}
        if protocol == "ws":  # over HTTP the SDK sleeps 30 s before it asks again
            assert (await place.call("fail")).structured_content == {"error": "there is no such contact"}


async def test_a_worker_that_is_killed_in_the_middle_ends_its_call_at_once(place: Place) -> None:
    gate = Gate(place.folder / "gate")
    async with place.toolkit("ws", HOLDS) as worker:
        await until(lambda: place.names() == ["hold"])
        call = asyncio.create_task(place.call("hold", gate=str(gate.path)))
        await gate.reached()
        worker.send_signal(signal.SIGKILL)
        with anyio.fail_after(2):
            answer = await call

    assert answer.is_error
    assert "Nobody knows whether it did its work" in answer.content[0].text


async def test_two_workers_share_the_calls(place: Place) -> None:
    gates = [Gate(place.folder / f"gate{number}") for number in range(2)]
    async with place.toolkit("ws", HOLDS), place.toolkit("ws", HOLDS):
        await until(lambda: sum("Server message: Connected as crm." in line for line in place.printed) == 2)
        calls = [asyncio.create_task(place.call("hold", gate=str(gate.path))) for gate in gates]
        for gate in gates:
            await gate.reached()
        for number, gate in enumerate(gates):
            await gate.open(f"opened {number}")

        assert [(await call).content[0].text for call in calls] == ["opened 0", "opened 1"]


async def test_a_tool_that_is_removed_disappears_and_a_changed_one_changes(place: Place) -> None:
    async with place.toolkit("ws", GREETS, FAILS):
        await until(lambda: place.names() == ["fail", "greet"])
    async with place.toolkit("ws", GREETS.replace("Greets.", "Says hello.")):
        await until(lambda: place.names() == ["greet"])

        assert place.gateway.registry.tools()[0].description == "Says hello."
        assert (await place.call("greet", name="Ada")).structured_content == {"hello": "Ada"}


async def test_a_second_start_of_the_same_tools_is_skipped(place: Place) -> None:
    async with place.toolkit("ws", GREETS, FAILS):
        await until(lambda: place.names() == ["fail", "greet"])
        accounts = await place.gateway.accounts.open()
        await until_committed(accounts.store.remote)
    place.printed.clear()
    async with place.toolkit("ws", GREETS, FAILS):
        await until(lambda: any("Connected as crm" in line for line in place.printed))

    assert any("'fail' registration skipped" in line for line in place.printed)
    assert any("Toolkit is up-to-date" in line for line in place.printed)


async def until_committed(rows: Any) -> None:
    with anyio.fail_after(30):
        while not await rows.committed("default", "crm"):
            await a_moment()


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_a_wrong_key_opens_nothing_and_is_told_why(place: Place, protocol: str) -> None:
    accounts = await place.gateway.accounts.open()
    _, of_app = await accounts.keys.create(KeyKind.APP, "Notes", by=place.gateway.principal)
    async with place.toolkit(protocol, GREETS, key=of_app.reveal()):
        await until(lambda: sum("a toolkit's is needed here" in line for line in place.printed) >= 2)

        assert place.names() == []


async def test_a_key_that_is_revoked_closes_the_socket_within_seconds(place: Place) -> None:
    async with place.toolkit("ws", GREETS):
        await until(lambda: place.names() == ["greet"])
        accounts = await place.gateway.accounts.open()
        await accounts.keys.revoke(place.key, by=place.gateway.principal)

        await until(lambda: place.names() == [], seconds=8)
        await until(lambda: any("This key was revoked" in line for line in place.printed))

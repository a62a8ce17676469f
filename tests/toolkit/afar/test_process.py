"""A worker as its author runs it: a program of its own, which signals reach and whose gateway may go away."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest

from gateway.testing.serving import serving

ROOT = Path(__file__).parents[3]
KEY = "atpg_toolkit_" + "k" * 43
TOKEN = "token-CNRY-0123456789"

SCRIPT = """
    import sys
    from pathlib import Path
    from gateway import ToolKitClient

    client = ToolKitClient(api_key=sys.argv[1], app_name="crm", base_url=sys.argv[2], protocol=sys.argv[3])

    @client.tool(auth_provider="hubspot")
    def wait(name: str, auth_token: str) -> str:
        Path("begun").touch()
        Path("go").read_text()  # a pipe
        return f"{name} is done"

    @client.tool
    def echo(name: str) -> str:
        return name

    client.start()
    print("ended in order")
"""


@asynccontextmanager
async def worker(folder: Path, url: str, protocol: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The script's process, in `folder`; killed when the block is left, if it still runs."""
    script = folder / "crm.py"
    script.write_text(dedent(SCRIPT))
    os.mkfifo(folder / "go")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        KEY,
        url,
        protocol,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ask(desk: Any, protocol: str, tool: str, token: str | None = None, **params: Any) -> str:
    """Have a tool called; gives the call's id."""
    asked = desk.request(tool, token, **params)
    if protocol == "ws":
        return str(await desk.send(asked))
    desk.requests.put_nowait(asked)
    return str(asked["request_id"])


async def until_there(path: Path) -> None:
    with anyio.fail_after(10):
        while not await anyio.Path(path).exists():
            pass


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_a_signal_ends_it_once_what_runs_is_done(desk: Any, tmp_path: Path, protocol: str) -> None:
    async with worker(tmp_path, desk.url, protocol) as process:
        asked = await ask(desk, protocol, "wait", TOKEN, name="ada-CNRY")
        await until_there(tmp_path / "begun")
        process.send_signal(signal.SIGTERM)
        if protocol == "ws":
            await desk.until(lambda: "worker_stopping" in [what for what, _ in desk.told])
        await asyncio.to_thread((tmp_path / "go").write_text, "go")
        answer = await desk.answer_to(asked)
        with anyio.fail_after(10):
            out, err = await process.communicate()

    assert answer["result" if protocol == "ws" else "response"] == "ada-CNRY is done"
    assert (process.returncode, out) == (0, b"ended in order\n")
    assert b"stopping" in err
    assert b"wait done in" in err
    assert b"CNRY" not in err
    assert KEY.encode() not in err


async def test_a_second_signal_ends_it_at_once(desk: Any, tmp_path: Path) -> None:
    async with worker(tmp_path, desk.url, "ws") as process:
        await ask(desk, "ws", "wait", TOKEN, name="ada")
        await until_there(tmp_path / "begun")
        process.send_signal(signal.SIGINT)
        await desk.until(lambda: "worker_stopping" in [what for what, _ in desk.told])
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(10):
            assert (await process.communicate())[0] == b"ended in order\n"


@pytest.mark.parametrize("protocol", ["ws", "http"])
async def test_a_gateway_that_was_away_is_served_again(desk: Any, tmp_path: Path, protocol: str) -> None:
    async with AsyncExitStack() as whole:
        async with serving(desk.app()) as url:
            await whole.enter_async_context(worker(tmp_path, url, protocol))
            await desk.answer_to(await ask(desk, protocol, "echo", name="one"))
        desk.sockets.clear()
        async with serving(desk.app(), port=int(url.rpartition(":")[2])):
            answer = await desk.answer_to(await ask(desk, protocol, "echo", name="two"))

    assert "two" in answer.values()

"""The demo as a newcomer runs it: real processes, real pages, a real MCP client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters

from gateway.cli.demo import World, stage, stdio_server
from gateway.cli.demo_play import play
from gateway.cli.narrator import Narrator
from tests.warm import atp_gateway

ROOT = Path(__file__).parents[2]
MAIN = "from gateway.cli import main; main()"
DEADLINE = 60


@pytest.fixture
def rubbish(tmp_path: Path) -> Path:
    """Where the demo's temporary folder goes."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def environment(rubbish: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(rubbish), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}


def demo(rubbish: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = atp_gateway("demo", *arguments)
    return subprocess.run(
        command, env=environment(rubbish), capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def test_it_plays_through_and_leaves_nothing_behind(rubbish: Path) -> None:
    ended = demo(rubbish, "--once")

    assert (ended.returncode, ended.stderr) == (0, "")
    for line in (
        "1 consent, 1 refresh, 4 API calls",
        "The browser shows:",
        "ada@analytical.example",
        "progress 2 of 2: All added",
        "not one code or token",
    ):
        assert line in ended.stdout
    assert "\x1b[" not in ended.stdout
    assert list(rubbish.iterdir()) == []


@pytest.mark.parametrize(
    ("provider", "seen"),
    [
        ("hubspot", "2 consents, 2 refreshes, 1 revocation,"),
        ("google", "2 consents, 2 refreshes, 1 revocation,"),
        ("salesforce", "2 consents, 2 refreshes, 1 revocation,"),
        ("microsoft", "2 consents, 2 refreshes, 0 revocations,"),
    ],
)
def test_a_connections_whole_life_at_a_twin(rubbish: Path, provider: str, seen: str) -> None:
    ended = demo(rubbish, "--once", "--provider", provider)

    assert (ended.returncode, ended.stderr) == (0, "")
    for line in (seen, "later, the token has expired", "called once more", "wants it back", "not one code or token"):
        assert line in " ".join(ended.stdout.split())
    assert list(rubbish.iterdir()) == []


def test_a_port_that_is_taken_is_named(rubbish: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = demo(rubbish, "--once", "--port", str(port))

    assert ended.returncode == 1
    assert ended.stderr == f"Error: Port {port} is in use. Choose another, or leave out --port.\n"


@pytest.fixture
def staying(rubbish: Path) -> Iterator[subprocess.Popen[str]]:
    command = atp_gateway("demo", "--port", "0")
    process = subprocess.Popen(command, env=environment(rubbish), stdout=subprocess.PIPE, text=True)
    deadline = threading.Timer(DEADLINE, process.kill)
    deadline.start()
    with process:
        try:
            yield process
        finally:
            deadline.cancel()
            process.kill()


def test_it_stays_up_until_it_is_interrupted(staying: subprocess.Popen[str], rubbish: Path) -> None:
    assert staying.stdout is not None
    lines = []
    for line in staying.stdout:
        lines.append(line)
        if "Ctrl+C" in line:
            break
    shown = "".join(lines)
    url = shown.split("claude mcp add --scope user --transport http demo ")[1].split()[0]
    assert '"DEMO_CRM_URL"' in shown
    assert httpx2.get(url.replace("/mcp", "/healthz"), trust_env=False).status_code == 200

    staying.send_signal(signal.SIGINT)

    staying.wait(timeout=20)
    assert list(rubbish.iterdir()) == []


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("DEMO_CRM_URL", "")
    async with stage(tmp_path, 0) as world:
        yield world


async def test_a_step_that_fails_ends_the_play_with_a_sentence(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.crm.server.fail_next(status=500, body={"error": "server_error"}, times=9)

    failure = await play(world, Narrator())

    assert failure is not None
    assert failure.startswith("The demo stopped: The consent ended on")
    assert "5 " not in capsys.readouterr().out


async def test_what_claude_desktop_is_told_to_start_serves_the_connected_account(world: World, tmp_path: Path) -> None:
    assert await play(world, Narrator()) is None
    told = stdio_server(world)
    program = StdioServerParameters(
        command=sys.executable, args=["-c", MAIN, *told.args], env={**told.env, "PYTHONPATH": str(ROOT)}
    )

    with anyio.fail_after(DEADLINE):
        async with Client(program) as host:
            result = await host.call_tool("who_am_i")

    assert not result.is_error
    assert "Alice Archer" in result.model_dump_json()


async def test_secrets_are_in_files_that_only_their_owner_reads(world: World, tmp_path: Path) -> None:
    for name in ("vault.key", "client.secret"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert (tmp_path / name).read_text() not in world.config.read_text()

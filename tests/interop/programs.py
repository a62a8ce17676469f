"""Running programs that we did not write, and our own as its user runs it: as processes, over pipes and sockets.

Every wait is bounded. What a program printed is in the message when it does not do what it should.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pty
import re
import secrets
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import anyio

from tests.warm import atp_gateway

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = ROOT / ".cache/peers/bin"
NODE, CLAUDE, PYTHON_OF_PEERS = PEERS / "node", PEERS / "claude", PEERS / "python"
ATP_GATEWAY = Path(sys.executable).parent / "atp-gateway"
TOOLKIT = HERE / "toolkit.py"

PATIENCE = 40
"""Seconds. A foreign host takes two to start; a busy machine, many more."""

Command = Sequence[str | Path]


def clean_environment(home: Path) -> dict[str, str]:
    """An environment in which nobody's own settings, accounts or caches are found."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ATP_GATEWAY_", "MCP_", "CLAUDE"))
    }
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home), "NO_COLOR": "1"}


def free_port() -> int:
    """A port that nobody had a moment ago, for a program that has to be told one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def gateway_settings(home: Path, issuer: str) -> dict[str, str]:
    """The settings of a gateway with a database and key of its own, and one provider: acme."""
    return clean_environment(home) | {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{home}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_PROVIDERS__ACME__ISSUER": issuer,
        "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_ID": "interop",
        "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_SECRET": "not much of a secret",
    }


@asynccontextmanager
async def running(command: Command, environment: Mapping[str, str], errors: IO[bytes] | int) -> AsyncIterator[Process]:
    """A process with its stdin and stdout in our hands, ended when the block is left."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=PIPE, stdout=PIPE, stderr=errors)
    try:
        yield process
    finally:
        with anyio.fail_after(PATIENCE, shield=True):
            assert process.stdin
            process.stdin.close()
            if process.returncode is None:
                process.terminate()
            _, said = await process.communicate()
        # For whoever searches what a run leaves behind.
        (Path(environment["HOME"]) / f"stderr.{process.pid}.log").write_bytes(said or b"")


@asynccontextmanager
async def served_gateway(environment: Mapping[str, str]) -> AsyncIterator[str]:
    """The base URL of `atp-gateway serve`, once it says that it answers."""
    command = atp_gateway("serve", TOOLKIT, "--strict", "--port", "0")
    quiet = {**environment, "ATP_GATEWAY_LOG_LEVEL": "WARNING"}  # nobody empties the pipe once it has said its address
    async with running(command, quiet, PIPE) as process:
        assert process.stderr
        with anyio.fail_after(PATIENCE):
            said = (await process.stderr.readline()).decode()
        address = re.search(r"(http://\S+)/mcp", said)
        assert address, f"the gateway did not start: {said}{(await process.stderr.read()).decode()}"
        yield address[1]


async def run(command: Command, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a program to its end: its exit status, and what it printed on stdout."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    with anyio.fail_after(PATIENCE):
        printed, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode() or complained.decode()


async def run_at_a_terminal(command: Command, environment: Mapping[str, str]) -> tuple[int, str]:
    """As `run`, for a program that works for somebody at a terminal alone: what it wrote there, escapes and all."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    written = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(written), os.fdopen(ours, "rb", buffering=0)
    )
    said = b""
    try:
        with anyio.fail_after(PATIENCE):
            with contextlib.suppress(OSError):  # how a terminal says that nobody has it open any more
                while more := await written.read(4096):
                    said += more
            return await process.wait(), said.decode(errors="replace")
    finally:
        transport.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


class Host:
    """One of the programs in hosts/: it connects, says what tools there are, and calls the ones it is told to.

    It reads {"name", "arguments"} from stdin and prints lines of JSON: {"tools", "protocol"} at first; then for each
    call any number of {"visit": url}, when the gateway asks to send the person somewhere, and in the end either
    {"text", "is_error"} or {"code", "links"}. One that has to log in first prints {"open": url}, and reads
    {"back": url}: where that led in the end.
    """

    def __init__(self, process: Process, complaints: Path) -> None:
        self._process = process
        self._complaints = complaints

    async def hear(self) -> dict[str, Any]:
        """The next line that it prints."""
        assert self._process.stdout
        with anyio.fail_after(PATIENCE):
            line = await self._process.stdout.readline()
        assert line, f"the host ended: {self._complaints.read_text()[-2000:]}"
        said: dict[str, Any] = json.loads(line)
        return said

    async def tell(self, **line: Any) -> dict[str, Any]:
        """Write it a line; the next one that it prints."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.hear()

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Tell it to call a tool; the first thing that it prints about that."""
        return await self.tell(name=name, arguments=arguments)


@asynccontextmanager
async def running_host(command: Command, environment: Mapping[str, str], home: Path) -> AsyncIterator[Host]:
    complaints = home / "host.log"
    with complaints.open("wb") as errors:
        async with running(command, environment, errors) as process:
            yield Host(process, complaints)

"""Starting the servers that are measured, on a core of their own."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokens import Issuer

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

SERVERS_CORE, LOAD_CORE = 0, 1


def on_core(core: int) -> None:
    """Keep this process on one core, where the system can do that."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def peer(kind: str, tools: int) -> Iterator[int]:
    """The port of one of `peers`, once it answers."""
    port = free_port()
    with started([sys.executable, HERE / "peers.py", kind, str(port), str(tools)], {}, port):
        yield port


@contextlib.contextmanager
def entered(way: str, issuer: Issuer) -> Iterator[tuple[int, str | None]]:
    """The port of a gateway with one tool that needs no account, and what a program shows it to be let in.

    `way` is `one person`, `key` or `token`: the last is signed by `issuer`.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="atp-gateway-") as home:
        settings = own_settings(Path(home))
        if way != "one person":
            settings |= {"ATP_GATEWAY_ACCESS_KEYS": "true", "ATP_GATEWAY_ACCESS_ISSUER": issuer.url}
        command = [BIN / "atp-gateway", "serve", HERE / "toolkit.py", "--strict", "--port", str(port)]
        with started(command, settings, port):
            yield port, _shown(way, issuer, port, settings)


def _shown(way: str, issuer: Issuer, port: int, settings: Mapping[str, str]) -> str | None:
    if way == "token":
        return issuer.token(f"http://127.0.0.1:{port}/mcp")
    if way == "one person":
        return None
    command = [BIN / "atp-gateway", "keys", "create", "person", "load", "--subject", "ada"]
    return subprocess.check_output(command, env=os.environ | settings, text=True, stderr=subprocess.DEVNULL).strip()


@contextlib.contextmanager
def gateway(tools: int, issuer: str, isolation: str = "inline", *, strict: bool = False) -> Iterator[int]:
    """The port of `atp-gateway serve`, with a database and key of its own and one provider.

    `strict`: it puts a call on record before the tool has its token, as it does for a team.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="atp-gateway-") as home:
        settings = own_settings(Path(home)) | {
            "BENCHMARK_TOOLS": str(tools),
            "ATP_GATEWAY_TOOLKITS_ISOLATION": isolation,
            "ATP_GATEWAY_AUDIT_STRICT": str(strict),
            "ATP_GATEWAY_TOOLKITS_ENVIRONMENT": "BENCHMARK_TOOLS",
            "ATP_GATEWAY_PROVIDERS__ACME__ISSUER": issuer,
            "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_ID": "benchmark",
            "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_SECRET": "not much of a secret",
        }
        command = [BIN / "atp-gateway", "serve", HERE / "toolkit.py", "--strict", "--port", str(port)]
        with started(command, settings, port):
            yield port


def own_settings(home: Path) -> dict[str, str]:
    return {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{home}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(os.urandom(32)).decode(),
        "ATP_GATEWAY_LOG_LEVEL": "WARNING",
    }


@contextlib.contextmanager
def started(command: list[str | Path], settings: Mapping[str, str], port: int) -> Iterator[None]:
    """Run a server until the block is left. What it printed is the message when it does not come up."""
    with tempfile.TemporaryFile("w+") as said:
        on_core(SERVERS_CORE)  # a child is born on its parent's core
        process = subprocess.Popen(command, env=os.environ | settings, stderr=said)
        on_core(LOAD_CORE)
        try:
            while not answers(port):
                if process.poll() is not None:
                    said.seek(0)
                    raise SystemExit(f"{command[:3]} ended at once:\n{said.read()}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False

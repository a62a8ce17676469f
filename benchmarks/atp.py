"""What a tool elsewhere costs: a call over a WebSocket beside the same call in the gateway, and how fast an inbox is.

    python benchmarks/atp.py [--seconds 3] [--rounds 3] [--polls 200]

The overhead is a ratio of two tools of one gateway, called in turn on one connection: one that was loaded into it, and
one of a published SDK's worker that came over a WebSocket. `ours` is the same with our own client as the worker.

The inbox's figure is the time from when a call was sent to the gateway until its request had come out of a poll that
was open already, so both ways to the gateway are in it. The worker is a bare HTTP client, as the SDK sleeps after each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
from load import MODERN, Measured, call_of, measure
from processes import BIN, HERE, LOAD_CORE, SERVERS_CORE, free_port, on_core, own_settings, started

WORKER = """
import os
{imported}

client = ToolKitClient(api_key=os.environ["KEY"], app_name="", base_url=os.environ["BASE_URL"], protocol="ws")


@client.register_tool(function_name="{tool}", params=["name"], required_params=["name"], description="Greets.",
                      auth_provider=None, auth_type=None, auth_with=None)
def greet(name):
    return "hello " + name


client.start()
"""
IMPORTED = {
    "published": "from atp_sdk.clients import ToolKitClient",
    "ours": "from gateway import ToolKitClient",
}
TOOLS = {"in the gateway": "greet_0", "published": "greet_published", "ours": "greet_ours"}


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--polls", type=int, default=200)
    chosen = options.parse_args()
    on_core(LOAD_CORE)
    with tempfile.TemporaryDirectory(prefix="atp-gateway-") as home, contextlib.ExitStack() as stack:
        settings, port = own_settings(Path(home)), free_port()
        command = [BIN / "atp-gateway", "serve", HERE / "toolkit.py", "--strict", "--port", str(port)]
        stack.enter_context(started(command, settings, port))
        for kind in IMPORTED:
            stack.enter_context(worker(kind, new_key("toolkit", kind, settings), port, Path(home)))
        rounds = measure_overhead(port, chosen.seconds, chosen.rounds)
        keys = new_key("toolkit", "inbox", settings), new_key("app", "load", settings)
        latencies = asyncio.run(measure_inbox(f"http://127.0.0.1:{port}", *keys, chosen.polls))
    show(rounds, latencies)


def new_key(kind: str, name: str, settings: Mapping[str, str]) -> str:
    command = [BIN / "atp-gateway", "keys", "create", kind, name]
    made = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
    return made.stdout.strip()


@contextlib.contextmanager
def worker(kind: str, key: str, port: int, home: Path) -> Iterator[None]:
    """A worker that has come when the block is entered, on the core of the servers."""
    script = home / kind / "toolkit.py"
    script.parent.mkdir()
    script.write_text(WORKER.format(imported=IMPORTED[kind], tool=TOOLS[kind]))
    environment = os.environ | {"KEY": key, "BASE_URL": f"http://127.0.0.1:{port}"}
    on_core(SERVERS_CORE)
    process = subprocess.Popen(
        [sys.executable, script],
        env=environment,
        cwd=script.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    on_core(LOAD_CORE)
    try:
        until_called(port, TOOLS[kind])
        yield
    finally:
        process.kill()
        process.wait()


def until_called(port: int, tool: str) -> None:
    """Wait until the tool answers."""
    for _ in range(300):
        with contextlib.suppress(Exception):  # it is not there yet
            measure(port, [call_of(port, MODERN, tool)], 0)
            return
        time.sleep(0.1)
    raise SystemExit(f"{tool} never answered.")


def measure_overhead(port: int, seconds: float, rounds: int) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {name: [] for name in TOOLS}
    for number in range(rounds + 1):  # the first round warms up
        for name, tool in TOOLS.items():
            measured = measure(port, [call_of(port, MODERN, tool)], seconds if number else 0.5)
            found[name] += [measured] if number else []
    return found


async def measure_inbox(base_url: str, key: str, app_key: str, polls: int) -> list[float]:
    """Seconds from each call to its request in the hands of whoever polled."""
    inbox = f"/api/v1/toolkit/{key}/inbox"
    latencies = []
    async with httpx2.AsyncClient(base_url=base_url, timeout=60, trust_env=False) as http:
        await declare(http, key)
        for _ in range(polls):
            poll = asyncio.create_task(http.get(inbox))
            await asyncio.sleep(0.02)  # until it is open
            began = time.perf_counter()
            calling = asyncio.create_task(call_over_atp(http, app_key))
            request = (await poll).json()
            latencies.append(time.perf_counter() - began)
            await http.post(f"{inbox}/respond", json={"request_id": request["request_id"], "response": "hello"})
            await calling
    return latencies


async def declare(http: httpx2.AsyncClient, key: str) -> None:
    metadata = {"params": [], "required_params": [], "description": "Greets.", "source_code": "def greet(): ..."}
    digest = "0" * 64
    body = {"function_id": "greet_polled", "api_key": key, "app_name": "", "metadata": metadata}
    (
        await http.post("/api/v1/register_tool", json=body | {"code_hash": digest, "toolkit_hash": digest})
    ).raise_for_status()


async def call_over_atp(http: httpx2.AsyncClient, app_key: str) -> None:
    task = {"type": "task_request", "request_id": "r", "toolkit_id": "inbox", "payload": {"function": "greet_polled"}}
    answer = await http.post(
        "/api/v1/atp/llm-client/process/", json=task, headers={"Authorization": f"ApiKey {app_key}"}
    )
    if answer.json()["status"] != "success":
        raise SystemExit(f"The call failed: {json.dumps(answer.json())}")


def show(rounds: dict[str, list[Measured]], latencies: list[float]) -> None:
    """The tables of README.md."""
    p50 = {name: statistics.median(each.quantile(0.5) for each in done) * 1000 for name, done in rounds.items()}
    p99 = {name: statistics.median(each.quantile(0.99) for each in done) * 1000 for name, done in rounds.items()}
    print("\none call at a time, 2026-07-28; medians of the rounds\n")
    print("| the tool is | p50 ms | p99 ms | times as long |")
    print("|---|---:|---:|---:|")
    for name in TOOLS:
        print(f"| {name} | {p50[name]:.2f} | {p99[name]:.2f} | {p50[name] / p50['in the gateway']:.2f} |")
    ordered = sorted(latencies)
    worst = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    print(
        f"\ninbox, from a call to its request out of an open poll: p50 {statistics.median(ordered) * 1000:.1f} ms, "
        f"p99 {worst * 1000:.1f} ms, worst {ordered[-1] * 1000:.1f} ms of {len(ordered)}"
    )


if __name__ == "__main__":
    main()

"""How long a host waits: from starting a stdio server to its first answer, and to the end of its first tool call.

    python benchmarks/startup.py [--rounds 15]

This gateway with a one-tool toolkit beside the smallest server that the MCP SDK allows. Medians, interleaved, on one
core; the best possible figure, a Python that starts and does nothing, is there for scale.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from load import HANDSHAKE
from processes import BIN, HERE, SERVERS_CORE, on_core, own_settings

COMMANDS: dict[str, list[str | Path]] = {
    "gateway": [BIN / "atp-gateway", "stdio", HERE / "toolkit.py"],
    "sdk": [sys.executable, HERE / "peers.py", "stdio", "0", "1"],
}


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    on_core(SERVERS_CORE)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    bare = []
    for number in range(rounds + 1):  # the first round fills the disk's cache
        for name, command in COMMANDS.items():
            measured = first_call(command)
            times[name] += [measured] if number else []
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", ""], check=True)
        bare.append(time.perf_counter() - began)
    print("\n| server | first answer ms | first tool result ms |\n|---|---:|---:|")
    for name, measured in times.items():
        answered, called = (statistics.median(column) * 1000 for column in zip(*measured, strict=True))
        print(f"| {name} | {answered:.0f} | {called:.0f} |")
    print(f"| python, doing nothing | {statistics.median(bare) * 1000:.0f} | |")


def first_call(command: list[str | Path]) -> tuple[float, float]:
    """Seconds from the start of the process to the answer of initialize, and of the first tools/call."""
    with tempfile.TemporaryDirectory(prefix="atp-gateway-") as home, tempfile.TemporaryFile("w+") as said:
        environ = os.environ | own_settings(Path(home))
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        info = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "startup", "version": "1"}}
        ask(process, 1, "initialize", info)
        answered = time.perf_counter() - began
        send(process, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        answer = ask(process, 2, "tools/call", {"name": "greet_0", "arguments": {"name": "ada"}})
        called = time.perf_counter() - began
        if "hello ada" not in answer:
            raise SystemExit(f"{command[0]} answered {answer}")
        process.communicate(timeout=10)
        return answered, called


def send(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def ask(process: subprocess.Popen[str], number: int, method: str, params: dict[str, Any]) -> str:
    """The line that answers, as text; lines that are not the answer are passed over."""
    send(process, {"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    assert process.stdout
    for line in process.stdout:
        if json.loads(line).get("id") == number:
            return line
    raise SystemExit(f"the server ended before it answered {method}")


if __name__ == "__main__":
    main()

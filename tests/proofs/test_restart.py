"""How soon a gateway is ready: with ten thousand connections and two hundred tools, and after it was killed.

The start is a cold one at full size: with the second that Python's imports take.
"""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.interop.programs import ATP_GATEWAY
from tests.proofs import raw_http
from tests.proofs.served import served, team
from tests.proofs.world import World
from tests.warm import atp_gateway

SOON = 4.0
"""Seconds of processor time, which a busy machine does not lengthen: half of it is what Python takes to import."""
LATER = 1.0  # seconds of it that a kill may add


def multiply(database: str, connections: int) -> None:
    """Others like the one that there is, each somebody else's."""
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as file, file:
        names = [row[1] for row in file.execute("PRAGMA table_info(connections)")]
        told = {"id": "printf('copy %d', value)", "subject": "printf('person of old %d', value)"}
        columns = ", ".join(told.get(name, f'"{name}"') for name in names)
        file.execute(
            f"INSERT INTO connections SELECT {columns} FROM connections, "
            f"(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {connections}) "
            "SELECT value FROM n)"
        )


def many_tools(folder: Path, count: int) -> Path:
    lines = ["from gateway import ToolKitClient", 'client = ToolKitClient(app_name="many")']
    for number in range(count):
        lines += ["@client.tool", f"def tool_{number}(name: str, times: int = 1) -> str:", '    "Greet."']
        lines += ["    return name * times"]
    path = folder / "many.py"
    path.write_text("\n".join(lines))
    return path


async def test_it_is_ready_soon_and_no_later_after_a_kill(sqlite_world: World, tmp_path: Path, full: bool) -> None:
    connections, rounds = (10_000, 5) if full else (1_000, 1)
    [key] = await team(sqlite_world, 1, 1)
    await asyncio.to_thread(multiply, sqlite_world.place.database, connections)
    command = [str(ATP_GATEWAY), "serve"] if full else atp_gateway("serve")
    command.append(str(many_tools(tmp_path, 200)))

    async def started(end: signal.Signals) -> tuple[float, float]:
        """Seconds until it was ready, and of the processor; then it is ended."""
        began = time.monotonic()
        async with served(sqlite_world.place, command=command) as gateway:
            assert await gateway.status_of("/readyz") == 200
            took = time.monotonic() - began
            worked = (await gateway.census(key))["milliseconds"] / 1000
            assert (await gateway.ask(raw_http.call(gateway.port, key, "spend"))).is_done
            gateway.process.send_signal(end)
            assert await gateway.ended(10) in (0, -signal.SIGKILL)
        return took, worked

    orderly = [await started(signal.SIGTERM) for _ in range(rounds)]
    await started(signal.SIGKILL)
    killed = [await started(signal.SIGKILL) for _ in range(rounds)]
    print(
        f"{connections} connections, 200 tools: ready after {min(orderly)} s, of which the processor's are the second;"
    )
    print(f"after a kill {min(killed)}")
    assert min(worked for _, worked in orderly) < SOON
    assert min(worked for _, worked in killed) - min(worked for _, worked in orderly) < LATER

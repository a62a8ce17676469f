"""Whatever befalls the workers of a toolkit from afar: each call has one end, in time, and is run at most once.

The workers are the published SDK's. A call that ended with a value was run once, and the value is its own. One of
which the caller was told that it was not sent was never run, not even later. Of any other nobody knows, and it was run
once or not at all.
"""

# ruff: noqa: T201 - it prints its seed and its figures

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway.testing.serving import listen
from tests.interop.atp_programs import Operated, operated
from tests.interop.programs import gateway_settings
from tests.proofs.bad_network import BadNetwork, bad_network
from tests.proofs.nemesis import Nemesis
from tests.proofs.remote_calls import DEADLINE, HANGS, WORKER, Callers, Ended, Herd

SOURCE = "@client" + WORKER.read_text().split("@client")[1].split("\n\n\n")[0] + "\n"
"""As `inspect.getsource` gives it, whose digest is what the SDK asks for."""


@asynccontextmanager
async def gateway_behind(network: BadNetwork, folder: Path) -> AsyncIterator[Operated]:
    settings = {name: value for name, value in gateway_settings(folder, "").items() if "ACME" not in name}
    with listen() as free:
        network.gateway_port = free.getsockname()[1]
    settings |= {"ATP_GATEWAY_SERVER_PUBLIC_URL": network.base_url}
    async with operated(folder, settings, network.gateway_port) as gateway:
        names = {"herd": "toolkit", "other": "toolkit", "callers": "app"}
        await asyncio.gather(*(gateway.new_key(kind, name) for name, kind in names.items()))
        yield gateway


async def declare(http: httpx2.AsyncClient, key: str) -> None:
    """The tool as its workers will say it, but with a deadline, of which the published SDK says nothing."""
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()
    metadata = {"params": ["call_id", "seconds"], "required_params": ["call_id", "seconds"], "timeout": DEADLINE}
    body = {"function_id": "work", "api_key": key, "app_name": "", "code_hash": digest, "toolkit_hash": digest}
    more = {"metadata": metadata | {"description": "Takes so long.", "source_code": SOURCE}}
    (await http.post("/api/v1/register_tool", json=body | more)).raise_for_status()
    asked = {"api_key": key, "toolkit_hash": digest}
    async with asyncio.timeout(HANGS):
        while not (await http.post("/api/v1/toolkit/verify_hash", json=asked)).json()["up_to_date"]:
            await _a_moment()


async def _a_moment(seconds: float = 0.1) -> None:
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


@asynccontextmanager
async def forger(base_url: str, key: str) -> AsyncIterator[ClientConnection]:
    """A socket of a toolkit that takes no calls."""
    url = f"{base_url.replace('http', 'ws', 1)}/ws/v1/atp/toolkit-client/{key}/"
    async with connect(url) as socket:
        await socket.send(json.dumps({"type": "worker_stopping"}))
        declining = asyncio.create_task(_decline(socket))
        yield socket
        declining.cancel()


async def _decline(socket: ClientConnection) -> None:
    async for text in socket:
        said = json.loads(text)
        if said["message_type"] == "atp_tool_request":
            request_id = said["payload"]["request_id"]
            await socket.send(json.dumps({"type": "tool_response", "request_id": request_id, "not_begun": True}))


@pytest.fixture
async def nemesis(tmp_path: Path, full: bool) -> AsyncIterator[Nemesis]:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(bad_network())
        gateway = await stack.enter_async_context(gateway_behind(network, tmp_path))
        direct = f"http://127.0.0.1:{network.gateway_port}"
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=direct, trust_env=False, timeout=HANGS))
        await declare(http, gateway.keys["herd"])
        (tmp_path / "runs").touch()
        (tmp_path / "workers").mkdir()
        environment = {
            "KEY": gateway.keys["herd"], "BASE_URL": network.base_url, "RUNS": str(tmp_path / "runs"),
        }  # fmt: skip
        herd = Herd(4 if full else 2, environment, tmp_path / "workers")
        await herd.start()
        stack.push_async_callback(herd.end)
        chance = random.Random(seed)
        callers = Callers(direct, gateway.keys["callers"], chance)
        forgers = [await stack.enter_async_context(forger(direct, gateway.keys[name])) for name in ("herd", "other")]
        inboxes = [f"/api/v1/toolkit/{gateway.keys[name]}/inbox/respond" for name in ("herd", "other")]
        yield Nemesis(chance, herd, network, callers, forgers, inboxes, http)


async def until_all_work(nemesis: Nemesis) -> None:
    async with asyncio.timeout(2 * HANGS):
        while len(nemesis.network.lines) < nemesis.herd.size:
            await _a_moment()


async def test_each_call_has_one_end_in_time_and_is_run_at_most_once(nemesis: Nemesis, full: bool) -> None:
    points, callers = 500 if full else 20, nemesis.callers
    await until_all_work(nemesis)
    calling = [asyncio.create_task(callers.call_on(number)) for number in range(6)]
    for _ in range(points):
        await _a_moment(nemesis.chance.uniform(0, 0.4))
        await nemesis.strike()
    nemesis.heal()
    callers.is_over = True
    async with asyncio.timeout(2 * HANGS):
        await asyncio.gather(*calling)
    await until_all_work(nemesis)
    healed = [await callers.call(None) for _ in range(nemesis.herd.size)]
    await nemesis.herd.end()

    ends = Counter(each.how for each in callers.ended)
    latest = max(each.seconds for each in callers.ended) - DEADLINE
    print(f"{points} points {dict(nemesis.done)}; {len(callers.ended)} calls {dict(ends)}; latest {latest:+.2f} s")
    assert set(ends) <= {"value", "not sent", "unknown", "hung up"}
    assert [each.how for each in healed] == ["value"] * len(healed)
    assert_run_as_told(callers.ended, nemesis.herd.runs())
    assert latest < (1 if full else 5)
    assert not full or min(ends[how] for how in ("value", "unknown", "hung up")) > 0


def assert_run_as_told(ended: list[Ended], runs: Counter[str]) -> None:
    possible = {"value": {1}, "not sent": {0}, "unknown": {0, 1}, "hung up": {0, 1}}
    assert [(each, runs[each.call_id]) for each in ended if runs[each.call_id] not in possible[each.how]] == []
    assert runs.keys() <= {each.call_id for each in ended}

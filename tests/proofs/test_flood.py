"""One person calls far more often than they may: they are told when to come back, and nobody else notices."""

# ruff: noqa: T201 - figures

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path

from tests.proofs import raw_http
from tests.proofs.served import Served, calls_on_record, elapse, served, team, until
from tests.proofs.test_slow_clients import quantile
from tests.proofs.world import World

A_MINUTE = 60
"""Calls that each may make, all of them at once after a rest."""
LINES = 10
PAUSE = 0.1  # seconds: the flooder makes a hundred calls a second over ten lines, a hundred times as many as they may
OTHERS = 4


async def calls_of(gateway: Served, key: str, count: int, told: Counter[str]) -> list[float]:
    took = []
    request = raw_http.call(gateway.port, key, "spend")
    async with gateway.line() as line:
        for _ in range(count):
            began = time.monotonic()
            answer = await line.ask(request)
            took.append(time.monotonic() - began)
            told["done" if answer.is_done else answer.said] += 1
            await elapse(PAUSE)
    return took


async def others_calls(gateway: Served, keys: list[str], count: int) -> list[float]:
    told: Counter[str] = Counter()
    took = await asyncio.gather(*(calls_of(gateway, key, count, told) for key in keys))
    assert set(told) == {"done"}
    return [seconds for each in took for seconds in each]


async def test_a_flood_is_refused_with_when_to_come_back_and_nobody_else_notices(
    sqlite_world: World, tmp_path: Path, full: bool
) -> None:
    limits = tmp_path / "gateway.toml"
    limits.write_text(f"[access.calls_per_minute]\nperson = {A_MINUTE}\n")
    limits.chmod(0o600)
    seen = sqlite_world.server.count("userinfo")
    flooder, *others = await team(sqlite_world, 1 + OTHERS, 1 + OTHERS)
    half = A_MINUTE // 2 if full else 12
    async with served(sqlite_world.place, config=str(limits)) as gateway:
        warm = await others_calls(gateway, others, 1)
        idle = await others_calls(gateway, others, half)
        told: Counter[str] = Counter()
        flood = [asyncio.create_task(calls_of(gateway, flooder, 10_000, told)) for _ in range(LINES)]

        async def is_over() -> bool:
            return told["done"] >= A_MINUTE

        await until(is_over, 20)
        flooded = await others_calls(gateway, others, half)
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
    refused = {said: count for said, count in told.items() if said != "done"}
    print(f"{told['done']} calls of the flooder were done, {sum(refused.values())} refused; the others' p99 was")
    print(f"{quantile(idle, 0.99) * 1000:.1f} ms before and {quantile(flooded, 0.99) * 1000:.1f} ms meanwhile")
    assert all(
        re.search(r"60 calls that one person may make in a minute\. Call again in \d+ s\.", said) for said in refused
    )
    assert sum(refused.values()) > told["done"] / 2
    assert quantile(flooded, 0.99) < max(quantile(idle, 0.99) * 5, 0.25)
    on_record = calls_on_record(sqlite_world.place.database)
    others_made = len(warm) + len(idle) + len(flooded)
    unheard = on_record.total() - told.total() - others_made
    assert 0 <= unheard <= LINES, "but for the last ones, whose answers nobody waited for"
    assert on_record["spend", "done"] == told["done"] + others_made
    assert sqlite_world.server.count("userinfo") - seen == on_record["spend", "done"]

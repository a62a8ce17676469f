"""A database of the version before, which two gateways and `atp-gateway db upgrade` find at the same moment.

One of them brings it up to date, the others wait for that, and all of them work. Upgrading again while calls are made
disturbs none.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.store.schema import REVISIONS
from tests.cli.test_db import bring_to
from tests.proofs import raw_http
from tests.proofs.served import Served, calls_on_record, elapse, environment, served, until
from tests.proofs.world import Place, World, world_in
from tests.warm import atp_gateway

CALLS = 20
PATIENCE = 60  # seconds


async def upgraded(place: Place) -> str:
    """What `atp-gateway db upgrade` says."""
    process = await asyncio.create_subprocess_exec(
        *atp_gateway("db", "upgrade"), env=environment(place), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def calls(gateway: Served) -> None:
    async with gateway.line() as line:
        for _ in range(CALLS):
            for tool, arguments in (("add", {"a": 1, "b": 2}), ("spend", {})):
                answer = await line.ask(raw_http.call(gateway.port, None, tool, **arguments))
                assert answer.is_done, answer.said
                await elapse(0.01)


async def all_at_once(world: World) -> None:
    async with AsyncExitStack() as gateways:
        starting = (gateways.enter_async_context(served(world.place, access_keys="false")) for _ in range(2))
        *both, _ = await asyncio.gather(*starting, upgraded(world.place))
        async with world.gateway() as gateway:
            await world.connect(gateway)
        *_, again = await asyncio.gather(*map(calls, both), upgraded(world.place))
        assert "Nothing to do" in again
        for served_by in both:
            assert await served_by.status_of("/readyz") == 200
            assert not [line for line in served_by.log if " ERROR " in line]

        async def is_on_record() -> bool:
            found = calls_on_record(world.place.database)
            return found == {("add", "done"): 2 * CALLS, ("spend", "done"): 2 * CALLS}

        await until(is_on_record, 5)


@pytest.fixture
def old_url(request: pytest.FixtureRequest) -> str:
    """Of a database as the version before left it."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    bring_to(url, REVISIONS[-2])
    return url


async def test_whoever_comes_first_upgrades_and_all_work(tmp_path: Path, old_url: str) -> None:
    async with world_in(tmp_path, old_url) as world:
        await all_at_once(world)

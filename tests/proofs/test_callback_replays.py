"""The provider's redirect back to us, fifty times at once in the right browser: it counts once."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2

from gateway import app
from gateway.testing.browser import Browser
from gateway.types import NeedsConnection
from tests.proofs.world import World, call, rows, said

TIMES = 50


async def test_a_callback_replayed_fifty_times_at_once_makes_one_exchange_and_one_row(world: World) -> None:
    async with (
        app.serving(world.place.settings(), [world.place.toolkit], clock=world.clock) as gateway,
        httpx2.AsyncClient(trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=TIMES)) as client,
    ):
        asked = await call(gateway)
        assert isinstance(asked, NeedsConnection)
        back = await Browser(client).consent(asked.url, "alice", stop_at=f"{gateway.base_url}/oauth/callback/")
        answers = await asyncio.gather(*(client.get(back.url) for _ in range(TIMES)))

        assert Counter(answer.is_client_error for answer in answers) == {False: 1, True: TIMES - 1}
        assert world.server.count("code") == world.server.count("code", None) == 1
        assert len(await rows(gateway)) == 1
        assert said(await call(gateway)) == "alice"

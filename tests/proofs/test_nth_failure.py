"""The n-th statement fails, then the n-th request, for every n, from the first consent to the disconnecting.

Whatever fails, what was asked for fails in words and in time, breaks nothing, and succeeds when it is done again.
"""

# ruff: noqa: T201 - it prints its figures

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import get_args

import pytest

from gateway.app import Gateway
from gateway.errors import GatewayError
from gateway.toolkit.context import NullChannel
from gateway.types import Call, Client, ConnectionStatus, NeedsConnection, Outcome, Principal
from tests.proofs.failing import Fault, What
from tests.proofs.world import EXPIRED, World, agree, said

PATIENCE = 15.0  # seconds: what takes longer hangs
LATER = timedelta(seconds=40)  # a lease and a back-off are over


class Story:
    """One person: connects, calls, has their token refreshed, disconnects. Each step is done again if it failed."""

    def __init__(self, world: World, gateway: Gateway, fault: Fault, name: str) -> None:
        self._world = world
        self._gateway = gateway
        self._fault = fault
        self._me = Principal("local", name)
        self.failed: list[str] = []

    async def run(self) -> None:
        for step in (self.connect, self.call, self.refresh, self.disconnect):
            if not await self._succeeds(step):
                self.failed.append(step.__name__)
                await self._holds()
                self._world.clock.advance(LATER)
                assert await self._succeeds(step), f"{step.__name__} does not work again"
            await self._holds()

    async def connect(self) -> bool:
        asked = await self._called()
        if not isinstance(asked, NeedsConnection):
            return said(asked) == "alice"  # the last attempt got further than it knew
        flows = (await self._gateway.accounts.open()).flows
        started = await flows.start(asked.flow_id, self._me)
        query = agree(self._world, started.authorization_url, "alice")
        await flows.complete("acme", query, started.browser_token.reveal(), self._me)
        return True

    async def call(self) -> bool:
        return said(await self._called()) == "alice"

    async def refresh(self) -> bool:
        if not self.failed or self.failed[-1] != "refresh":
            self._world.clock.advance(EXPIRED)
        return said(await self._called()) == "alice"

    async def disconnect(self) -> bool:
        accounts = await self._gateway.accounts.open()
        for row in await accounts.connections.list(self._me):
            await accounts.connections.disconnect(self._me, row.id)
        return isinstance(await self._called(), NeedsConnection)

    async def _called(self) -> Outcome:
        asked = Call(self._me, Client("proof"), "whoami", {}, "1", NullChannel())
        return await self._gateway.executor.call(asked)

    async def _succeeds(self, step: Callable[[], Awaitable[bool]]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                return await step()
        except GatewayError:
            return False

    async def _holds(self) -> None:
        """One row at most, and what is active opens, and the provider takes its refresh token."""
        with self._fault.paused():
            found = await (await self._gateway.accounts.open()).store.connections.list_all(self._me)
            assert len(found) <= 1
            for row in found:
                assert row.status is ConnectionStatus.ACTIVE, row.status_reason
                assert await self._world.takes(self._gateway, row)


@pytest.mark.parametrize("what", get_args(What))
async def test_whatever_fails_once_breaks_nothing_and_works_again(world: World, what: What, full: bool) -> None:
    """Under strict rotation, but for answers that are lost: after that nobody could have the token."""
    world.server.behaviour.reuse_window = timedelta(minutes=5 if what == "answer" else 0)
    fault = Fault(what)
    nth, places, spoilt = 1, 0, 0
    while True:
        async with world.gateway(fault.outside()) as gateway:
            await gateway.accounts.open()
            fault.arm(nth)
            story = Story(world, gateway, fault, f"person {nth}")
            await story.run()
            happened = fault.end()
        if not happened:
            break
        places, spoilt, nth = places + 1, spoilt + len(story.failed), nth + (1 if full else 7)
    print(f"{what}: failed at {places} places of {nth - 1}, {spoilt} of them seen by the person")
    assert places

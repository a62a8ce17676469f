"""The same journey with every toolkit in worker processes: what the tools' HTTP was, is seen there and judged here.

One gateway for the whole file: to start the processes takes longer than everything else. Two of the toolkits import the
published SDK.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest
from journeys.test_token_dies import World, contacts, opened, said

from gateway.types import Done, Outcome


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def running(tmp_path_factory):
    async with opened(tmp_path_factory.mktemp("world"), "process") as world:
        yield world


@dataclass
class Since:
    """What has happened since a test began."""

    world: World
    refreshes_before: int
    events_before: int

    @property
    def refreshes(self) -> int:
        return self.world.refreshes - self.refreshes_before

    async def refused(self) -> list[str]:
        """How the calls whose token was refused ended."""
        found = await self.world.events("token.refused")
        return found[: len(found) - self.events_before]


@pytest.fixture
async def since(running):
    running.clock.advance(timedelta(minutes=1))  # what has only just been renewed is not renewed again
    return Since(running, running.refreshes, len(await running.events("token.refused")))


READERS = [
    "get_contacts",
    "by_requests_raising",
    "by_requests_swallowing",
    "by_tool_error",
    "by_urllib",
    "by_httpx_raising",
    "by_async_httpx2",
    "by_aiohttp_raising",
    "by_threads_of_its_own",
]


@pytest.mark.parametrize("tool", READERS)
async def test_a_call_whose_token_has_died_is_mended_with_one_refresh(running, since, tool):
    running.end_access()

    outcome: Outcome = await running.call(tool)

    assert isinstance(outcome, Done)
    assert not outcome.result.is_error, said(outcome)
    assert '"101"' in said(outcome) or contacts(outcome) == 3
    assert since.refreshes == 1
    assert await since.refused() == ["mended"]


@pytest.mark.parametrize("tool", ["create_then_list", "create_then_list_async", "create_then_list_aiohttp"])
async def test_a_tool_that_had_created_something_is_not_run_twice(running, since, tool):
    companies = len(running.crm.records("alice", "companies"))
    running.dies_after_post = True

    outcome = await running.call(tool)

    assert len(running.crm.records("alice", "companies")) == companies + 1
    assert outcome.result.is_error
    assert "POST 127.0.0.1/crm/v3/objects/companies (201)" in said(outcome)
    assert since.refreshes == 1
    assert await since.refused() == ["not_repeated"]


async def test_a_post_that_was_refused_itself_is_sent_again(running, since):
    companies = len(running.crm.records("alice", "companies"))
    running.end_access()

    outcome = await running.call("create_company", name="Acme", domain="acme.example", industry="COMPUTER_SOFTWARE")

    assert not outcome.result.is_error
    assert len(running.crm.records("alice", "companies")) == companies + 1
    assert since.refreshes == 1


@pytest.mark.parametrize("tool", ["another_host", "optional_side_request"])
async def test_a_refusal_that_is_not_the_tokens_changes_nothing(running, since, tool):
    outcome = await running.call(tool)

    assert not outcome.result.is_error
    assert since.refreshes == 0
    assert await since.refused() == []


async def test_calls_at_once_make_one_refresh(running, since):
    running.end_access()

    outcomes = await asyncio.gather(*(running.call("get_contacts") for _ in range(8)))

    assert [contacts(outcome) for outcome in outcomes] == [3] * 8
    assert since.refreshes == 1

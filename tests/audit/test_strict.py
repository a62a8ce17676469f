"""No audit, no token: on either database, whatever ails it, and for no longer than it does."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import event, make_url, text

from gateway.audit.unfinished import GONE_AFTER, Unfinished
from gateway.audit.verification import verify
from gateway.clock import MovableClock
from gateway.store.store import Store
from gateway.types import Principal
from tests.audit.calling import ANNA, ARGUMENT, RESULT, TOKEN, Calling, how, strict_log
from tests.audit.troubles import held_by_another, unwritable
from tests.databases import PostgresServer
from tests.warm import python

BEARABLE = 2.5
"""Seconds: two for the audit, and what a busy machine takes."""


@pytest.fixture
async def calling(store: Store) -> AsyncIterator[Calling]:
    audit = strict_log(store)
    yield Calling(audit)
    await audit.close()


async def refused_and_others_not(calling: Calling) -> None:
    """A call that needs a token is refused, in time and without the token; everything else goes on."""
    began = time.monotonic()
    given = len(calling.given)
    assert how(await calling.call()) == "audit_unavailable"
    assert time.monotonic() - began < BEARABLE
    assert len(calling.given) == given
    assert how(await calling.call("adds")) == "done"
    assert [tool.name for tool in calling.registry.tools()] == ["sends", "adds"]


async def recovers(calling: Calling) -> None:
    with anyio.fail_after(15):
        while how(await calling.call()) != "done":
            await anyio.lowlevel.checkpoint()


async def test_a_call_is_on_record_before_it_has_its_token_and_again_with_its_end(
    store: Store, calling: Calling
) -> None:
    calling.hangs = True
    under_way = asyncio.create_task(calling.call(text=ARGUMENT))
    with anyio.fail_after(5):
        while not calling.given:
            await anyio.lowlevel.checkpoint()
        [begun] = await store.audit.list_latest(ANNA)
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    await calling.audit.flush()

    latest = await store.audit.list_latest(ANNA)
    [ended] = [found for found in latest if found.action == "tool.called"]
    assert (begun.action, begun.outcome, begun.id) == ("tool.begun", "pending", f"{ended.id}.begun")
    assert ended.outcome == "cancelled"
    assert ended.duration_ms is not None
    for found in (begun, ended):
        assert (found.client, found.tool, found.provider, found.account, found.reference) == (
            "a host",
            "sends",
            "acme",
            "anna@acme.example",
            "call 1",
        )
        assert found.scopes == {"read", "write"}
        assert len(found.arguments or "") == 64
    assert await store.audit.list_history(ANNA, 10, calls=True) == [ended]


async def test_a_call_that_needs_no_token_leaves_its_end_alone(store: Store, calling: Calling) -> None:
    await calling.call("adds")
    await calling.audit.flush()
    [found] = await store.audit.list_latest(ANNA)
    assert (found.action, found.account, found.scopes) == ("tool.called", None, frozenset())


@pytest.mark.parametrize("trouble", [unwritable, held_by_another])
async def test_without_a_record_there_is_no_token_until_there_is_one_again(
    calling: Calling, database_url: str, trouble: object
) -> None:
    await calling.call()
    with trouble(database_url):  # type: ignore[operator]
        await refused_and_others_not(calling)
        await refused_and_others_not(calling)
    await recovers(calling)


async def test_a_full_disk_gives_out_no_token(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url)
    calling = Calling(strict_log(store))
    await calling.call()
    # Which connection writes is the store's business, and there is one; the limit holds for a connection.
    await store._engines.together(lambda writer: writer.execute(text("PRAGMA max_page_count = 1")))
    with anyio.fail_after(60):
        while how(await calling.call(text="x" * 100)) == "done":
            await anyio.lowlevel.checkpoint()
    await refused_and_others_not(calling)
    await store._engines.together(lambda writer: writer.execute(text("PRAGMA max_page_count = 1000000")))
    await recovers(calling)
    await calling.audit.close()
    assert [found.broken for found in await verify(store.trail)] == [None]
    await store.close()


async def test_a_postgresql_that_is_down_gives_out_no_token(postgres_url: str, postgres_server: PostgresServer) -> None:
    store = await Store.open(postgres_url)
    calling = Calling(strict_log(store))
    await calling.call()
    name = make_url(postgres_url).database
    postgres_server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
    postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # type: ignore[arg-type]

    await refused_and_others_not(calling)
    await refused_and_others_not(calling)

    postgres_server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")  # type: ignore[arg-type]
    await recovers(calling)
    await calling.audit.close()
    [chain] = await verify(store.trail)
    assert (chain.broken, chain.unfinished) == (None, {})
    await store.close()


async def test_concurrent_calls_share_commits(store: Store, calling: Calling) -> None:
    commits = []
    event.listen(store._engines.writing.engine, "commit", lambda _: commits.append(1))

    assert {how(outcome) for outcome in await asyncio.gather(*(calling.call() for _ in range(200)))} == {"done"}

    assert len(calling.given) == 200
    assert len(commits) <= 3
    await calling.audit.flush()
    [chain] = await verify(store.trail)
    assert (chain.rows, chain.broken, chain.unfinished) == (400, None, {})


async def test_a_call_that_is_killed_is_on_record_as_begun_and_then_as_unknown(store: Store, database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *python(Path(__file__).with_name("calling.py"), database_url),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"running\n"
        process.kill()
        await process.communicate()

    [chain] = await verify(store.trail)
    [unfinished] = chain.unfinished.values()
    assert (chain.broken, unfinished.tool, unfinished.account) == (None, "sends", "anna@acme.example")
    assert [found.action for found in await store.audit.list_history(ANNA, 10, calls=True)] == ["tool.begun"]

    clock = MovableClock(unfinished.at + GONE_AFTER + timedelta(seconds=1))
    assert await Unfinished(store.trail, store.marks, store.audit.append, strict_log(store), clock).settle() == 1
    assert [found.outcome for found in await store.audit.list_history(ANNA, 10, calls=True)] == ["unknown_outcome"]


async def test_no_row_holds_a_token_an_argument_or_a_result(store: Store, calling: Calling) -> None:
    await calling.call(text=ARGUMENT, nested={"text": [ARGUMENT]})
    await calling.call("adds", principal=Principal("issuer", "bernd"), text=ARGUMENT)
    await calling.audit.flush()

    for table in ("audit", "audit_heads"):
        rows = await store._engines.rows(text(f"SELECT * FROM {table}"))
        assert rows
        stored = " ".join(map(repr, rows))
        assert not [canary for canary in (TOKEN, ARGUMENT, RESULT) if canary in stored]

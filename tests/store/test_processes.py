"""Several processes, one database: hosts on a laptop that each start a gateway, replicas of a team's."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gateway.audit.verification import verify
from gateway.store.store import Store
from gateway.types import Connection, ConnectionStatus, CredentialKind, Flow, Principal

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANNA = Principal("issuer", "anna")
CONNECTION = Connection(
    "c1", ANNA, "acme", CredentialKind.OAUTH2, "a", None, frozenset(), ConnectionStatus.ACTIVE, b"", NOW, NOW
)


async def test_of_many_tasks_in_four_processes_one_gets_the_lease_one_the_flow_and_all_agree_on_a_mark(
    store: Store, database_url: str, contend: Callable[..., list[Any]]
) -> None:
    flow = Flow("f1", ANNA, "host", "acme", CredentialKind.OAUTH2, frozenset(), None, NOW, NOW + timedelta(minutes=10))
    await store.flows.put(dataclasses.replace(flow, state_hash="state", browser_hash="browser"))
    await store.connections.insert(CONNECTION)

    answers = contend(4, "contend", database_url, "c1", "state", "sentinel")

    value = await store.marks.find("sentinel")
    assert value is not None
    assert sum(answer["leases"] for answer in answers) == 1
    assert sum(answer["flows"] for answer in answers) == 1
    assert [answer["marks"] for answer in answers] == [[value.hex()]] * 4


async def test_three_processes_may_make_one_database_at_once(
    empty_database_url: str, contend: Callable[..., list[Any]]
) -> None:
    contend(3, "open", empty_database_url)

    store = await Store.open(empty_database_url)
    assert await store.connections.list_all(ANNA) == []
    await store.close()


async def test_two_processes_and_two_tasks_each_make_one_chain_without_forks(
    store: Store, database_url: str, contend: Callable[..., list[Any]]
) -> None:
    answers = contend(2, "append", database_url, "500")

    [found] = await verify(store.trail)
    assert (found.rows, found.head.seq, found.broken) == (1000, 1000, None)
    assert answers == [500, 500]
    entries = await store.trail.page("default", 0, 2000)
    writers = [entry.event.tool for entry in entries]
    assert len(set(writers)) == 2
    turns = sum(former != later for former, later in pairwise(writers))
    assert turns > 2, "they did not write at the same time: nothing was shown"


@pytest.mark.parametrize("attempt", range(3))
async def test_a_process_killed_while_it_writes_leaves_a_whole_database(
    attempt: int, sqlite_url: str, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    store = await Store.open(sqlite_url)
    await store.connections.insert(CONNECTION)
    writer = spawn("write", sqlite_url, "c1")
    assert writer.stdin
    writer.stdin.write("go\n")
    writer.stdin.flush()
    with anyio.fail_after(10):
        while (found := await store.connections.find_by_id(ANNA, "c1")) is None or found.version < 5 + attempt:
            await anyio.lowlevel.checkpoint()
    writer.kill()
    writer.communicate()  # and nothing is left that could write

    found = await store.connections.find_by_id(ANNA, "c1")
    assert found is not None
    assert found.sealed == (found.version - 1).to_bytes(4, "big") * 20_000
    renewed = dataclasses.replace(found, version=found.version + 1)
    assert await store.connections.replace(renewed, expected_version=found.version)
    await store.close()
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

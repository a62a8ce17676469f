"""A request that its client leaves is cancelled wherever it is: waiting for a connection, or inside a transaction."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from gateway.store.store import Store
from gateway.types import CredentialKind, Principal

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANNA = Principal("issuer", "anna")


async def read(store: Store, _number: int) -> None:
    await store.connections.find(ANNA, "acme", CredentialKind.OAUTH2)


async def write(store: Store, number: int) -> None:
    await store.marks.put_if_absent(f"mark {number}", b"x" * 1000)


@pytest.mark.parametrize("use", [read, write])
async def test_callers_who_leave_hold_nobody_up_and_leave_nothing_behind(store: Store, use: object) -> None:
    await store.marks.put_if_absent("before", b"")
    tasks_before = len(asyncio.all_tasks())
    for steps in range(40):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(use, store, number)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    with anyio.fail_after(5):
        assert await store.marks.put_if_absent("afterwards", b"good") == b"good"
        while len(asyncio.all_tasks()) > tasks_before:
            await anyio.lowlevel.checkpoint()
        await store.close()
    gc.collect()  # a connection that was lost, or a task that was, would complain here


async def test_a_write_whose_caller_has_left_is_made(store: Store) -> None:
    """A rotated refresh token that is on its way to the disk exists nowhere else."""
    writing = asyncio.create_task(store.marks.put_if_absent("rotated", b"token"))
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    writing.cancel()

    with anyio.fail_after(5):
        while await store.marks.find("rotated") != b"token":
            await anyio.lowlevel.checkpoint()
    assert writing.cancelled()

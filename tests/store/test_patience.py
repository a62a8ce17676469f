"""Who waits for a database, and for how long."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import text

from gateway.errors import StoreUnavailableError
from gateway.store.patience import Patience, Withdrawable, WithdrawnError
from gateway.store.store import Store

SOON = 0.1  # seconds


async def silence() -> None:
    await asyncio.Event().wait()


async def test_who_waits_for_one_that_says_nothing_is_told_so() -> None:
    patience, asking = Patience(SOON), asyncio.create_task(silence())
    with anyio.fail_after(5), pytest.raises(StoreUnavailableError):
        await patience.answer(asking, lambda: True)
    assert not asking.done(), "what was begun goes on"
    asking.cancel()


async def test_one_that_answers_others_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    patience, answered = Patience(SOON), asyncio.get_running_loop().create_future()

    async def slow() -> str:
        found: str = await answered
        return found

    waiting = asyncio.create_task(patience.answer(asyncio.create_task(slow()), lambda: True))
    until = time.monotonic() + 3 * SOON
    while time.monotonic() < until:
        await patience.answer(asyncio.create_task(asyncio.wait([waiting], timeout=SOON / 10)), lambda: True)
    answered.set_result("late")
    assert await waiting == "late"
    assert not caplog.records


async def test_a_process_that_stood_still_has_been_silent_itself() -> None:
    """Of a minute that it was stopped for, it heard nothing; and then the answer may be there at once."""
    patience, answered = Patience(SOON), asyncio.get_running_loop().create_future()

    async def slow() -> str:
        found: str = await answered
        return found

    waiting = asyncio.create_task(patience.answer(asyncio.create_task(slow()), lambda: True))
    await asyncio.sleep(0)
    stood = time.monotonic() + 3 * SOON
    while time.monotonic() < stood:
        pass
    asyncio.get_running_loop().call_soon(answered.set_result, "there")
    assert await waiting == "there"


async def test_what_was_withdrawn_in_time_never_begins_and_what_has_begun_is_waited_for() -> None:
    done: list[str] = []
    late, early = Withdrawable(done.append), Withdrawable(done.append)

    early("done")
    assert not early.withdraw()
    assert late.withdraw()
    with pytest.raises(WithdrawnError):
        late("undone")
    assert done == ["done"]


async def test_it_is_in_the_log_once_and_again_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(SOON)
    for _ in range(2):
        asking = asyncio.create_task(silence())
        with anyio.fail_after(5), pytest.raises(StoreUnavailableError):
            await patience.answer(asking, lambda: True)
        asking.cancel()
    await patience.answer(asyncio.create_task(anyio.lowlevel.checkpoint()), lambda: True)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_what_could_not_be_written_in_time_is_not_written_later(sqlite_url: str) -> None:
    """Who was told that nothing was done may do it again."""
    store = await Store.open(sqlite_url)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(4):
            answers = await asyncio.gather(
                *(store.marks.put(f"mark {number}", b"value") for number in range(3)), return_exceptions=True
            )
        other.execute("ROLLBACK")
    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    await store.marks.put("another", b"value")
    found = await store._engines.rows(text("SELECT name FROM marks"))
    assert [row["name"] for row in found] == ["another"]
    await store.close()

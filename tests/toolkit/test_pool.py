"""Threads for plain tools: bounded, true deadlines, and no toolkit that starves another."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time

import anyio
import pytest

from gateway.errors import ToolkitBusyError
from gateway.toolkit.bulkhead import Bulkhead, Permit
from gateway.toolkit.pool import Pool

WORKERS = "atp-gateway-tool"


@pytest.fixture
def gate():
    """Holds threads until the test lets them go; always lets them go."""
    gate = threading.Event()
    yield gate
    gate.set()


async def cancelled_after(seconds, call):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await call


async def test_the_value_and_the_exception_come_back():
    pool = Pool()

    assert await pool.run("crm", lambda: 7) == 7
    with pytest.raises(KeyError, match="missing"):
        await pool.run("crm", lambda: {}["missing"])


async def test_the_caller_is_answered_at_its_deadline_whatever_the_thread_does(gate):
    started = time.perf_counter()

    await cancelled_after(0.1, Pool().run("crm", gate.wait))

    assert time.perf_counter() - started < 1


async def test_a_permit_comes_back_only_when_the_thread_really_ends(gate):
    pool = Pool(per_toolkit=1)
    await cancelled_after(0.02, pool.run("crm", gate.wait))

    with pytest.raises(ToolkitBusyError, match="crm is busy: 1 of its calls are still running"):
        await pool.run("crm", int)
    gate.set()

    await until_runs(pool)


async def until_runs(pool):
    with anyio.fail_after(5):
        while True:
            try:
                return await pool.run("crm", int)
            except ToolkitBusyError:
                await anyio.lowlevel.checkpoint()


async def test_another_toolkit_does_not_notice_one_that_hangs(gate):
    pool = Pool(per_toolkit=2)
    for _ in range(2):
        await cancelled_after(0.02, pool.run("hung", gate.wait))

    with anyio.fail_after(1):
        assert [await pool.run("fine", lambda: 1) for _ in range(20)] == [1] * 20


async def test_a_toolkit_that_hangs_is_refused_fast_and_its_threads_stay_few(gate):
    pool = Pool()
    before = len(workers())
    for _ in range(8):
        await cancelled_after(0.01, pool.run("hung", gate.wait))

    started = time.perf_counter()
    answers = await asyncio.gather(*(pool.run("hung", gate.wait) for _ in range(992)), return_exceptions=True)

    assert time.perf_counter() - started < 1
    assert {type(answer) for answer in answers} == {ToolkitBusyError}
    assert len(workers()) - before <= 8


def workers():
    return [thread for thread in threading.enumerate() if thread.name == WORKERS]


async def test_a_call_waits_for_a_busy_toolkit_and_gets_its_turn(gate):
    pool = Pool(per_toolkit=1)
    first = asyncio.create_task(pool.run("crm", gate.wait))
    await anyio.lowlevel.checkpoint()
    second = asyncio.create_task(pool.run("crm", lambda: "second"))
    await anyio.lowlevel.checkpoint()

    gate.set()

    with anyio.fail_after(5):
        assert await second == "second"
        assert await first


async def test_a_call_that_waited_in_vain_is_told_that_the_toolkit_is_busy(gate):
    pool = Pool(per_toolkit=1)
    first = asyncio.create_task(pool.run("crm", gate.wait))
    await anyio.lowlevel.checkpoint()

    with pytest.raises(ToolkitBusyError, match="Try again in a moment"):
        await pool.run("crm", int, patience=0.02)
    gate.set()
    await first


async def test_all_toolkits_together_are_bounded_too(gate):
    pool = Pool(per_toolkit=2, total=3)
    running = [asyncio.create_task(pool.run(f"toolkit{i}", gate.wait)) for i in range(3)]
    await anyio.lowlevel.checkpoint()

    with pytest.raises(ToolkitBusyError, match="gateway is busy with other calls"):
        await pool.run("another", int, patience=0.02)
    gate.set()
    await asyncio.gather(*running)

    assert await pool.run("another", int) == 0


async def test_one_call_after_another_needs_one_thread_and_one_permit():
    pool = Pool(per_toolkit=1)

    assert len({await pool.run("crm", threading.get_ident, patience=0) for _ in range(200)}) == 1


async def test_ten_thousand_calls_of_fifty_people_never_meet():
    pool = Pool(per_toolkit=8)
    random.seed(1)
    wrong = []

    async def call(person):
        answer = await pool.run("crm", lambda: person, patience=60)
        if answer != person:
            wrong.append((person, answer))

    async def one(number):
        task = asyncio.create_task(call(number % 50))
        if random.random() < 0.3:
            for _ in range(random.randrange(5)):
                await anyio.lowlevel.checkpoint()
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with anyio.fail_after(60):
        for batch in range(20):
            await asyncio.gather(*(one(batch * 500 + number) for number in range(500)))

    assert wrong == []
    with anyio.fail_after(5):
        assert await asyncio.gather(*(pool.run("crm", lambda: 1) for _ in range(8))) == [1] * 8


async def test_cancelled_callers_leave_no_permit_behind(gate):
    bulkhead = Bulkhead(1)
    assert await bulkhead.take(0)
    waiting = [asyncio.create_task(bulkhead.take(5)) for _ in range(3)]
    await anyio.lowlevel.checkpoint()

    waiting[0].cancel()
    bulkhead.give_back()
    waiting[1].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    taken = [result for result in results if result is True]
    assert len(taken) == 1
    bulkhead.give_back()
    assert await bulkhead.take(0)
    assert not await bulkhead.take(0)


def test_a_permit_can_be_given_back_after_its_loop_has_ended(gate):
    pool = Pool(per_toolkit=1)

    async def abandon():
        await cancelled_after(0.02, pool.run("crm", gate.wait))

    asyncio.run(abandon())
    gate.set()

    asyncio.run(until_runs(pool))


def test_waiters_of_a_loop_that_has_ended_do_not_swallow_a_permit():
    bulkhead = Bulkhead(1)

    async def take_and_wait():
        assert await bulkhead.take(0)
        bulkhead_wait = asyncio.ensure_future(bulkhead.take(60))
        await asyncio.sleep(0)
        return bulkhead_wait

    loop = asyncio.new_event_loop()
    waiting = loop.run_until_complete(take_and_wait())
    loop.close()
    bulkhead.give_back()

    assert asyncio.run(bulkhead.take(0))
    waiting._log_destroy_pending = False


def test_an_abandoned_permit_is_counted_once():
    bulkhead = Bulkhead(1)
    asyncio.run(bulkhead.take(0))
    permit = Permit(bulkhead)

    permit.abandon()
    permit.abandon()
    permit.end()
    permit.abandon()

    assert asyncio.run(bulkhead.take(0))
    assert asyncio.run(timed(bulkhead.take(0.05))) >= 0.04


async def timed(call):
    started = time.perf_counter()
    assert not await call
    return time.perf_counter() - started


def test_a_thread_that_never_ends_does_not_hold_up_the_process():
    program = """
import asyncio, threading
from gateway.toolkit.pool import Pool

async def main():
    try:
        async with asyncio.timeout(0.05):
            await Pool().run("crm", threading.Event().wait)
    except TimeoutError:
        print("answered", flush=True)

asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)

    assert ran.stdout == "answered\n"


async def test_who_has_many_calls_waiting_holds_up_nobody_else_for_more_than_one(gate):
    """Fair shares: tenants' calls take turns, however many of one are waiting before the first of another."""
    pool, ran = Pool(per_toolkit=1), []

    def run(whose, number):
        return pool.run("crm", lambda: ran.append(f"{whose} {number}"), 5, whose)

    first = asyncio.create_task(pool.run("crm", gate.wait, 5, "acme"))
    waiting = []
    for whose, count in (("acme", 20), ("globex", 2), ("initech", 1)):
        for number in range(count):
            waiting.append(asyncio.create_task(run(whose, number)))
            await anyio.lowlevel.checkpoint()
    gate.set()
    with anyio.fail_after(5):
        await asyncio.gather(first, *waiting)

    assert ran[:6] == ["acme 0", "globex 0", "initech 0", "acme 1", "globex 1", "acme 2"]
    assert ran[6:] == [f"acme {number}" for number in range(3, 20)]


async def test_whoever_leaves_while_waiting_takes_no_turn():
    bulkhead = Bulkhead(1)
    assert await bulkhead.take(0)
    assert not await bulkhead.take(0, "acme")
    leaves = asyncio.create_task(bulkhead.take(5, "acme"))
    stays = asyncio.create_task(bulkhead.take(5, "globex"))
    await anyio.lowlevel.checkpoint()
    await cancelled(leaves)
    bulkhead.give_back()
    with anyio.fail_after(5):
        assert await stays
    assert not bulkhead._waiting


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

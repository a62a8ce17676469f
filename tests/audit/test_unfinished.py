"""A call that was begun has an end on record: its own, or that nobody knows. Never another one, and never two."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from gateway.audit import AuditLog
from gateway.audit.call_record import BEGUN
from gateway.audit.unfinished import GONE_AFTER, Unfinished
from gateway.audit.verification import verify
from gateway.clock import MovableClock
from gateway.store.store import Store
from gateway.types import AuditEvent, Principal

ANNA, BERND = Principal("issuer", "anna"), Principal("issuer", "bernd", "other tenant")
A_MINUTE = timedelta(minutes=1)


class Process:
    """A gateway, as far as its record goes. It says that it is there whenever it settles."""

    def __init__(self, store: Store, clock: MovableClock) -> None:
        self.store, self.clock = store, clock
        self.audit = AuditLog(store.audit.append, clock, strict=True)
        self.settle = Unfinished(store.trail, store.marks, store.audit.append, self.audit, clock).settle

    async def begin(self, tool: str, person: Principal = ANNA) -> str:
        call_id = f"{self.audit.process}{tool}"
        event = AuditEvent(call_id + BEGUN, self.clock.now(), person, "tool.begun", "pending", tool=tool, client="host")
        await self.audit.put_on_record(event)
        return call_id

    async def end(self, call_id: str) -> None:
        await self.store.audit.append([AuditEvent(call_id, self.clock.now(), ANNA, "tool.called", "done")])


@pytest.fixture
def clock() -> Iterator[MovableClock]:
    return MovableClock()


async def ends(store: Store, person: Principal = ANNA) -> dict[str | None, str]:
    return {event.tool: event.outcome for event in await store.audit.list_history(person, 100, calls=True)}


async def test_the_calls_of_a_process_that_is_gone_end_as_unknown(store: Store, clock: MovableClock) -> None:
    dead, other = Process(store, clock), Process(store, clock)
    await dead.settle()
    await dead.begin("sends")
    await dead.begin("writes", BERND)
    clock.advance(GONE_AFTER - A_MINUTE)
    assert await other.settle() == 0, "it may be there yet"

    clock.advance(2 * A_MINUTE)
    assert sum(await asyncio.gather(*(other.settle() for _ in range(3)))) >= 2
    assert (await ends(store), await ends(store, BERND)) == (
        {"sends": "unknown_outcome"},
        {"writes": "unknown_outcome"},
    )
    assert [(chain.rows, chain.unfinished, chain.broken) for chain in await verify(store.trail)] == [(2, {}, None)] * 2
    assert await other.settle() == 0


async def test_the_calls_of_a_process_that_is_there_are_left_alone(store: Store, clock: MovableClock) -> None:
    slow, other = Process(store, clock), Process(store, clock)
    call_id = await slow.begin("takes an hour")
    for _ in range(60):
        clock.advance(A_MINUTE)
        assert (await slow.settle(), await other.settle()) == (0, 0)
    assert await ends(store) == {"takes an hour": "pending"}
    await slow.end(call_id)
    assert await other.settle() == 0
    assert (await verify(store.trail))[0].unfinished == {}


async def test_one_that_is_left_alone_hides_none_that_comes_later(store: Store, clock: MovableClock) -> None:
    slow, dead, other = (Process(store, clock) for _ in range(3))
    await slow.begin("takes an hour")
    for number in range(3):
        await dead.begin(f"dies {number}")
        for _ in range(7):
            clock.advance(A_MINUTE)
            await slow.settle()
            await other.settle()
        assert (await ends(store))[f"dies {number}"] == "unknown_outcome"
    assert (await ends(store))["takes an hour"] == "pending"


async def test_what_was_looked_at_is_not_looked_at_again(store: Store, clock: MovableClock) -> None:
    process = Process(store, clock)
    for number in range(3):
        await process.end(await process.begin(f"ends {number}"))
    clock.advance(GONE_AFTER + A_MINUTE)
    await process.settle()

    assert await store.marks.find("audit looked at default") == b"6"
    await process.begin("more")
    clock.advance(A_MINUTE)
    await process.settle()
    assert await store.marks.find("audit looked at default") == b"6", "what is new waits"


async def test_processes_that_are_gone_leave_no_mark(store: Store, clock: MovableClock) -> None:
    gone, there = Process(store, clock), Process(store, clock)
    await gone.settle()
    clock.advance(GONE_AFTER + A_MINUTE)
    await there.settle()

    assert list(await store.marks.list_called("audit process ")) == [f"audit process {there.audit.process}"]

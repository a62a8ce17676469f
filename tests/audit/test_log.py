"""The audit log: nothing noted is lost, noting costs no I/O, and what must be on record is, before it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest
from anyio.lowlevel import checkpoint

from gateway.audit import AuditLog, ended
from gateway.audit.arguments import digest_of, keyed
from gateway.clock import MovableClock
from gateway.errors import AuditUnavailableError, ToolTimeoutError
from gateway.toolkit.content import ToolResult
from gateway.types import AuditEvent, Done, Failed, NeedsConnection, NeedsInput, Principal

ADA = Principal("local", "ada")


class Sink:
    """Where events arrive, batch by batch; can be made to fail, or to hold back."""

    def __init__(self) -> None:
        self.batches: list[list[AuditEvent]] = []
        self.arrived = anyio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    @property
    def events(self) -> list[AuditEvent]:
        return [event for batch in self.batches for event in batch]

    async def write(self, events: Sequence[AuditEvent]) -> None:
        await self.open.wait()
        if self.broken:
            raise OSError("disk full")
        self.batches.append(list(events))
        self.arrived.set()


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
async def strict(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=3600, strict=True)
    yield audit
    sink.broken = False
    sink.open.set()
    await audit.close()


def begun(audit, number: int) -> AuditEvent:
    return audit.event(ADA, "tool.begun", "pending", tool=f"t{number}")


async def test_events_are_written_in_batches_in_the_order_they_were_noted(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=0)
    for n in range(5):
        audit.record(ADA, "tool.called", "done", tool=f"t{n}")
    with anyio.fail_after(5):
        await sink.arrived.wait()
    assert [event.tool for event in sink.events] == ["t0", "t1", "t2", "t3", "t4"]
    assert len(sink.batches) == 1
    await audit.close()


async def test_closing_writes_what_is_left(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=3600)
    audit.record(ADA, "connection.created", "done", provider="hubspot")
    await audit.close()
    assert [event.provider for event in sink.events] == ["hubspot"]


async def test_events_that_could_not_be_written_are_kept_for_the_next_try(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=3600)
    sink.broken = True
    audit.record(ADA, "tool.called", "done", tool="first")
    with pytest.raises(OSError, match="disk full"):
        await audit.flush()
    sink.broken = False
    audit.record(ADA, "tool.called", "done", tool="second")
    await audit.close()
    assert [event.tool for event in sink.events] == ["first", "second"]


async def test_what_must_be_on_record_is_when_its_caller_goes_on_and_takes_what_was_noted_along(sink, strict):
    strict.record(ADA, "tool.called", "done", tool="noted")
    with anyio.fail_after(5):
        await strict.put_on_record(begun(strict, 1))
    assert {event.tool for event in sink.events} == {"noted", "t1"}


async def test_those_who_wait_at_one_moment_share_a_transaction(sink, strict):
    """The first is written at once; all that come while it is being written are written together."""
    sink.open.clear()
    waiting = [asyncio.create_task(strict.put_on_record(begun(strict, n))) for n in range(100)]
    with anyio.fail_after(5):
        while strict._awaited or not strict._writing.locked():
            await checkpoint()
        more = [asyncio.create_task(strict.put_on_record(begun(strict, n))) for n in range(100, 300)]
        while len(strict._awaited) < 200:
            await checkpoint()
        sink.open.set()
        await asyncio.gather(*waiting, *more)
    assert [len(batch) for batch in sink.batches] == [100, 200]


async def test_a_log_that_cannot_be_written_says_so_at_once_and_recovers_by_itself(sink, strict, caplog):
    sink.broken = True
    with anyio.fail_after(5):
        for n in range(3):
            with pytest.raises(AuditUnavailableError, match="Nothing was done"):
                await strict.put_on_record(begun(strict, n))
    sink.broken = False
    with anyio.fail_after(5):
        await strict.put_on_record(begun(strict, 4))
    assert [event.tool for event in sink.events] == ["t4"], "what was refused is not on record as begun"
    said = [record.getMessage() for record in caplog.records if record.name.startswith("gateway.audit")]
    assert len(said) == 2, "one line when it begins, one when it is over"


async def test_a_store_that_hangs_holds_nobody_up_for_longer_than_their_patience(sink):
    strict = AuditLog(sink.write, MovableClock(), interval=3600, strict=True, patience=0.05)
    sink.open.clear()
    for n in range(2):
        with anyio.fail_after(5), pytest.raises(AuditUnavailableError):
            await strict.put_on_record(begun(strict, n))
    sink.open.set()
    with anyio.fail_after(5):
        await strict.put_on_record(begun(strict, 3))
    assert [event.tool for event in sink.events][1:] == ["t3"], "nobody waits for what came between"
    await strict.close()


async def test_whoever_is_cancelled_while_waiting_holds_up_nobody(sink, strict):
    sink.open.clear()
    first = asyncio.create_task(strict.put_on_record(begun(strict, 1)))
    while not strict._writing.locked():
        await checkpoint()
    second = asyncio.create_task(strict.put_on_record(begun(strict, 2)))
    await checkpoint()
    second.cancel()
    sink.open.set()
    with anyio.fail_after(5):
        await first
        await strict.put_on_record(begun(strict, 3))
    assert [event.tool for event in sink.events] == ["t1", "t3"]


async def test_one_persons_own_log_makes_nobody_wait(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=3600)
    sink.broken = True
    await audit.put_on_record(begun(audit, 1))
    sink.broken = False
    await audit.close()
    assert [event.tool for event in sink.events] == ["t1"]


async def test_what_there_was_no_room_for_is_counted_and_the_gap_goes_on_record(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=0, most_waiting=3)
    for n in range(5):
        audit.record(ADA, "tool.called", "done", tool=f"t{n}")
    with anyio.fail_after(5):
        while len(sink.events) < 4:
            await checkpoint()
    assert [event.tool for event in sink.events] == ["t0", "t1", "t2", None]
    assert (sink.events[-1].action, sink.events[-1].outcome) == ("audit.gap", "2_events_not_kept")
    await audit.close()


async def test_equal_arguments_have_equal_hashes_and_the_key_alone_tells_which(sink):
    async def key() -> bytes:
        return b"k" * 32

    audit = AuditLog(sink.write, MovableClock(), interval=3600, key=key)
    fact = audit.event(ADA, "tool.called", "done")
    for number, arguments in enumerate(({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1.0, "b": [2]}, {"a": 1})):
        audit.note(replace(fact, id=str(number)), digest_of(arguments))
    audit.note(replace(fact, id="4", principal=replace(ADA, tenant="acme")), digest_of({"a": 1, "b": [2]}))
    audit.note(replace(fact, id="5"))
    await audit.close()

    one, other, decimal, less, acme, none = (event.arguments for event in sink.events)
    assert one == other == keyed(digest_of({"a": 1, "b": [2]}), "default", b"k" * 32)
    assert len({one, decimal, less, acme}) == 4
    assert none is None
    assert one != digest_of({"a": 1, "b": [2]}).hex()


def test_arguments_that_cannot_be_looked_at_have_no_hash():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert digest_of({"deep": deep}) is None
    assert digest_of({"odd": "\udfff"}) is not None


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Done(ToolResult(())), "done"),
        (Done(ToolResult((), is_error=True)), "tool_error"),
        (Failed(ToolTimeoutError("late")), "tool_timeout"),
        (NeedsConnection("u", "f", "hubspot", "HubSpot", "m"), "needs_connection"),
        (NeedsInput({}), "needs_input"),
        (None, "cancelled"),
    ],
)
def test_each_outcome_has_its_word(outcome, word):
    assert ended(outcome) == word

"""The audit log: nothing noted is lost, and noting costs the caller no I/O."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from gateway.audit import AuditLog, ended
from gateway.clock import MovableClock
from gateway.errors import ToolTimeoutError
from gateway.toolkit.content import ToolResult
from gateway.types import AuditEvent, Done, Failed, NeedsConnection, NeedsInput, Principal

ADA = Principal("local", "ada")


class Sink:
    """Where events arrive; can be made to fail."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.arrived = anyio.Event()
        self.broken = False

    async def write(self, events: Sequence[AuditEvent]) -> None:
        if self.broken:
            raise OSError("disk full")
        self.events.extend(events)
        self.arrived.set()


@pytest.fixture
def sink():
    return Sink()


async def test_events_are_written_in_batches_in_the_order_they_were_noted(sink):
    audit = AuditLog(sink.write, MovableClock(), interval=0)
    for n in range(5):
        audit.record(ADA, "tool.called", "done", tool=f"t{n}")
    with anyio.fail_after(5):
        await sink.arrived.wait()
    assert [event.tool for event in sink.events] == ["t0", "t1", "t2", "t3", "t4"]
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

"""Who may do what is on record: since when, and which rules they were."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.access.rates import CallsPerMinute
from gateway.access.rules import Rule
from gateway.access.rules_on_record import note_rules, text_of
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.errors import StoreUnavailableError
from gateway.store.store import Store
from tests.audit.troubles import unwritable

SALES, ALL = Rule(groups=("sales",), tools=("find",)), Rule()
NONE, SOME = CallsPerMinute(), CallsPerMinute(person=60)


async def recorded(store: Store) -> list[tuple[str, str | None]]:
    entries = [entry.event for entry in await store.trail.page("default", 0, 100)]
    assert {event.action for event in entries} <= {"rules.changed"}
    return [(event.outcome, event.reference) for event in entries]


def log(store: Store) -> AuditLog:
    return AuditLog(store.audit.append, MovableClock())


async def test_rules_go_on_record_when_they_are_others_and_not_with_each_start(store: Store) -> None:
    marks, audit = store.marks, log(store)
    assert not await note_rules([], NONE, marks, audit)
    for rules, limits in (([SALES], NONE), ([SALES], NONE), ([SALES, ALL], NONE), ([SALES, ALL], SOME), ([], NONE)):
        await note_rules(rules, limits, marks, audit)

    found = await recorded(store)
    assert [outcome for outcome, _ in found] == ["1_rules", "2_rules", "2_rules", "0_rules"]
    assert found[0][1] == hashlib.sha256(text_of([SALES], NONE).encode()).hexdigest()
    assert len({digest for _, digest in found}) == 4


async def test_of_several_that_start_at_once_one_puts_them_on_record(store: Store) -> None:
    assert sum(await asyncio.gather(*(note_rules([ALL], NONE, store.marks, log(store)) for _ in range(5)))) == 1
    assert len(await recorded(store)) == 1


async def test_rules_that_cannot_go_on_record_do_not_come_into_force(store: Store, database_url: str) -> None:
    with unwritable(database_url), pytest.raises(StoreUnavailableError):
        await note_rules([ALL], NONE, store.marks, log(store))
    assert await note_rules([ALL], NONE, store.marks, log(store))

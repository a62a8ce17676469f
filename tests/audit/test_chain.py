"""The audit is one chain for each tenant: appended to without forks, and every change of it is found."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.retention import Retention
from gateway.audit.verification import Chain, verify
from gateway.clock import MovableClock
from gateway.store.audit_chain import GENESIS, Link, as_stored, canonical
from gateway.store.schema import REVISIONS
from gateway.store.store import Store
from gateway.types import AuditEvent, Principal
from tests.store.test_schema import execute

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANNA = Principal("issuer", "anna")
BERND = Principal("issuer", "bernd", "other tenant")


def event(number: int, principal: Principal = ANNA, **more: Any) -> AuditEvent:
    given = {"action": "tool.called", "outcome": "done", "client": "Cursor", "tool": f"tool_{number}", **more}
    whose = "ours" if principal.tenant == "default" else "theirs"
    return AuditEvent(f"{whose} {number:04}", NOW + timedelta(seconds=number), principal, **given)


async def chain(store: Store, tenant: str = "default", **anchors: list[Link]) -> Chain:
    return next(found for found in await verify(store.trail, anchors) if found.tenant == tenant)


async def test_each_tenant_has_a_chain_of_its_own_that_is_whole(store: Store) -> None:
    await store.audit.append([event(1), event(1, BERND), event(2)])
    await store.audit.append([event(2, BERND), event(3)])

    ours, theirs = await verify(store.trail)
    assert (ours.tenant, ours.rows, ours.head.seq, ours.broken) == ("default", 3, 3, None)
    assert (theirs.tenant, theirs.rows, theirs.head.seq, theirs.broken) == ("other tenant", 2, 2, None)
    assert [str(link) for link in (await store.trail.heads()).values()] == [str(ours.head), str(theirs.head)]


async def test_a_link_can_be_made_again_by_whoever_has_the_rows(store: Store) -> None:
    """As docs/audit.md tells auditors to."""
    odd = event(1, outcome="sched\u00fctzt", client='a "quoted" host', scopes=frozenset({"b", "a"}), duration_ms=1.5)
    await store.audit.append([odd, event(2)])

    first, second = await store.trail.page("default", 0, 10)
    assert first.event == odd
    assert canonical(odd, 1).decode() == (
        '{"action":"tool.called","at":"2030-01-01T12:00:01.000000Z","client":"a \\"quoted\\" host","duration_ms":1.5,'
        '"id":"ours 0001","issuer":"issuer","outcome":"sched\u00fctzt","scopes":["a","b"],"seq":1,"subject":"anna",'
        '"tenant":"default","tool":"tool_1"}'
    )
    assert first.link == GENESIS.to(odd)
    assert second.link == first.link.to(second.event)
    assert Link.parse(str(second.link)) == second.link


@pytest.mark.parametrize(
    "client", ["evil\0host", "\udfff", "\u202eevil", "x" * 10_000, "\x1b[2J", "a\r\nb", "e\u0301", "\U0001f600"]
)
async def test_what_strangers_are_called_breaks_no_chain(store: Store, client: str) -> None:
    person = Principal("issuer", client, client)
    await store.audit.append([event(1, person, client=client, account=client, scopes=frozenset({client}))])

    [found] = await verify(store.trail)
    assert (found.rows, found.broken) == (1, None)
    [row] = await store.trail.page(found.tenant, 0, 10)
    assert row.event == as_stored(event(1, person, client=client, account=client, scopes=frozenset({client})))
    assert len(row.event.client or "") <= 400


async def test_however_many_come_at_once_and_whatever_they_say_the_chain_is_one(store: Store) -> None:
    """A few are chained by PostgreSQL itself, many by the gateway: there is nothing to tell them apart by."""
    odd = 'a "host" of "seq":0,\\"seq":0 \u2028 \U0001f600'
    for hundreds, size in enumerate((1, 10, 11, 60, 2)):
        await store.audit.append([event(hundreds * 100 + n, client=odd, duration_ms=0.1 + n) for n in range(size)])
    await asyncio.gather(*(store.audit.append([event(1000 + n), event(2000 + n, BERND)]) for n in range(20)))

    assert [(found.rows, found.broken) for found in await verify(store.trail)] == [(84 + 20, None), (20, None)]
    assert (await store.trail.page("default", 0, 1))[0].event == event(0, client=odd, duration_ms=0.1)


INSERT = "INSERT INTO audit (id, tenant, issuer, subject, at, action, outcome, seq, hash) SELECT 'new', tenant, issuer"
TAMPERED = {
    "altered": ("UPDATE audit SET outcome = 'done' WHERE seq = 3", 3, "was altered"),
    "another person's": ("UPDATE audit SET subject = 'mallory' WHERE seq = 2", 2, "was altered"),
    "a hash altered": ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 4", 4, "altered"),
    "removed in the middle": ("DELETE FROM audit WHERE seq IN (3, 4)", 3, "rows 3 to 4 were removed"),
    "the first removed": ("DELETE FROM audit WHERE seq = 1", 1, "rows 1 to 1 were removed"),
    "the last removed": ("DELETE FROM audit WHERE seq > 4", 5, "rows 5 to 6, the last, were removed"),
    "all removed": ("DELETE FROM audit", 1, "rows 1 to 6, the last, were removed"),
    "the end not noted": ("DELETE FROM audit_heads", 6, "not noted any more"),
    "in another order": (
        ";".join(f"UPDATE audit SET seq = {new} WHERE seq = {old}" for old, new in ((3, 0), (4, 3), (0, 4))),
        3,
        "another order",
    ),
    "moved up": ("UPDATE audit SET seq = seq + 10 WHERE seq >= 3", 3, "rows 3 to 12 were removed"),
    "put in at the end": (
        f"{INSERT}, subject, at, action, outcome, 7, hash FROM audit WHERE seq = 6",
        7,
        "inserted",
    ),
    "the end set back": (
        "UPDATE audit_heads SET seq = 5, hash = (SELECT hash FROM audit WHERE seq = 5)",
        6,
        "beyond the end",
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_every_tampering_is_found_and_the_first_row_of_it_named(
    store: Store, database_url: str, how: str
) -> None:
    await store.audit.append([event(number, outcome="tool_error") for number in range(1, 7)])
    statement, seq, what = TAMPERED[how]

    for each in statement.split(";"):
        execute(database_url, each)

    found = await chain(store)
    assert found.broken is not None
    assert found.broken.seq == seq
    assert what in found.broken.what


async def test_an_anchor_tells_a_chain_that_was_made_anew_or_cut_short(store: Store, database_url: str) -> None:
    await store.audit.append([event(number) for number in range(1, 4)])
    [true] = await verify(store.trail)
    execute(database_url, "DELETE FROM audit")
    execute(database_url, "DELETE FROM audit_heads")
    await store.audit.append([event(number, outcome="as if") for number in range(1, 5)])

    assert (await chain(store)).broken is None
    renewed = await chain(store, default=[true.head])
    assert renewed.broken is not None
    assert (renewed.broken.seq, "made anew" in renewed.broken.what) == (3, True)
    cut = await chain(store, default=[Link(9, bytes(32))])
    assert cut.broken is not None
    assert "row 4 is the last, and there is an anchor of 9" in cut.broken.what
    assert (await chain(store, "gone", gone=[true.head])).broken is not None


async def test_anchors_that_fit_are_counted(store: Store) -> None:
    await store.audit.append([event(1), event(2)])
    early = (await chain(store)).head
    await store.audit.append([event(3)])

    found = await chain(store, default=[early])
    assert (found.broken, found.anchors) == (None, 1)


async def test_calls_that_were_begun_and_have_no_end_are_named(store: Store) -> None:
    def begun(number: int) -> AuditEvent:
        made = event(number, action="tool.begun", outcome="pending")
        return AuditEvent(f"{made.id}.begun", made.at, made.principal, made.action, made.outcome, tool=made.tool)

    await store.audit.append([begun(1), begun(2), event(1), event(3)])

    assert list((await chain(store)).unfinished) == ["ours 0002.begun"]
    told = [each.id for each in await store.audit.list_history(ANNA, 10, calls=True)]
    assert told == ["ours 0003", "ours 0002.begun", "ours 0001"]


async def test_what_a_writer_in_doubt_repeats_is_there_once_and_the_chain_is_whole(store: Store) -> None:
    await store.audit.append([event(1), event(2)])
    await store.audit.append([event(2), event(3), event(3), event(1, BERND)])
    await asyncio.gather(*(store.audit.append([event(4), event(5)]) for _ in range(5)))

    assert [(found.rows, found.broken) for found in await verify(store.trail)] == [(5, None), (1, None)]


async def test_verifying_goes_on_while_rows_are_appended_and_pruned(store: Store) -> None:
    """What it reads is the chain as it is then, page by page."""
    clock = MovableClock(NOW + timedelta(days=30))
    keeper = Retention(store.trail, AuditLog(store.audit.append, clock), clock, timedelta(days=1))

    async def append() -> None:
        for number in range(30):
            await store.audit.append([event(number * 10 + each) for each in range(10)])
            await keeper.prune()

    appending = asyncio.create_task(append())
    while not appending.done():
        assert [found.broken for found in await verify(store.trail)] in ([], [None])
    await appending


async def test_retention_leaves_a_chain_that_can_be_verified_and_says_how_far_it_went(store: Store) -> None:
    clock = MovableClock(NOW)
    keeper = Retention(store.trail, AuditLog(store.audit.append, clock), clock, timedelta(days=30))
    await store.audit.append([event(number) for number in range(1, 6)])
    early = await chain(store)
    clock.advance(timedelta(days=20))
    late = AuditEvent("late", clock.now(), ANNA, "tool.called", "done")
    await store.audit.append([late])

    clock.advance(timedelta(days=10, hours=23))
    assert await keeper.prune() == 0, "not before a day's worth has come together"
    clock.advance(timedelta(hours=2))
    assert await keeper.prune() == 5
    assert await keeper.prune() == 0

    found = await chain(store, default=[early.head])
    assert (found.rows, found.head.seq, found.pruned_to, found.broken) == (2, 7, early.head, None)
    assert found.anchors == 1
    assert [each.id for each in await store.audit.list_latest(ANNA)] == ["late"]

    clock.advance(timedelta(days=60))
    assert await keeper.prune() == 2, "the whole chain, and then its own remains are what is left"
    again = await chain(store)
    assert (again.rows, again.head.seq, again.broken) == (1, 8, None)


async def test_removing_more_than_was_pruned_is_found(store: Store, database_url: str) -> None:
    clock = MovableClock(NOW + timedelta(days=60))
    keeper = Retention(store.trail, AuditLog(store.audit.append, clock), clock, timedelta(days=30))
    await store.audit.append([event(number) for number in range(1, 4)])
    await keeper.prune()
    await store.audit.append([event(number) for number in range(4, 7)])

    execute(database_url, "DELETE FROM audit WHERE seq < 6")
    found = await chain(store)
    assert found.broken is not None
    assert "rows 1 to 5 were removed" in found.broken.what


async def test_rows_from_before_the_chain_are_its_beginning(empty_database_url: str) -> None:
    """As a database of the former version has them: without numbers, in any order."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import NullPool, create_engine, make_url

    url = make_url(empty_database_url)
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}[url.drivername]
    if url.drivername == "sqlite":
        from pathlib import Path

        Path(str(url.database)).parent.mkdir()
    engine = create_engine(url.set(drivername=driver), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISIONS[REVISIONS.index("0008") - 1])
        for number, tenant in ((2, "default"), (1, "default"), (1, "acme"), (3, "default")):
            connection.exec_driver_sql(
                "INSERT INTO audit (id, tenant, issuer, subject, at, action, outcome, client, duration_ms) VALUES"
                f" ('{tenant}{number}', '{tenant}', 'i', 's', '2030-01-01 12:00:0{number}.000000', 'tool.called',"
                f" 'done', 'ä', 1.25)"
            )

    store = await Store.open(empty_database_url)
    try:
        await store.audit.append([event(9)])
        acme, default = await verify(store.trail)
        assert [(found.rows, found.head.seq, found.broken) for found in (acme, default)] == [
            (1, 1, None),
            (4, 4, None),
        ]
        ids = [entry.event.id for entry in await store.trail.page("default", 0, 10)]
        assert ids == ["default1", "default2", "default3", "ours 0009"]
    finally:
        await store.close()


async def test_a_persons_history_comes_in_pages_and_is_nobody_elses(store: Store) -> None:
    """Two people whose names are each other's, and the same call in another tenant."""
    mirrored = Principal("anna", "issuer")
    for person in (ANNA, mirrored, Principal("issuer", "anna", "elsewhere")):
        theirs = [
            AuditEvent(f"{json.dumps([person.tenant, person.issuer])}{number:02}", NOW, person, "tool.called", "done")
            for number in range(7)
        ]
        await store.audit.append(theirs)
    change = AuditEvent("change", NOW, ANNA, "connection.created", "done")
    await store.audit.append([change])

    pages, before = [], None
    while page := await store.audit.list_history(ANNA, 3, calls=True, before=before):
        pages.append([each.id[-2:] for each in page])
        assert all(each.principal == ANNA for each in page)
        before = page[-1].id
    assert pages == [["06", "05", "04"], ["03", "02", "01"], ["00"]]
    assert await store.audit.list_history(ANNA, 3, calls=False) == [change]
    theirs_id = (await store.audit.list_history(mirrored, 1, calls=True))[0].id
    first = await store.audit.list_history(ANNA, 3, calls=True, before=theirs_id)
    assert [each.id[-2:] for each in first] == ["06", "05", "04"], "somebody else's id is no place in one's own history"

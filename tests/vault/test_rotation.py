"""Turning the keys: every value in the end under the newest key, while whoever uses them notices nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import anyio
import pytest

from gateway.clock import MovableClock
from gateway.errors import KeyUnavailableError, WrongVaultKeyError
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import TokenSet
from gateway.vault.data_keys import SEALS_FOR
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.rotation import DESTROYED_AFTER, Progress, Rotation
from gateway.vault.vault import BY_DATA_KEY, SealedBy, Vault
from tests.vault.conftest import MakeVault
from tests.vault.sealed_world import NOW, TENANTS, World, person
from tests.vault.test_data_keys import RemoteKey
from tests.warm import atp_gateway


@pytest.fixture
def key() -> Secret:
    return new_key()


@pytest.fixture
async def world(store: Store, vault_of: MakeVault, key: Secret) -> World:
    """What a serving process has."""
    vault = vault_of(key)
    await vault.check(store.marks)
    return World(store, vault)


def rotation_of(store: Store, vault: Vault, clock: MovableClock, settle: timedelta = timedelta(0)) -> Rotation:
    return Rotation(store.sealed, store.data_keys, vault, clock, settle=settle)


async def newest(store: Store) -> set[SealedBy]:
    latest = {key.tenant: key.id for key in await store.data_keys.list_all()}
    return {SealedBy(BY_DATA_KEY, key_id) for key_id in latest.values()}


async def test_every_kind_of_value_is_sealed_anew_and_the_former_keys_are_retired(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(60)
    rotation = rotation_of(store, vault_of(key), clock)
    before = await rotation.count()

    done = await rotation.run()

    assert (done.resumed, done.made, done.retired, done.destroyed, done.broken) == (False, 3, 3, 0, [])
    assert done.sealed == before.total() == 60 + 5 + 5 + 5 + 5 + 1
    after = await rotation.count()
    assert after.keys() == await newest(store)
    assert after.total() == before.total()
    assert not after.keys() & before.keys()
    verified = await rotation.verify()
    assert (verified.opened, verified.broken) == (dict(after), [])
    assert await world.tokens(7) == "access 7", "a process that was running all the time finds the new key"


async def test_values_that_the_ring_sealed_itself_are_taken_along(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(20, former=Vault(Keyring([key])))
    rotation = rotation_of(store, vault_of(key), clock)
    assert {by.format for by in await rotation.count()} == {1, 2}

    await rotation.run()

    assert (await rotation.count()).keys() == await newest(store)
    assert [await world.tokens(number) for number in range(20)] == [f"access {number}" for number in range(20)]


async def test_after_a_rotation_the_rings_former_key_can_go(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(20, former=Vault(Keyring([key])))
    new = new_key()
    with pytest.raises(WrongVaultKeyError):
        await vault_of(new).check(store.marks)

    done = await rotation_of(store, vault_of(new, key), clock).run()

    assert done.rewrapped == len(TENANTS)
    alone = vault_of(new)
    await alone.check(store.marks)
    assert (await rotation_of(store, alone, clock).verify()).broken == []


async def test_nothing_else_in_a_row_changes(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(3)
    [row] = await store.connections.list_all(person(1))
    before = await store.leases.claim(row, owner="somebody", now=NOW, until=NOW + timedelta(seconds=30))
    assert before is not None

    await rotation_of(store, vault_of(key), clock).run()

    [after] = await store.connections.list_all(person(1))
    assert after.sealed != before.sealed
    assert dataclasses.replace(after, sealed=before.sealed) == before


async def test_what_is_stored_while_a_value_is_being_sealed_anew_wins(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(3)
    page = await store.sealed.list_page("connections", "", 10)
    [row] = await store.connections.list_all(person(1))
    renewed = await world.grants().renewed(row, TokenSet(Secret("refreshed"), None, None, row.scopes))
    assert await store.connections.replace(renewed, expected_version=row.version)

    await store.sealed.exchange([(value, b"late") for value in page])

    assert await world.tokens(1) == "refreshed"
    assert (await store.connections.find_by_id(person(0), "c000000")).sealed == b"late"


async def test_a_process_that_still_seals_with_the_former_key_is_caught_by_a_later_pass(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    """Its clock stands still: it does not look which key seals until the rotation waits for it."""
    await world.fill(10)
    seen: list[str] = []

    async def late_refresh() -> None:
        [row] = await store.connections.list_all(person(4))
        renewed = await world.grants().renewed(row, TokenSet(Secret("late"), None, None, row.scopes))
        assert await store.connections.replace(renewed, expected_version=row.version)

    refreshing: list[asyncio.Task[None]] = []

    def report(progress: Progress) -> None:
        seen.append(progress.step)
        if progress.step == "waiting" and not refreshing:
            refreshing.append(asyncio.create_task(late_refresh()))

    rotation = rotation_of(store, vault_of(key), clock, settle=timedelta(seconds=5))
    await rotation.run(report)

    assert "waiting" in seen
    assert await world.tokens(4) == "late"
    assert (await rotation.count()).keys() == await newest(store)


async def test_a_rotation_that_was_begun_is_finished_and_no_other_begun(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(200)
    stopped = asyncio.Event()

    def stop_in_the_middle(progress: Progress) -> None:
        if progress.sealed >= 100 and not stopped.is_set():
            stopped.set()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await rotation_of(store, vault_of(key), clock).run(stop_in_the_middle)
    rotation = rotation_of(store, vault_of(key), clock)
    assert (await rotation.verify()).broken == []

    done = await rotation.run()

    assert (done.resumed, done.made, done.retired) == (True, 0, 3)
    assert done.sealed < 200
    assert {key.generation for key in await store.data_keys.list_all()} == {1, 2}
    assert (await rotation.count()).keys() == await newest(store)


async def test_two_rotations_at_once_make_one(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(100)
    both = [rotation_of(store, vault_of(key), clock) for _ in range(2)]

    await asyncio.gather(*(rotation.run() for rotation in both))

    assert (await both[0].count()).keys() == await newest(store)
    assert (await both[0].verify()).broken == []


async def test_a_retired_key_opens_for_a_day_and_is_then_destroyed_unless_a_value_needs_it(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(3)
    [stale] = await store.connections.list_all(person(1))
    await rotation_of(store, vault_of(key), clock).run()
    assert (await world.grants().open(stale)).access_token.reveal() == "access 1", "read before, opened after"
    clock.advance(DESTROYED_AFTER + timedelta(seconds=1))

    done = await rotation_of(store, vault_of(key), clock).run()

    assert (done.retired, done.destroyed) == (3, 3)
    assert {key.generation for key in await store.data_keys.list_all()} == {2, 3}


async def test_a_value_that_does_not_open_is_named_left_alone_and_in_nobodys_way(
    world: World, store: Store, vault_of: MakeVault, clock: MovableClock, key: Secret
) -> None:
    await world.fill(10)
    rows = await store.sealed.list_page("connections", "", 10)
    moved = (rows[3], rows[6].sealed)
    await store.sealed.exchange([moved])
    rotation = rotation_of(store, vault_of(key), clock)

    for _ in range(2):
        done = await rotation.run()
        assert [(value.table, value.id) for value in done.broken] == [("connections", "c000003")]
        assert "moved here from another row" in done.broken[0].reason
        assert (done.resumed, done.made, done.retired) == (False, 3, 3)
    assert [value.id for value in (await rotation.verify()).broken] == ["c000003"]
    assert (await store.sealed.list_page("connections", "c000002", 1))[0].sealed == rows[6].sealed


async def test_a_service_that_is_down_ends_a_rotation_and_breaks_nothing(
    store: Store, vault_of: MakeVault, clock: MovableClock
) -> None:
    remote = RemoteKey()
    vault = vault_of(remote)
    await vault.check(store.marks)
    await World(store, vault).fill(5)
    remote.trouble = KeyUnavailableError("The service does not answer.")

    with pytest.raises(KeyUnavailableError):
        await rotation_of(store, vault_of(remote), clock).run()
    with pytest.raises(KeyUnavailableError):
        await rotation_of(store, vault_of(remote), clock).verify()

    remote.trouble = None
    assert (await rotation_of(store, vault_of(remote), clock).verify()).broken == []


async def test_no_call_and_no_refresh_fails_while_the_keys_turn(
    store: Store, vault_of: MakeVault, clock: MovableClock, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls that look up and open a person's tokens, and refreshes that store new ones, in a serving process."""
    rows = 10_000 if full else 400
    new, key = new_key(), new_key()
    await vault_of(key).check(store.marks)
    serving = World(store, vault_of(new, key))
    await serving.fill(rows, former=Vault(Keyring([key])))
    stop, waits = asyncio.Event(), []

    async def calls() -> None:
        while not stop.is_set():
            number, began = random.randrange(rows), time.perf_counter()
            got = await serving.tokens(number)
            waits.append(time.perf_counter() - began)
            assert got.startswith(f"access {number}")
            await moment()

    async def refreshes() -> None:
        while not stop.is_set():
            number = random.randrange(rows)
            await refresh(number)
            await moment()

    async def moment() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.05)

    async def refresh(number: int) -> None:
        row = await store.connections.find_by_id(person(number), f"c{number:06}")
        assert row is not None
        assert await store.leases.claim(row, owner="me", now=NOW, until=NOW + timedelta(seconds=30))
        await serving.grants().open(row)
        tokens = TokenSet(Secret(f"access {number} v{row.version + 1}"), Secret("r"), None, row.scopes)
        renewed = await serving.grants(clock).renewed(row, tokens)
        assert await store.leases.complete(renewed, expected_version=row.version)
        refreshed.add(number)
        clock.advance(timedelta(milliseconds=50))  # the serving process looks which key seals, now and then

    refreshed: set[int] = set()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(calls()) for _ in range(3)]
        running.append(group.create_task(refreshes()))
        await rotation_of(store, vault_of(new, key), MovableClock(), settle=SEALS_FOR / (1 if full else 10)).run()
        took = time.perf_counter() - began
        stop.set()
    while (left := await rotation_of(store, vault_of(new), clock).count()).keys() != await newest(store):
        assert left, "what the serving process sealed last"
        await rotation_of(store, vault_of(new), clock).run()
    checked = await rotation_of(store, vault_of(new), clock).verify()

    assert checked.broken == []
    assert sum(checked.opened.values()) == rows + 21
    assert waits
    assert refreshed
    waits.sort()
    if full:
        p99 = waits[int(len(waits) * 0.99)] * 1e3
        with capsys.disabled():
            print(  # noqa: T201 - the figures of the full run
                f"\n{rows} rows turned in {took:.1f} s; {len(waits)} calls, p99 {p99:.1f} ms, 0 failed; "
                f"{len(refreshed)} connections refreshed meanwhile"
            )


@contextmanager
def rotating(url: str, ring: str) -> Iterator[subprocess.Popen[bytes]]:
    """`atp-gateway keys rotate` as a process of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    process = subprocess.Popen(
        atp_gateway("keys", "rotate"),
        env=environ
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ATP_GATEWAY_DATABASE_URL": url,
            "ATP_GATEWAY_VAULT_KEY": ring,
        },
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


async def test_a_rotation_killed_at_many_points_loses_nothing_and_comes_to_its_end(
    store: Store, vault_of: MakeVault, clock: MovableClock, database_url: str, full: bool
) -> None:
    rows, points = (10_000, 50) if full else (600, 5)
    key = new_key()
    vault = vault_of(key)
    await vault.check(store.marks)
    await World(store, vault).fill(rows)
    before = (await rotation_of(store, vault_of(key), clock).count()).keys()
    total = (await rotation_of(store, vault_of(key), clock).count()).total()
    for point in range(points):
        with rotating(database_url, key.reveal()) as process, anyio.fail_after(60):
            while True:
                counts = await rotation_of(store, vault_of(key), clock).count()
                anew = total - sum(counts[by] for by in before)
                if anew > point * total // points or process.poll() is not None:
                    break
        checked = await rotation_of(store, vault_of(key), clock).verify()
        assert checked.broken == []
        assert sum(checked.opened.values()) == total
    with rotating(database_url, key.reveal()) as process:
        said = await asyncio.to_thread(process.communicate, timeout=60)

    assert process.returncode == 0
    assert b"Finished the rotation that was begun" in said[1]
    assert (await rotation_of(store, vault_of(key), clock).count()).keys() == await newest(store)
    assert {key.generation for key in await store.data_keys.list_all()} == {1, 2}

"""A tenant's data keys: who makes them, who finds them, and for how long they are good in memory."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from gateway.clock import MovableClock
from gateway.errors import KeyUnavailableError, VaultError
from gateway.store.store import Store
from gateway.types import Principal
from gateway.vault.data_keys import ASKED_EVERY, MOST_HELD, OUTLASTS, SEALS_FOR, DataKeys
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Context, Keyring, LocalKey, key_bytes
from gateway.vault.vault import Binding, Vault, sealed_by
from tests.vault.conftest import MakeVault
from tests.warm import python

ANNA = Principal("issuer", "anna", "acme")
PLACE = Binding("connections", "c1", ANNA, "hubspot", "tokens", 1)


def of_tenant(tenant: str) -> Binding:
    return dataclasses.replace(PLACE, principal=dataclasses.replace(ANNA, tenant=tenant))


class RemoteKey(LocalKey):
    """A key in a service that can go down, and take the right to use it away."""

    is_remote = True

    def __init__(self) -> None:
        super().__init__(key_bytes(new_key()))
        self.asked = self.answered = 0
        self.trouble: VaultError | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        self.asked += 1
        await self.answers.wait()
        self.answered += 1
        if self.trouble:
            raise self.trouble
        return await super().unwrap(wrapped, context)


async def test_a_tenants_first_value_makes_its_key_and_other_tenants_have_others(
    store: Store, vault_of: MakeVault
) -> None:
    vault = vault_of(new_key())
    for tenant in ("acme", "acme", "zenith"):
        await vault.seal(b"", of_tenant(tenant))

    first, second = await store.data_keys.list_all()
    assert (first.tenant, first.generation, second.tenant, second.generation) == ("acme", 1, "zenith", 1)
    assert first.wrapped != second.wrapped


async def test_a_data_key_is_wrapped_and_nowhere_in_clear(store: Store) -> None:
    keyring = Keyring([new_key()])
    keys = DataKeys(store.data_keys, keyring, MovableClock())
    await keys.get_sealing("acme")
    [row] = await store.data_keys.list_all()
    context = {"application": "atp-gateway", "purpose": "data-key", "tenant": "acme", "key": row.id}
    root = await keyring.first.unwrap(row.wrapped, context)

    assert (len(root), row.wrapped_by) == (32, keyring.first.name)
    assert root not in row.wrapped
    assert row.id not in root.hex()


async def test_of_many_tasks_and_two_vaults_one_makes_a_tenants_key(store: Store, vault_of: MakeVault) -> None:
    key = new_key()
    vaults = [vault_of(key), vault_of(key)]
    sealed = await asyncio.gather(*(vault.seal(b"value", PLACE) for vault in vaults for _ in range(20)))

    assert len(await store.data_keys.list_all()) == 1
    assert {await vaults[0].open(value, PLACE) for value in sealed} == {b"value"}


async def test_of_four_processes_that_start_at_once_one_makes_the_key_and_all_open_each_others_values(
    store: Store, vault_of: MakeVault, database_url: str
) -> None:
    key = new_key()
    started = [start(database_url, key.reveal()) for _ in range(4)]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    sealed = [bytes.fromhex(process.communicate(timeout=60)[0]) for process in started]

    assert {row.tenant: row.generation for row in await store.data_keys.list_all()} == {"acme": 1, "default": 1}
    assert [await vault_of(key).open(value, PLACE) for value in sealed] == [b"value"] * 4


async def test_a_value_opens_from_memory_without_asking_the_database(store: Store, vault_of: MakeVault) -> None:
    vault = vault_of(new_key())
    sealed = await vault.seal(b"value", PLACE)
    await store.data_keys.retire([sealed_by(sealed).key_id], MovableClock().now())
    await store.data_keys.drop([sealed_by(sealed).key_id])

    assert await vault.open(sealed, PLACE) == b"value"


async def test_a_key_that_another_process_made_is_looked_up(vault_of: MakeVault) -> None:
    key = new_key()
    sealed = await vault_of(key).seal(b"value", PLACE)

    assert await vault_of(key).open(sealed, PLACE) == b"value"


async def test_a_newer_key_seals_within_a_bounded_time_and_the_former_opens(
    store: Store, vault_of: MakeVault, clock: MovableClock
) -> None:
    keyring = Keyring([key := new_key()])
    vault = vault_of(key)
    before = await vault.seal(b"value", PLACE)
    newer = await DataKeys(store.data_keys, keyring, clock).make("acme", 2)
    await store.data_keys.insert([newer])

    clock.advance(SEALS_FOR - timedelta(milliseconds=1))
    assert sealed_by(await vault.seal(b"value", PLACE)) == sealed_by(before)
    clock.advance(timedelta(milliseconds=1))
    assert sealed_by(await vault.seal(b"value", PLACE)).key_id == newer.id
    assert await vault.open(before, PLACE) == b"value"


async def test_a_clock_that_is_set_back_does_not_keep_an_old_key_sealing(
    store: Store, vault_of: MakeVault, clock: MovableClock
) -> None:
    vault = vault_of(key := new_key())
    await vault.seal(b"value", PLACE)
    newer = await DataKeys(store.data_keys, Keyring([key]), clock).make("acme", 2)
    await store.data_keys.insert([newer])
    clock.advance(timedelta(hours=-1))

    assert sealed_by(await vault.seal(b"value", PLACE)).key_id == newer.id


async def test_a_key_that_the_database_does_not_have_is_named(vault_of: MakeVault, vault: Vault) -> None:
    sealed = b"\2" + bytes(8) + await vault.seal(b"value", PLACE)

    with pytest.raises(VaultError, match=f"needs data key {bytes(8).hex()}, which is not in this database"):
        await vault_of(new_key()).open(sealed, PLACE)


@pytest.mark.parametrize("field", ["tenant", "id", "wrapped"])
async def test_a_wrapped_key_moved_to_another_row_or_altered_does_not_unwrap(
    field: str, store: Store, clock: MovableClock
) -> None:
    keys = DataKeys(store.data_keys, Keyring([new_key()]), clock)
    row, other = await keys.make("acme", 1), await keys.make("zenith", 1)
    moved = dataclasses.replace(row, **{field: getattr(other, field)})

    with pytest.raises(VaultError, match=r"altered, or moved.*Restore the table data_keys"):
        await keys.unwrap(moved)


async def test_the_keys_in_memory_are_bounded_and_the_least_used_leaves(
    store: Store, vault_of: MakeVault, clock: MovableClock
) -> None:
    keys = DataKeys(store.data_keys, Keyring([new_key()]), clock)
    rows = [await keys.make(f"tenant {number}", 1) for number in range(MOST_HELD)]
    assert keys.find(bytes.fromhex(rows[0].id))
    newest = await keys.make("one too many", 1)

    held = [keys.find(bytes.fromhex(row.id)) is not None for row in [*rows, newest]]
    assert held == [True, False, *[True] * (MOST_HELD - 1)]


async def test_a_services_key_is_asked_for_again_beside_the_calls(vault_of: MakeVault, clock: MovableClock) -> None:
    remote = RemoteKey()
    vault = vault_of(remote)
    sealed = await vault.seal(b"value", PLACE)
    assert remote.asked == 0, "it was made here"
    clock.advance(ASKED_EVERY)
    remote.answers.clear()

    for _ in range(10):
        assert await vault.open(sealed, PLACE) == b"value", "nobody waits for the service"
    await until(lambda: remote.asked == 1)
    remote.answers.set()
    await until(lambda: remote.answered == 1)
    assert await vault.open(sealed, PLACE) == b"value"
    assert remote.asked == 1


async def test_a_key_that_was_idle_for_long_waits_for_the_service(vault_of: MakeVault, clock: MovableClock) -> None:
    remote = RemoteKey()
    vault = vault_of(remote)
    sealed = await vault.seal(b"value", PLACE)
    clock.advance(2 * ASKED_EVERY)
    remote.answers.clear()
    opening = [asyncio.create_task(vault.open(sealed, PLACE)) for _ in range(10)]
    await until(lambda: remote.asked == 1)

    assert not any(task.done() for task in opening)
    remote.answers.set()
    assert await asyncio.gather(*opening) == [b"value"] * 10
    assert remote.asked == 1


async def test_while_the_service_is_down_keys_in_memory_go_on_working_for_a_day_and_new_ones_say_why(
    vault_of: MakeVault, clock: MovableClock
) -> None:
    remote = RemoteKey()
    vault = vault_of(remote)
    sealed = await vault.seal(b"value", PLACE)
    remote.trouble = KeyUnavailableError("The service does not answer.")
    for _ in range(100):
        clock.advance((OUTLASTS - timedelta(seconds=1)) / 100)
        assert await vault.open(sealed, PLACE) == b"value"
        await until(lambda: remote.asked == remote.answered)
    asked = remote.asked
    assert asked <= 101

    for _ in range(20):
        assert await vault.open(sealed, PLACE) == b"value"
    assert remote.asked == asked, "not at every call"
    with pytest.raises(KeyUnavailableError, match="does not answer"):
        await vault_of(remote).open(sealed, PLACE)
    clock.advance(timedelta(seconds=2))
    with pytest.raises(KeyUnavailableError, match="does not answer"):
        await vault.open(sealed, PLACE)
    remote.trouble = None
    assert await vault.open(sealed, PLACE) == b"value"


async def test_a_key_that_the_service_no_longer_gives_is_forgotten(vault_of: MakeVault, clock: MovableClock) -> None:
    remote = RemoteKey()
    vault = vault_of(remote)
    sealed = await vault.seal(b"value", PLACE)
    remote.trouble = VaultError("Not allowed.")
    clock.advance(ASKED_EVERY)
    assert await vault.open(sealed, PLACE) == b"value"
    await until(lambda: remote.answered == 1)

    with pytest.raises(VaultError, match="Not allowed"):
        await vault.open(sealed, PLACE)


async def test_keys_for_other_purposes_are_the_same_in_each_process_though_the_services_key_never_leaves_it(
    store: Store, vault_of: MakeVault
) -> None:
    remote, local = RemoteKey(), new_key()
    derived = []
    for _ in range(2):
        vault = vault_of(remote, local)
        await vault.check(store.marks)
        derived.append(vault.derive("request-state"))

    first, second = derived[0]
    assert derived[0] == derived[1]
    assert second == vault_of(local).derive("request-state")[0]
    assert first != second


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        python(Path(__file__).with_name("contender.py"), *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not holds():
            await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()  # who waited for it goes on

"""Renewed tokens that the database did not take: in a file until it does, on each database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from gateway.clock import MovableClock
from gateway.errors import StoreUnavailableError
from gateway.oauth.grant_life import FOREVER, Lifespan
from gateway.oauth.refresher import Refresher
from gateway.oauth.unstored import _binding
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.store.tables import CONNECTIONS, DATA_KEYS
from gateway.types import Connection, ConnectionStatus, Credential, TokenSet
from gateway.vault.data_keys import SEALS_FOR, DataKeys
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring, WrappingKey
from gateway.vault.rotation import DESTROYED_AFTER, Rotation
from gateway.vault.vault import Vault
from tests.oauth.conftest import ALICE, SETTINGS, House

EXPIRED = timedelta(hours=2)
LEASE = timedelta(seconds=31)
OTHER_ID = "0" * 32
SECRETS = [b"new-access", b"new-refresh", b"old-refresh", b"alice", b"account-1", b"acme", b"issuer", b"read:all"]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def vault_over(store: Store, clock: MovableClock, *keys: WrappingKey) -> Vault:
    keyring = Keyring(keys or [new_key()])
    return Vault(keyring, DataKeys(store.data_keys, keyring, clock))


@pytest.fixture
def vault(store: Store, clock: MovableClock) -> Vault:
    return vault_over(store, clock)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pending-refresh"


@pytest.fixture
async def house(store: Store, vault: Vault, clock: MovableClock, issuer: str, folder: Path) -> Any:
    house = House(store, vault, clock, {}, replace(SETTINGS, issuer=issuer), pending=folder)
    yield house
    await house.close()


class AwayRows:
    """A database that takes no renewed tokens until it is `back`, and says when somebody has tried."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.tried = asyncio.Event()
        self.back = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    async def complete(self, *arguments: Any, **named: Any) -> bool:
        self.tried.set()
        if not self.back:
            raise StoreUnavailableError("away")
        stored: bool = await self._rows.complete(*arguments, **named)
        return stored


def refresher(house: House, rows: Any) -> Refresher:
    return Refresher(
        rows, house.grants, house.unstored, apps=house.apps, client=house.client, audit=house.audit, clock=house.clock
    )


async def waiting(house: House, life: Lifespan = FOREVER, scopes: tuple[str, ...] = ("read:all",)) -> Connection:
    """A connection whose refresh was answered, with what came of it in a file. The row."""
    held = await house.hold(*scopes)
    row = await house.store.leases.claim(
        held, owner="a killed process", now=house.clock.now(), until=house.clock.now() + LEASE
    )
    assert row is not None
    await house.grants.open(row)
    tokens = TokenSet(
        Secret("new-access"), Secret("new-refresh"), house.clock.now() + timedelta(hours=1), frozenset(scopes),
        {"instance_url": "https://eu.example"}, Secret("old-refresh-token"), house.clock.now(),
    )  # fmt: skip
    assert await house.unstored.keep(row, tokens, life)
    return row


def only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


async def until(happened: Callable[[], bool]) -> None:
    """Neither a file nor a line of the log is an event."""
    with anyio.fail_after(10):
        while not happened():
            with anyio.move_on_after(0.02):
                await anyio.sleep_forever()


async def written(folder: Path) -> None:
    await until(lambda: any(folder.glob("*.bin")))


def said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


async def refreshed(house: House) -> int:
    return (await house.actions()).count("connection.refreshed")


# The way there and back


async def test_an_answer_that_is_not_stored_in_a_moment_is_written_down_and_stored_later(house, server, clock, folder):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)
    rows = AwayRows(house.store.leases)
    renewing = refresher(house, rows).start(await house.row())
    await rows.tried.wait()
    await written(folder)
    renewing.cancel()  # as a kill would

    await house.unstored.settle()

    assert isinstance(await house.credential(), Credential)
    assert server.count("refresh", None) == 1
    assert (await house.row()).version == 2
    assert list(folder.iterdir()) == []
    assert await refreshed(house) == 1


async def test_a_database_that_comes_back_in_time_leaves_no_file(house, server, clock, folder):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)
    rows = AwayRows(house.store.leases)
    renewing = refresher(house, rows).start(await house.row())
    await written(folder)
    rows.back = True
    async with asyncio.timeout(10):
        renewed = await renewing

    assert renewed.version == (await house.row()).version == 2
    assert list(folder.iterdir()) == []
    assert await refreshed(house) == 1


async def test_an_answer_that_is_stored_at_once_is_written_nowhere(house, server, clock, folder):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)

    assert isinstance(await house.credential(), Credential)
    assert not folder.exists()


async def test_a_file_brings_back_all_that_the_row_was_to_become(house, clock):
    ahead = clock.now() + timedelta(days=30)
    life = Lifespan(ahead, ahead + timedelta(days=1), ahead + timedelta(days=2), clock.now())
    row = await waiting(house, life)
    await house.unstored.settle()

    stored = await house.row()
    assert stored == replace(
        life.on(row),
        sealed=stored.sealed, version=2, expires_at=clock.now() + timedelta(hours=1), updated_at=clock.now(),
        lease_owner=None, lease_until=None, refresh_started_at=None,
    )  # fmt: skip
    tokens = await house.grants.open(stored)
    assert tokens.access_token == Secret("new-access")
    assert tokens.refresh_token == Secret("new-refresh")
    assert tokens.previous_refresh_token == Secret("old-refresh-token")
    assert tokens.extras == {"instance_url": "https://eu.example"}


async def test_a_file_says_nothing_of_whose_it_is_and_what_is_in_it(house, folder):
    row = await waiting(house)
    path = only(folder)

    assert path.name == f"{row.id}.2.bin"
    assert [word for word in SECRETS if word in path.read_bytes()] == []


async def test_a_call_finds_the_answer_before_it_asks_the_provider_again(house, server, clock):
    """Under strict rotation asking again with the former token would end the grant."""
    await waiting(house)
    clock.advance(LEASE)
    row = await house.row()

    renewed = await house.refresher.refreshed(row)

    assert renewed.version == 2
    assert server.count("refresh", None) == 0


async def test_who_disconnects_has_the_newest_tokens_ended(house, server, clock, folder):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)
    rows = AwayRows(house.store.leases)
    renewing = refresher(house, rows).start(await house.row())
    await written(folder)
    renewing.cancel()

    receipt = await house.connections.disconnect(ALICE, (await house.row()).id)

    assert receipt.revoked_at_provider == "yes"
    assert receipt.connection.version == 2
    assert list(folder.iterdir()) == []


# The row has gone on


async def test_a_connection_that_was_given_up_because_of_the_loss_is_well_again(house, clock):
    row = await waiting(house)
    assert await house.store.leases.refuse(row, reason="gone", now=clock.now())
    await house.unstored.settle()

    stored = await house.row()
    assert (stored.status, stored.status_reason, stored.version) == (ConnectionStatus.ACTIVE, None, 2)
    assert isinstance(await house.credential("read:all"), Credential)


async def test_what_is_of_no_use_any_more_is_shredded_and_said(house, folder, caplog):
    await waiting(house)
    newer = await house.hold("read:all", access="newest")
    await house.unstored.settle()

    assert await house.row() == newer
    assert list(folder.iterdir()) == []
    assert said(caplog, "is shredded") == 1


async def test_the_file_of_a_connection_that_is_gone_is_shredded(house, folder, caplog):
    row = await waiting(house)
    assert await house.store.connections.drop(ALICE, row.id)
    await house.unstored.settle()

    assert list(folder.iterdir()) == []
    assert said(caplog, "is shredded") == 1


async def test_while_another_asks_the_provider_the_answer_is_left_to_them(house, clock, folder):
    row = await waiting(house)
    clock.advance(LEASE)
    theirs = await house.store.leases.claim(row, owner="another", now=clock.now(), until=clock.now() + LEASE)
    await house.unstored.settle()
    assert (await house.row()).version == 1
    assert only(folder)

    assert await house.unstored.settle_for(theirs, "another")
    assert (await house.row()).version == 2


async def test_two_processes_that_find_the_same_file_do_no_harm(house, issuer, folder):
    other = House(house.store, house.vault, house.clock, {}, replace(SETTINGS, issuer=issuer), pending=folder)
    for _ in range(5):
        row = await waiting(house)
        await asyncio.gather(*(each.unstored.settle() for each in (house, other) * 3))
        stored = await house.row()
        assert (stored.version, stored.status) == (row.version + 1, ConnectionStatus.ACTIVE)
        assert list(folder.iterdir()) == []
    await other.audit.flush()
    assert await refreshed(house) == 5
    await other.close()


# Keys


async def test_a_file_opens_as_long_as_the_key_that_sealed_it_is_kept(house, store, vault, clock):
    await waiting(house)
    rotation = Rotation(store.sealed, store.data_keys, vault, clock, settle=timedelta(0))
    assert (await rotation.run()).retired == 1

    await house.unstored.settle()
    assert (await house.row()).version == 2
    assert (await rotation.verify()).broken == []


async def test_after_a_rotation_too_many_the_file_is_left_and_the_row_works_on(house, vault, clock, folder, caplog):
    await waiting(house)
    rotation = Rotation(house.store.sealed, house.store.data_keys, vault, clock, settle=timedelta(0))
    await rotation.run()
    clock.advance(DESTROYED_AFTER + SEALS_FOR)
    await rotation.run()
    elsewhere = afresh(house, folder)
    await elsewhere.unstored.settle()

    assert only(folder)
    assert said(caplog, "stays where it is") == 1
    await elsewhere.close()


async def test_without_the_key_at_hand_there_is_no_file_and_no_error(house, folder, caplog):
    """Nobody opened anything in this process yet: its memory has no key."""
    row = await house.hold()
    fresh = afresh(house, folder)

    assert not await fresh.unstored.keep(row, TokenSet(Secret("new-access")), FOREVER)
    assert not folder.exists()
    assert said(caplog, "in memory only") == 1
    await fresh.close()


def afresh(house: House, folder: Path) -> House:
    """Another process, with the same vault key and nothing in memory."""
    vault = vault_over(house.store, house.clock, *house.vault._keyring.keys)
    return House(house.store, vault, house.clock, {}, SETTINGS, pending=folder)


# The folder


async def test_where_nothing_can_be_written_it_is_said_once_and_the_refresh_goes_on(
    house, server, clock, folder, caplog
):
    folder.write_text("a file in the folder's place")
    server.behaviour.rotates = True
    await house.connect()
    for times in (1, 2):
        clock.advance(EXPIRED)
        rows = AwayRows(house.store.leases)
        renewing = refresher(house, rows).start(await house.row())
        await until(lambda: said(caplog, "trying again") == 3 * times)  # noqa: B023 - awaited at once
        rows.back = True
        async with asyncio.timeout(10):
            await renewing

    assert (await house.row()).version == 3
    assert said(caplog, "cannot be kept") == 1
    assert list(folder.parent.glob("pending-refresh*")) == [folder]


async def test_what_else_lies_in_the_folder_is_nobodys_business(house, folder):
    await waiting(house)
    others = ["readme.txt", "0.bin", f"{OTHER_ID}.bin", f"{OTHER_ID}.-1.bin", "..1.bin", f"{OTHER_ID}.1.bin.bak"]
    for name in others:
        (folder / name).write_bytes(b"mine")
    await house.unstored.settle()

    assert (await house.row()).version == 2
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)
    assert {path.read_bytes() for path in folder.iterdir()} == {b"mine"}


# What is in the files


async def set_version(house: House, version: int) -> None:
    await house.store._engines.change(update(CONNECTIONS).values(version=version))


def flipped(content: bytes, at: int, bits: int = 1) -> bytes:
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


HOSTILE: dict[str, Any] = {
    "nothing": lambda _: b"",
    "one byte": lambda content: content[:1],
    "a format that nobody knows": lambda content: b"\x09" + content[1:],
    "the header alone": lambda content: content[:9],
    "another key's name": lambda content: flipped(content, 5),
    "another nonce": lambda content: flipped(content, 12),
    "an altered value": lambda content: flipped(content, len(content) // 2),
    "an altered tag": lambda content: flipped(content, len(content) - 1),
    "cut short": lambda content: content[: len(content) // 2],
    "a byte less": lambda content: content[:-1],
    "a byte more": lambda content: content + b"\x00",
    "twice": lambda content: content * 2,
    "zeros": lambda content: bytes(len(content)),
    "text": lambda _: b'{"sealed": "", "scopes": []}',
    "too much": lambda content: content + bytes(1 << 20),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
async def test_a_file_that_does_not_open_is_left_and_said_once(house, folder, caplog, hostile):
    await waiting(house)
    path = only(folder)
    path.write_bytes(hostile(path.read_bytes()))
    left = path.read_bytes()
    for _ in range(3):
        await house.unstored.settle()

    assert path.read_bytes() == left
    assert said(caplog, "stays where it is") == 1
    assert said(caplog, str(path)) == 1
    row = await house.row()
    assert row.version == 1
    assert (await house.grants.open(row)).access_token == Secret("old-access-token")


@pytest.mark.parametrize("kind", ["a link", "a folder", "a pipe"])
async def test_what_is_no_file_is_left_and_keeps_nobody_waiting(house, folder, tmp_path, caplog, kind):
    await waiting(house)
    path = only(folder)
    content = path.read_bytes()
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(content)
    match kind:
        case "a link":
            path.symlink_to(tmp_path / "elsewhere")
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
    async with asyncio.timeout(5):
        await house.unstored.settle()

    assert (await house.row()).version == 1
    assert said(caplog, "stays where it is") == 1


async def test_a_file_opens_in_its_own_place_alone(house, folder, caplog):
    """Neither for another version, nor for another connection, nor as the column of a row, nor a column as a file."""
    row = await waiting(house)
    path = only(folder)
    content = path.read_bytes()
    await set_version(house, 2)
    path.rename(folder / f"{row.id}.3.bin")
    await house.unstored.settle()
    assert (await house.row()).version == 2
    await set_version(house, 1)
    (folder / f"{row.id}.3.bin").rename(path)
    path.write_bytes(row.sealed)
    await house.unstored.settle()
    assert (await house.row()).version == 1
    assert said(caplog, "stays where it is") == 2

    path.write_bytes(content)
    await house.unstored.settle()
    assert (await house.row()).version == 2


async def test_another_databases_file_is_left_alone(house, folder, caplog):
    """Two gateways may share a data folder: what one does not know is not to be shredded."""
    await waiting(house)
    await house.store.connections.drop(ALICE, (await house.row()).id)
    await house.store._engines.change(delete(DATA_KEYS))
    strange = House(house.store, vault_over(house.store, house.clock), house.clock, {}, SETTINGS, pending=folder)
    await strange.unstored.settle()

    assert only(folder)
    assert said(caplog, "not one of this database's") == 1
    await strange.close()


async def test_a_form_of_a_later_version_is_left(house, vault, folder, caplog):
    row = await waiting(house)
    for packed in (b"", b"[]", b"{}", b"null", b'{"sealed": 1}', b"\xff"):
        only(folder).write_bytes(await vault.seal(packed, _binding(row, 2)))
        await house.unstored.settle()

    assert (await house.row()).version == 1
    assert said(caplog, "Upgrade atp-gateway") == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
async def test_whatever_bytes_a_file_has_they_store_nothing_and_stop_nothing(house, folder, data):
    if not folder.exists():
        await waiting(house)
        (folder.parent / "whole").write_bytes(only(folder).read_bytes())
    whole = (folder.parent / "whole").read_bytes()
    places = st.integers(0, len(whole) - 1)
    altered = st.builds(flipped, st.just(whole), places, st.integers(1, 255))
    cut = st.builds(lambda at: whole[:at], places)
    content = data.draw(st.one_of(st.binary(max_size=600), altered, cut))
    only(folder).write_bytes(content)
    await house.unstored.settle()

    assert (await house.row()).version == 1
    assert only(folder).read_bytes() == content

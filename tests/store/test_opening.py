"""Opening a database: whose files it makes, how it sets them up, and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import logging
import stat
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import SettingsError, StoreUnavailableError
from gateway.store.engine import filesystem_of, refuse_unsuitable, sqlite_engines
from gateway.store.store import Store
from gateway.types import CredentialKind, Flow, Principal

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir()}


async def test_a_new_database_can_be_read_by_its_owner_alone(tmp_path: Path, empty_sqlite_url: str) -> None:
    store = await Store.open(empty_sqlite_url)
    await store.marks.put_if_absent("name", b"value")

    assert mode(tmp_path / "data") == 0o700
    assert files(tmp_path / "data") == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}
    await store.close()


async def test_a_database_that_others_could_read_is_closed_to_them(
    tmp_path: Path, empty_sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await (await Store.open(empty_sqlite_url)).close()
    (tmp_path / "data/gateway.db").chmod(0o644)

    with caplog.at_level(logging.WARNING):
        store = await Store.open(empty_sqlite_url)

    assert mode(tmp_path / "data/gateway.db") == 0o600
    assert "gateway.db could be read by others (mode 0644); it is 0600 now" in caplog.text
    await store.close()


async def test_a_closed_database_is_one_file(tmp_path: Path, empty_sqlite_url: str) -> None:
    """Nothing is left in the write-ahead log: the file alone is a backup."""
    store = await Store.open(empty_sqlite_url)
    await store.marks.put_if_absent("name", b"value")
    await store.close()

    assert list(files(tmp_path / "data")) == ["gateway.db"]


async def test_every_connection_has_the_settings_that_keep_tokens_safe(tmp_path: Path) -> None:
    engines = sqlite_engines(tmp_path / "gateway.db")
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 5000,
        "foreign_keys": 1,
        "secure_delete": 1,
        "temp_store": 2,
    }
    for lane in (engines.reading, engines.writing):
        found = await lane.run(
            lambda connection: {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in wanted}
        )
        assert found == wanted
    await engines.dispose()


async def test_a_writing_transaction_holds_the_lock_from_its_beginning_and_readers_go_on(tmp_path: Path) -> None:
    engines = sqlite_engines(tmp_path / "gateway.db")
    await engines.change(text("CREATE TABLE t (x)"))
    impatient = sqlite_engines(tmp_path / "gateway.db")

    with engines.writing.engine.begin():
        assert await engines.rows(text("SELECT * FROM t")) == []
        with impatient.reading.engine.connect() as other:
            other.execute(text("PRAGMA busy_timeout = 0"))
            with pytest.raises(SQLAlchemyError, match="locked"):
                other.execute(text("INSERT INTO t VALUES (1)"))
    await impatient.dispose()
    await engines.dispose()


async def test_an_error_from_the_database_shows_no_values(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    flow = Flow("f1", Principal("i", "s"), "canary", "p", CredentialKind.OAUTH2, frozenset(), None, NOW, NOW)
    flow = dataclasses.replace(flow, state_hash="canary", sealed_verifier=b"canary")
    await store.flows.put(flow)
    with pytest.raises(StoreUnavailableError) as raised:
        await store.flows.put(flow)

    shown = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert "canary" not in shown
    assert "f1" not in caplog.text


def test_a_network_file_system_and_an_old_sqlite_are_refused_with_what_to_do() -> None:
    refuse_unsuitable((3, 35, 0), "ext4")
    refuse_unsuitable((3, 40, 1), None)
    with pytest.raises(SettingsError, match=r"SQLite is 3.34.1; the gateway needs 3.35. Use a newer Python"):
        refuse_unsuitable((3, 34, 1), "ext4")
    with pytest.raises(SettingsError, match=r"network file system \(nfs4\).*a file on a local disk"):
        refuse_unsuitable((3, 40, 1), "nfs4")


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    share = tmp_path / "my share"
    mounts = tmp_path / "mounts"
    spelled = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nnas:/x {spelled} nfs4 rw 0 0\ntmpfs {tmp_path}/fast tmpfs rw 0 0\n")

    assert filesystem_of(share / "data" / "gateway.db", mounts) == "nfs4"
    assert filesystem_of(tmp_path / "fast" / "gateway.db", mounts) == "tmpfs"
    assert filesystem_of(tmp_path / "gateway.db", mounts) == "ext4"
    assert filesystem_of(tmp_path / "gateway.db", tmp_path / "not Linux") is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "cannot be read"),
        ("mysql://root@host/name", "A mysql database is not supported"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:////tmp/x.db?mode=ro", "must be a file"),
        ("postgresql://user@/name?host=/nowhere", "cannot be opened: .*/nowhere"),
    ],
)
async def test_a_url_that_does_not_lead_to_a_database_is_answered_with_a_sentence(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        await Store.open(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:1/name",
        "postgresql://user@127.0.0.1:1/name?password=hunter2",
        "mysql://user:hunter2@host/name",
        "user:hunter2@host",
        "postgresql://user:hunter2@127.0.0.1:port/name",
        "postgresql://user:hunter2@127.0.0.1:1/name?sslmode=hunter2",
    ],
)
async def test_the_database_password_is_in_no_error(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        await Store.open(url)

    assert "hunter2" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


async def test_a_folder_a_file_in_the_way_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is not a database, and long enough for SQLite to notice" * 10)
    for path in (tmp_path, tmp_path / "file" / "gateway.db", tmp_path / "file"):
        with pytest.raises(SettingsError, match="cannot be opened"):
            await Store.open(f"sqlite:///{path}")


async def test_a_relative_path_is_seen_from_the_working_folder(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    store = await Store.open("sqlite:///data/gateway.db")

    assert (tmp_path / "data/gateway.db").exists()
    await store.close()

"""`atp-gateway keys`: what it prints, its exit codes, and what it leaves of the database when the key is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.oauth.grant_life import FOREVER
from gateway.oauth.grants import Grants
from gateway.oauth.live_tokens import LiveTokens
from gateway.oauth.unstored import Unstored
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import TokenSet
from gateway.vault.data_keys import DataKeys
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.vault.sealed_world import World
from tests.warm import atp_gateway

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def key() -> Secret:
    return new_key()


@pytest.fixture
def database(tmp_path: Path, key: Secret) -> Path:
    """A database with some values in it."""
    path = tmp_path / "data" / "gateway.db"

    async def fill() -> None:
        store, keyring = await Store.open(f"sqlite:///{path}"), Keyring([key])
        vault = Vault(keyring, DataKeys(store.data_keys, keyring, SystemClock()))
        await vault.check(store.marks)
        await World(store, vault).fill(9, 1)
        await store.close()

    asyncio.run(fill())
    return path


@pytest.fixture
def keys(database: Path, key: Secret) -> Run:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
        ours = {
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{database}",
            "ATP_GATEWAY_VAULT_KEY": key.reveal(),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return subprocess.run(
            atp_gateway("keys", *arguments),
            env=environ | ours | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_rotate_list_and_verify_tell_the_same_story(keys: Run, key: Secret) -> None:
    new = new_key()
    ring = {"ATP_GATEWAY_VAULT_KEY": new.reveal(), "ATP_GATEWAY_VAULT_PREVIOUS_KEYS": key.reveal()}
    rotated = keys("rotate", "--json", **ring)
    listed = json.loads(keys("list", "--json", **ring).stdout)["data_keys"]
    verified = keys("verify", "--json", ATP_GATEWAY_VAULT_KEY=new.reveal())

    assert (rotated.returncode, rotated.stderr) == (0, "")
    assert json.loads(rotated.stdout) == {
        "resumed": False, "rewrapped": 3, "made": 3, "sealed": 14, "retired": 3, "destroyed": 0, "broken": [],
    }  # fmt: skip
    assert (
        sorted((found["state"], found["generation"]) for found in listed) == [("retired", 1)] * 3 + [("seals", 2)] * 3
    )
    assert sum(found["values"] for found in listed if found["state"] == "seals") == 14
    assert {found["wrapped_by"] for found in listed} == {Keyring([new]).first.name}
    assert verified.returncode == 0
    assert sum(found["values"] for found in json.loads(verified.stdout)["opened"]) == 14


def test_a_person_reads_a_table_and_a_sentence(keys: Run) -> None:
    listed, verified = keys("list"), keys("verify")

    assert listed.stdout.splitlines()[0].split("  ")[0] == "DATA KEY"
    assert len(listed.stdout.splitlines()) == 4
    assert "✓ All 14 values open." in verified.stderr


def test_a_value_that_does_not_open_is_named_and_the_exit_code_says_so(keys: Run, database: Path) -> None:
    import sqlite3

    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE connections SET sealed = (SELECT sealed FROM connections WHERE id = 'c000003') WHERE id = 'c000000'"
        )
    connection.close()
    verified = keys("verify")

    assert verified.returncode == 1
    assert "✗ connections c000000: A sealed value does not open" in verified.stderr
    assert "✓" not in verified.stderr


@pytest.mark.parametrize("command", ["list", "rotate", "verify"])
def test_the_wrong_key_is_refused_and_leaves_the_database_as_it_was_to_the_byte(
    keys: Run, database: Path, key: Secret, command: str
) -> None:
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    refused = keys(command, ATP_GATEWAY_VAULT_KEY=new_key().reveal())

    assert refused.returncode == 2
    assert f"sealed with vault key {Keyring([key]).first.name}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert [path.name for path in database.parent.iterdir()] == ["gateway.db"]


def test_a_missing_former_key_is_named(keys: Run, key: Secret) -> None:
    """Between putting a new key in front and the rotation, both are needed."""
    refused = keys("verify", ATP_GATEWAY_VAULT_KEY=new_key().reveal(), ATP_GATEWAY_VAULT_PREVIOUS_KEYS="")

    assert refused.returncode == 2
    assert Keyring([key]).first.name in refused.stderr
    assert "previous_keys" in refused.stderr


def test_renewed_tokens_that_wait_in_a_file_are_stored_before_the_keys_turn(
    keys: Run, database: Path, key: Secret
) -> None:
    """Else the second rotation would destroy the key that opens them."""
    folder = database.parent / "pending-refresh"

    async def with_rows(work: Callable[[Store, Vault], Awaitable[None]]) -> None:
        store, keyring = await Store.open(f"sqlite:///{database}"), Keyring([key])
        await work(store, Vault(keyring, DataKeys(store.data_keys, keyring, SystemClock())))
        await store.close()

    async def leave(store: Store, vault: Vault) -> None:
        clock = SystemClock()
        grants = Grants(store.connections, vault, LiveTokens(clock), clock)
        unstored = Unstored(
            folder, store.leases, grants, vault=vault, audit=AuditLog(store.audit.append, clock), clock=clock
        )
        row = await store.leases.find("c000000")
        assert row is not None
        await grants.open(row)
        assert await unstored.keep(row, TokenSet(Secret("renewed access")), FOREVER)

    async def look(store: Store, vault: Vault) -> None:
        row = await store.leases.find("c000000")
        assert row is not None
        assert row.version == 2
        grants = Grants(store.connections, vault, LiveTokens(SystemClock()), SystemClock())
        assert (await grants.open(row)).access_token == Secret("renewed access")

    asyncio.run(with_rows(leave))
    rotated = keys("rotate")
    asyncio.run(with_rows(look))

    assert rotated.returncode == 0
    assert "connection c000000, which the database did not take before, are stored now" in rotated.stderr
    assert list(folder.iterdir()) == []

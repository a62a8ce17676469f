"""`atp-gateway db`: what it says and does, on both databases, old, new, missing and busy."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from click.testing import CliRunner, Result
from databases import HOME_VARIABLE
from sqlalchemy import Connection

from gateway.cli import cli
from gateway.errors import SettingsError
from gateway.store import schema
from gateway.store.address import reached
from gateway.store.engine import Engines
from gateway.store.schema import REVISIONS, Standing
from gateway.store.store import Store

OLD = REVISIONS[5]
APART = {HOME_VARIABLE: None}  # no setting
Run = Callable[..., Result]


@pytest.fixture
def db(tmp_path: Path) -> Run:
    def run(url: str, *arguments: str, **more: str) -> Result:
        environ = {**APART, "HOME": str(tmp_path), "ATP_GATEWAY_DATABASE_URL": url, **more}
        return CliRunner().invoke(cli, ["db", *arguments], env=environ, standalone_mode=False)

    return run


def bring_to(url: str, revision: str) -> None:
    """A database as an older version of the program left it."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "gateway.store:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async def migrate(engines: Engines) -> Standing:
        await asyncio.to_thread(engines.migrate, upgrade, 5)
        await engines.dispose()
        return Standing(revision, ())

    asyncio.run(reached(url, migrate))  # type: ignore[arg-type]


@contextmanager
def held(url: str) -> Iterator[None]:
    """Another process has the lock that a migration needs."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
    else:
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s)", (schema._LOCK_NUMBER,))
            yield


def test_an_old_database_is_brought_to_this_version_and_a_new_one_left_alone(empty_database_url: str, db: Run) -> None:
    bring_to(empty_database_url, OLD)

    before, upgraded = db(empty_database_url, "status"), db(empty_database_url, "upgrade")
    after, again = db(empty_database_url, "status"), db(empty_database_url, "upgrade")

    assert before.return_value == 1
    assert f"revision  {OLD}" in before.stdout
    assert f"missing   {REVISIONS[-1]}  " in before.stdout
    assert f"brought from revision {OLD} to {REVISIONS[-1]}" in upgraded.stderr
    assert [line.split()[0] for line in upgraded.stderr.splitlines()[1:]] == list(REVISIONS[6:])
    assert after.return_value == 0
    assert f"revision  {REVISIONS[-1]}" in after.stdout
    assert "Nothing to do" in again.stderr


def test_a_database_that_is_not_there_yet_is_made(empty_database_url: str, db: Run) -> None:
    before = db(empty_database_url, "status", "--json")
    assert not Path(empty_database_url.removeprefix("sqlite:///")).exists(), "looking at it has made it"
    made = db(empty_database_url, "upgrade")
    after = db(empty_database_url, "status", "--json")

    assert json.loads(before.stdout) | {"database": ""} == {
        "database": "",
        "revision": None,
        "newest": REVISIONS[-1],
        "missing": list(REVISIONS),
    }
    assert f"brought from nothing to {REVISIONS[-1]}" in made.stderr
    assert json.loads(after.stdout)["missing"] == []


def test_a_newer_database_is_left_alone(database_url: str, db: Run) -> None:
    with closing(sqlite3.connect(database_url[10:])) if database_url[0] == "s" else psycopg.connect(database_url) as it:
        it.execute("UPDATE alembic_version SET version_num = '9999'")  # type: ignore[union-attr]
        it.commit()

    for result in (db(database_url, "status"), db(database_url, "upgrade")):
        assert isinstance(result.exception, SettingsError)
        assert "revision 9999" in str(result.exception)
        assert "Upgrade atp-gateway" in str(result.exception)


def test_one_that_another_process_migrates_is_waited_for_and_not_for_ever(empty_database_url: str, db: Run) -> None:
    bring_to(empty_database_url, OLD)

    with held(empty_database_url):
        result = db(empty_database_url, "upgrade", "--wait", "1")

    assert isinstance(result.exception, SettingsError)
    assert "by another process" in str(result.exception)
    assert "Nothing was changed" in str(result.exception)
    assert "brought" in db(empty_database_url, "upgrade").stderr


def test_a_server_that_has_no_such_database_is_named_and_the_password_is_not(postgres_url: str, db: Run) -> None:
    url = postgres_url.replace("postgres@/test_", "postgres:hunter2@/no_").partition("?")
    result = db("".join(url), "upgrade")

    assert isinstance(result.exception, SettingsError)
    assert "does not exist. Make it, with: createdb no_" in str(result.exception)
    assert "hunter2" not in str(result.exception) + result.output

    shown = db(postgres_url.replace("postgres@", "postgres:hunter2@"), "status").stdout
    assert "postgresql://postgres:***@/test_" in shown
    assert "hunter2" not in shown


async def test_where_upgrades_are_by_hand_nothing_else_upgrades(empty_database_url: str) -> None:
    with pytest.raises(SettingsError, match=r"has no tables yet.*run: atp-gateway db upgrade"):
        await Store.open(empty_database_url, upgrade=False)
    await asyncio.to_thread(bring_to, empty_database_url, OLD)
    with pytest.raises(SettingsError, match=f"has schema revision {OLD}.*needs {REVISIONS[-1]}"):
        await Store.open(empty_database_url, upgrade=False)

    await (await Store.open(empty_database_url)).close()
    await (await Store.open(empty_database_url, upgrade=False)).close()


def test_by_hand_goes_for_every_command_but_this_one(empty_sqlite_url: str, db: Run, tmp_path: Path) -> None:
    by_hand = {"ATP_GATEWAY_DATABASE_UPGRADE": "false"}
    environ = {**APART, "HOME": str(tmp_path), "ATP_GATEWAY_DATABASE_URL": empty_sqlite_url, **by_hand}
    bring_to(empty_sqlite_url, OLD)

    refused = CliRunner().invoke(cli, ["audit", "list"], env=environ, standalone_mode=False)

    assert isinstance(refused.exception, SettingsError)
    assert "atp-gateway db upgrade" in str(refused.exception)
    assert "brought" in db(empty_sqlite_url, "upgrade", **by_hand).stderr

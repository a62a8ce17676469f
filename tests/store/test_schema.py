"""How a database gets to this version's schema."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hatchling.builders.wheel import WheelBuilder
from sqlalchemy import NullPool, create_engine, make_url

from gateway.errors import SettingsError
from gateway.store.schema import REVISIONS
from gateway.store.store import Store
from gateway.store.tables import METADATA

ROOT = Path(__file__).parents[2]


def execute(url: str, statement: str) -> None:
    """Run a statement behind the store's back."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute(statement)
            connection.commit()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


async def test_the_revisions_add_up_to_the_tables(empty_database_url: str) -> None:
    await (await Store.open(empty_database_url)).close()

    url = make_url(empty_database_url)
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}[url.drivername]
    engine = create_engine(url.set(drivername=driver), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_revisions_known_to_the_code_are_those_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    scripts = ScriptDirectory.from_config(config)

    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(REVISIONS))


def test_the_revisions_are_in_the_wheel() -> None:
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}

    assert "gateway/store/migrations/env.py" in files
    assert "gateway/store/migrations/versions/r0001_first_tables.py" in files


async def test_a_database_of_a_newer_version_is_left_alone_and_the_error_says_so(empty_database_url: str) -> None:
    await (await Store.open(empty_database_url)).close()
    execute(empty_database_url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SettingsError, match=r"revision 9999.*Upgrade atp-gateway"):
        await Store.open(empty_database_url)


async def test_what_was_stored_is_there_when_the_database_is_opened_again(empty_database_url: str) -> None:
    store = await Store.open(empty_database_url)
    await store.marks.put_if_absent("kept", b"value")
    await store.close()

    again = await Store.open(empty_database_url)
    assert await again.marks.find("kept") == b"value"
    await again.close()


async def test_a_migration_that_was_cut_short_is_begun_again(empty_database_url: str) -> None:
    """Alembic's own table is there, empty, as after a crash of a tool that does not use transactions."""
    if empty_database_url.startswith("sqlite"):
        Path(empty_database_url.removeprefix("sqlite:///")).parent.mkdir()
    execute(empty_database_url, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")

    store = await Store.open(empty_database_url)
    assert await store.marks.find("any") is None
    await store.close()


def test_opening_a_database_that_is_up_to_date_does_not_load_alembic(sqlite_url: str) -> None:
    """It would double the time that a laptop's gateway takes to start."""
    command = [sys.executable, str(Path(__file__).with_name("contender.py")), "open", sqlite_url]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(command, input="go\n", env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["ready", "false"]

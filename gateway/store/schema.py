"""Brings a database to the schema of this version, by the revisions in `gateway.store.migrations`.

A database that is there already costs one query and no Alembic. Several processes may open one database at once:
the first to get the write lock migrates, the others find it done. Alembic's context is global to a process and
blocks, hence one migration at a time, in a thread.

Below: `gateway.store.engine`. Above: `gateway.store.store`, `atp-gateway db`.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from gateway.errors import SettingsError
from gateway.store.engine import Engines

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0007", "0006", "0010", "0008", "0011", "0012", "0013", "0014")
"""All revisions, oldest first. The last one is what the tables of this version look like."""

_LOCK_NUMBER = 4_280_110_963
"""PostgreSQL's advisory locks are named by a number; this one is ours."""

PATIENCE = 30
"""Seconds to wait for another process that migrates, or for a table that others use."""

_LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's SQLSTATE for it: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a database is: `revision` None where it has no tables yet, `missing` what it lacks, oldest first."""

    revision: str | None
    missing: tuple[str, ...]


async def standing(engines: Engines) -> Standing:
    """How far the database is. SettingsError if it has a revision that this version does not know."""
    return await engines.ask(_standing)


async def bring_up_to_date(engines: Engines, patience: int = PATIENCE) -> Standing:
    """Run the revisions that the database lacks; how far it was before. SettingsError if it is ahead of this version,
    or has been in use for `patience` seconds, and so cannot be changed."""
    found = await standing(engines)
    if not found.missing:
        return found
    try:
        return await anyio.to_thread.run_sync(_migrate, engines, patience)
    except DBAPIError as error:
        if not _is_busy(error):
            raise
        raise SettingsError(
            f"The database is being upgraded, or written to, by another process, for {patience} seconds already. "
            "Nothing was changed. Try again when that process is done."
        ) from None


async def refuse_an_old_one(engines: Engines) -> Standing:
    """SettingsError if the database is not at this version's revision: somebody wants to upgrade it themselves."""
    found = await standing(engines)
    if found.missing:
        has = f"has schema revision {found.revision}" if found.revision else "has no tables yet"
        raise SettingsError(
            f"The database {has}; this version of atp-gateway needs {REVISIONS[-1]}, and [database] upgrade is false. "
            "Make a backup, then run: atp-gateway db upgrade"
        )
    return found


def about(revision: str) -> str:
    """What a revision is for, in a sentence."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_revision(revision).doc


def _standing(connection: Connection) -> Standing:
    if not inspect(connection).has_table("alembic_version"):
        return Standing(None, REVISIONS)
    stored = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if stored is None:
        return Standing(None, REVISIONS)
    if stored not in REVISIONS:
        raise SettingsError(
            f"The database has schema revision {stored}; this version of atp-gateway knows revisions up to "
            f"{REVISIONS[-1]}. Upgrade atp-gateway, or restore the backup from before the database was upgraded."
        )
    return Standing(stored, REVISIONS[REVISIONS.index(stored) + 1 :])


def _migrate(engines: Engines, patience: int) -> Standing:
    with _one_at_a_time:
        found: Standing = engines.migrate(_upgrade, patience)
    return found


def _upgrade(connection: Connection) -> Standing:
    from alembic import command

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
    found = _standing(connection)
    if found.missing:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return found


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    return config


def _is_busy(error: DBAPIError) -> bool:
    said = error.driver_exception
    return getattr(said, "sqlstate", None) == _LOCK_NOT_AVAILABLE or (
        getattr(said, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    )

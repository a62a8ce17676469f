"""Brings a database to the schema of this version, by the revisions in `gateway.store.migrations`.

A database that is there already costs one query and no Alembic. Several processes may open one database at once:
the first to get the write lock migrates, the others find it done. Alembic's context is global to a process and
blocks, hence one migration at a time, in a thread.

Below: `gateway.store.engine`. Above: `gateway.store.store`.
"""

from __future__ import annotations

import threading

import anyio.to_thread
from sqlalchemy import Connection, inspect, text

from gateway.errors import SettingsError
from gateway.store.engine import Engines

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0007", "0006", "0010", "0008", "0011")
"""All revisions, oldest first. The last one is what the tables of this version look like."""

_LOCK_NUMBER = 4_280_110_963
"""PostgreSQL's advisory locks are named by a number; this one is ours."""

_one_at_a_time = threading.Lock()


async def bring_up_to_date(engines: Engines) -> None:
    """Run the revisions that the database lacks. SettingsError if it has one that this version does not know."""
    if not await engines.ask(_is_current):
        await anyio.to_thread.run_sync(_migrate, engines)


def _is_current(connection: Connection) -> bool:
    """SettingsError if the database is ahead of this version."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    stored = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if stored is not None and stored not in REVISIONS:
        raise SettingsError(
            f"The database has schema revision {stored}; this version of atp-gateway knows revisions up to "
            f"{REVISIONS[-1]}. Upgrade atp-gateway, or restore the backup from before the database was upgraded."
        )
    return stored == REVISIONS[-1]


def _migrate(engines: Engines) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    with _one_at_a_time, engines.migrating().begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        if _is_current(connection):
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

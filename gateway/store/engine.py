"""The two databases' settings. Everything above sees one thing: `Engines`, to read from and to write to.

SQLite: one file that several processes of one machine may share. Readers run beside the one writer (WAL). A writing
transaction starts IMMEDIATE, because a deferred one that has read fails at its first write, without waiting, once
another process has written (https://www.sqlite.org/lang_transaction.html). The pool of one writing connection is
also the queue of this process's writers. PostgreSQL: one pool; a read is a statement without a transaction round it.

Not here: what is stored (`gateway.store.tables`). Above: the `*_rows` modules, `gateway.store.schema`.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Executable, NullPool, RowMapping, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

log = logging.getLogger(__name__)

# Parameters are tokens' ciphertext, state hashes and names of people: neither logged nor put into errors.
_QUIET: dict[str, Any] = {"hide_parameters": True, "echo": False, "echo_pool": False}

_PRAGMAS = (
    "busy_timeout = 5000",  # milliseconds that a writer waits for another process
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit survives a power cut: a rotated refresh token exists nowhere else
    "foreign_keys = ON",
    "secure_delete = ON",  # deleted ciphertext is overwritten
    "temp_store = MEMORY",
)
_READERS = 4
_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Engines:
    """One database. `reading` runs single statements, `writing` transactions; `migrating` makes a blocking engine."""

    reading: AsyncEngine
    writing: AsyncEngine
    migrating: Callable[[], Engine]
    insert: Callable[[Table], sqlite.Insert | postgresql.Insert]

    async def rows(self, statement: Executable) -> Sequence[RowMapping]:
        async with self.reading.connect() as connection:
            return (await connection.execute(statement)).mappings().all()

    async def change(self, statement: Executable, parameters: Sequence[Mapping[str, Any]] | None = None) -> int:
        """How many rows the statement changed, in a transaction of its own."""
        async with self.writing.begin() as connection:
            return (await connection.execute(statement, parameters)).rowcount

    async def changed(self, statement: Executable) -> RowMapping | None:
        """The row that a statement with RETURNING changed, if there was one."""
        async with self.writing.begin() as connection:
            return (await connection.execute(statement)).mappings().one_or_none()

    async def dispose(self) -> None:
        await self.reading.dispose()
        await self.writing.dispose()


def sqlite_engines(path: Path) -> Engines:
    """The database in this file, which is made when it is not there: mode 0600, in a folder of mode 0700."""
    make_private(path)
    url = URL.create("sqlite+aiosqlite", database=str(path))
    unmanaged = {"isolation_level": None}  # the driver begins no transactions behind our back
    reading = create_async_engine(
        url, **_QUIET, pool_size=_READERS, max_overflow=0, connect_args=unmanaged, skip_autocommit_rollback=True
    )
    writing = create_async_engine(url, **_QUIET, pool_size=1, max_overflow=0, connect_args=unmanaged)
    _prepare_sqlite(reading.sync_engine)
    _prepare_sqlite(writing.sync_engine)
    event.listen(writing.sync_engine, "begin", _begin_immediate)

    def migrating() -> Engine:
        engine = create_engine(url.set(drivername="sqlite"), **_QUIET, poolclass=NullPool, connect_args=unmanaged)
        _prepare_sqlite(engine)
        event.listen(engine, "begin", _begin_immediate)
        return engine

    return Engines(reading, writing, migrating, sqlite.insert)


def postgres_engines(url: URL) -> Engines:
    """The database that the URL names, over psycopg 3."""
    url = url.set(drivername="postgresql+psycopg")
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
    writing = create_async_engine(url, **_QUIET, pool_size=5, max_overflow=10, pool_pre_ping=True)
    reading = writing.execution_options(isolation_level="AUTOCOMMIT")

    def migrating() -> Engine:
        return create_engine(url, **_QUIET, poolclass=NullPool)

    return Engines(reading, writing, migrating, postgresql.insert)


def make_private(path: Path) -> None:
    """Make the file if need be, and let nobody but its owner read it. SQLite gives -wal and -shm the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            _tighten(file)


def _tighten(file: Path) -> None:
    # By name: opening and closing the file here would drop the locks that SQLite holds on it in this process.
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return
    if mode & 0o077:
        file.chmod(0o600)
        log.warning("%s could be read by others (mode %04o); it is 0600 now", file, mode)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")

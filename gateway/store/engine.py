"""A database to read from and to write to, `Engines`: what is above sees nothing else; and SQLite's settings.

SQLite: one file that several processes of one machine may share. Readers run beside the one writer (WAL). A writing
transaction starts IMMEDIATE, because a deferred one that has read fails at its first write, without waiting, once
another process has written (https://www.sqlite.org/lang_transaction.html). The one thread that writes is also the
queue of this process's writers.

Not here: PostgreSQL's settings (`gateway.store.postgres`), what is stored (`gateway.store.tables`). Below:
`gateway.store.lanes`, `gateway.store.patience`. Above: the `*_rows` modules, `gateway.store.schema`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Executable,
    NullPool,
    RowMapping,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.errors import SettingsError
from gateway.store.lanes import Answer, Lane, ThreadLane
from gateway.store.patience import Patience, Withdrawable, unavailable

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

log = logging.getLogger(__name__)

OPTIONS: dict[str, Any] = {
    # Parameters are tokens' ciphertext, state hashes and names of people: neither logged nor put into errors.
    "hide_parameters": True,
    "echo": False,
    # Otherwise an INSERT on PostgreSQL does not tell how many rows it made.
    "execution_options": {"preserve_rowcount": True},
}

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit survives a power cut: a rotated refresh token exists nowhere else
    "foreign_keys = ON",
    "secure_delete = ON",  # deleted ciphertext is overwritten
    "temp_store = MEMORY",
)

_READERS = 4
_PATIENCE = 5
"""Seconds that a writer waits for another process."""
_LAST_SECONDS = 5.0
"""What statements have to end in, when the database is closed."""
_OLDEST_SQLITE = (3, 35)  # RETURNING
_NETWORK_FILESYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
"""Write-ahead logging needs memory that all processes share: https://www.sqlite.org/wal.html."""


class Engines:
    """One database. `reading` runs single statements, `writing` transactions. `migrate` blocks, for a thread.

    What was begun is finished: a caller who is cancelled leaves at once, the statement goes on without them. A driver
    that is interrupted loses its connection, and nobody learns whether the commit went through. Nobody waits long for a
    database that says nothing (`gateway.store.patience`).
    """

    def __init__(
        self,
        reading: Lane,
        writing: Lane,
        migrate: Callable[[Callable[[Connection], Any], int], Any],
        insert: Callable[[Table], sqlite.Insert | postgresql.Insert],
    ) -> None:
        self.reading = reading
        self.writing = writing
        self.migrate = migrate
        """What a function over a transaction comes to, which waits so many seconds for locks."""
        self.insert = insert
        self._running: set[asyncio.Task[Any]] = set()
        self._to_read, self._to_write = Patience(), Patience()

    async def rows(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[RowMapping]:
        return await self.ask(lambda connection: connection.execute(statement, parameters).mappings().all())

    async def change(self, statement: Executable, parameters: Sequence[Mapping[str, Any]] | None = None) -> int:
        """How many rows the statement changed, in a transaction of its own. With many `parameters` nobody counts."""
        return await self.together(lambda transaction: transaction.execute(statement, parameters).rowcount)

    async def changed(self, statement: Executable) -> RowMapping | None:
        """The row that a statement with RETURNING changed, if there was one."""
        return await self.together(lambda transaction: transaction.execute(statement).mappings().one_or_none())

    async def together(self, work: Callable[[Connection], Answer]) -> Answer:
        """What several statements in one transaction come to. An exception takes everything back."""
        return await self._changed(self.writing, work)

    async def at_once(self, statement: Callable[[Connection], Answer]) -> Answer:
        """As `together`, for what is one statement: PostgreSQL needs no BEGIN and COMMIT round that."""
        far = self.writing.engine.dialect.name == "postgresql"
        return await self._changed(self.reading if far else self.writing, statement)

    async def in_turn(self, turn: str | None, work: Callable[[Connection], Answer]) -> Answer:
        """As `together`. Of those that name the same turn, one runs at a time; on SQLite that holds for all writers."""

        def write(transaction: Connection) -> Answer:
            if turn is not None and transaction.dialect.name == "postgresql":
                transaction.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(turn, 0))))
            return work(transaction)

        return await self.together(write)

    async def ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """What a function finds out from a connection that it reads with."""
        asked = Withdrawable(question)
        return await self._to_read.answer(self._begin(self.reading.run(asked)), lambda: asked.withdraw() or True)

    async def now(self) -> datetime | None:
        """What time the database says it is; None where it has no clock of its own but this machine's."""
        if self.reading.engine.dialect.name == "sqlite":
            return None
        found: datetime = (await self.rows(select(func.clock_timestamp().label("now"))))[0]["now"]
        return found

    async def dispose(self) -> None:
        """Close all connections, after the statements that still run; not those that will not end."""
        if self._running:
            await asyncio.wait(self._running, timeout=_LAST_SECONDS)
        for stuck in tuple(self._running):
            stuck.cancel()
        await self.reading.close()
        await self.writing.close()

    async def _changed(self, lane: Lane, work: Callable[[Connection], Answer]) -> Answer:
        change = Withdrawable(work)
        return await self._to_write.answer(self._begin(lane.run(change)), change.withdraw)

    def _begin(self, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        task = asyncio.get_running_loop().create_task(_translated(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


async def _translated(work: Coroutine[Any, Any, Answer]) -> Answer:
    """What the statement gives; StoreUnavailableError for whatever the database or its driver has to complain of."""
    try:
        return await work
    except (SQLAlchemyError, OSError) as error:  # statements and parameters are not in its text: see OPTIONS
        log.error("the database failed: %s", said_by(error))  # noqa: TRY400 - one line: the stack is the driver's
        raise unavailable() from error


def said_by(error: BaseException) -> str:
    """What the driver said, in a line. PostgreSQL's second one names values."""
    driver = error.driver_exception if isinstance(error, DBAPIError) else error
    return str(driver or error).partition("\n")[0] or type(error).__name__


def sqlite_engines(path: Path) -> Engines:
    """The database in this file, which is made when it is not there: mode 0600, in a folder of mode 0700.

    SettingsError where SQLite is too old, or the file is not on a disk of this machine.
    """
    refuse_unsuitable(sqlite3.sqlite_version_info, filesystem_of(path))
    make_private(path)
    url = URL.create("sqlite", database=str(path))
    # The driver begins no transactions behind our back. A connection is used by one thread at a time.
    unmanaged = {"isolation_level": None, "check_same_thread": False}
    reading = create_engine(
        url, **OPTIONS, pool_size=_READERS, max_overflow=0, connect_args=unmanaged, skip_autocommit_rollback=True
    )
    writing = create_engine(url, **OPTIONS, pool_size=1, max_overflow=0, connect_args=unmanaged)
    _prepare_sqlite(reading)
    _prepare_sqlite(writing)
    event.listen(writing, "begin", _begin_immediate)

    def migrate(work: Callable[[Connection], Answer], patience: int) -> Answer:
        engine = create_engine(url, **OPTIONS, poolclass=NullPool, connect_args=unmanaged)
        _prepare_sqlite(engine, patience)
        event.listen(engine, "begin", _begin_immediate)
        with engine.begin() as connection:
            return work(connection)

    lanes = ThreadLane(reading, _READERS, writes=False), ThreadLane(writing, 1, writes=True)
    return Engines(*lanes, migrate, sqlite.insert)


def refuse_unsuitable(version: tuple[int, ...], filesystem: str | None) -> None:
    """Refuse what would lose data later instead of now. SettingsError."""
    if version < _OLDEST_SQLITE:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, _OLDEST_SQLITE))
        raise SettingsError(
            f"Python's SQLite is {found}; the gateway needs {needed}. Use a newer Python, or a PostgreSQL database."
        )
    if filesystem in _NETWORK_FILESYSTEMS:
        raise SettingsError(
            f"The SQLite database would be on a network file system ({filesystem}), whose locks and shared memory "
            "cannot be relied on: it would break. Set [database] url to a file on a local disk, or to PostgreSQL."
        )


def filesystem_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The kind of file system that this file is, or would be, on. None where the machine does not tell."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    kinds = {}
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        kinds[Path(point.replace("\\040", " "))] = kind  # a later mount covers an earlier one
    return next((kinds[folder] for folder in [path, *path.resolve().parents] if folder in kinds), None)


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


def _prepare_sqlite(engine: Engine, patience: int = _PATIENCE) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in (f"busy_timeout = {patience * 1000}", *_PRAGMAS):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")

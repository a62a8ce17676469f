"""PostgreSQL, over asyncpg: how its URL is read, and how connections to it are made.

The URL is the one that psql takes: `?host=/run/postgresql`, `?sslmode=verify-full&sslrootcert=/etc/ca.pem`, several
hosts with `target_session_attrs`. asyncpg reads it, and not SQLAlchemy, which knows no `sslmode`. One pool both reads
and writes; a read is a statement without a transaction round it.

Beside `gateway.store.engine`, which has SQLite and what both databases share. asyncpg is imported here alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy import URL, Connection, NullPool
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.store.engine import OPTIONS, Engines
from gateway.store.lanes import Answer, LoopLane

_CONNECT_SECONDS = 10
_HERE = "postgresql+asyncpg://"
"""Where to connect to is for `_connecting_to` to know."""


def postgres_engines(url: URL) -> Engines:
    """The database that the URL names. ValueError where its `connect_timeout` is no number."""
    connect = _connecting_to(url)
    writing = create_async_engine(
        _HERE, **OPTIONS, async_creator=connect, pool_size=5, max_overflow=10, pool_pre_ping=True
    )
    reading = writing.execution_options(isolation_level="AUTOCOMMIT")

    def migrate(work: Callable[[Connection], Answer], patience: int) -> Answer:
        return asyncio.run(_once(_connecting_to(url, lock_timeout=f"{patience}s"), work))

    lanes = LoopLane(reading, writes=False), LoopLane(writing, writes=True)
    return Engines(*lanes, migrate, postgresql.insert)


async def _once(connect: Callable[[], Awaitable[Any]], work: Callable[[Connection], Answer]) -> Answer:
    """What the work comes to, on a connection, and an event loop, of its own."""
    engine = create_async_engine(_HERE, **OPTIONS, async_creator=connect, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _connecting_to(url: URL, **parameters: str) -> Callable[[], Awaitable[Any]]:
    """What makes a connection, with these parameters of the server's.

    Whatever keeps one from being made is an error of SQLAlchemy's, as a statement's is.
    """
    seconds = float(str(url.query.get("connect_timeout", _CONNECT_SECONDS)))
    where = str(url.query.get("host", url.host or "localhost"))
    without = url.set(drivername="postgresql").difference_update_query(["connect_timeout"])
    address = without.render_as_string(hide_password=False)

    async def connect() -> Any:
        try:
            return await asyncpg.connect(address, timeout=seconds, server_settings=parameters)
        except TimeoutError:
            said = f"{where} did not answer within {seconds:g} seconds"
        except asyncpg.InvalidCatalogNameError as error:
            said = f"{where}: {error}. Make it, with: createdb {url.database}"
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            said = f"{where}: {error}"
        raise OperationalError("connect", None, ConnectionError(said), hide_parameters=True)

    return connect

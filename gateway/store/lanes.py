"""How what is to be done gets to a database: as one function over a connection, and not as one statement at a time.

SQLite blocks, so it is used in threads. Each crossing to a thread and back waits for the scheduler twice, and on a busy
machine that takes longer than the statement: so a whole transaction crosses once. PostgreSQL is awaited on the event
loop.

Below: nothing of ours. Above: `gateway.store.engine`, which makes one lane to read by and one to write by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import Connection, Engine

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Answer = TypeVar("Answer")
LONGEST = 30.0  # seconds
Transaction = Connection
"""What SQLAlchemy calls a connection, while it is in a transaction: one more thing that is called so is too many."""


class Lane(Protocol):
    """A way to a database. `writes`: what is done is one transaction; an exception takes everything back."""

    @property
    def engine(self) -> Engine: ...

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """What the work comes to. It may do nothing but use the connection: it may be in a thread."""
        ...

    async def close(self) -> None:
        """Close the connections. Nothing runs any more."""
        ...


class ThreadLane:
    """So many threads, and a connection for each: those who find all at work wait in turn."""

    def __init__(self, engine: Engine, threads: int, *, writes: bool) -> None:
        self.engine = engine
        self._connected = engine.begin if writes else engine.connect
        self._threads = ThreadPoolExecutor(threads, "database")

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._done, work)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)
        await asyncio.to_thread(self.engine.dispose)

    def _done(self, work: Callable[[Connection], Answer]) -> Answer:
        with self._connected() as connection:
            return work(connection)


class LoopLane:
    """The engine's pool, on the event loop. What takes `LONGEST` seconds is cut off, and its connection closed: a
    network that drops everything says nothing, and for a quarter of an hour TCP would hope that it comes back."""

    def __init__(self, engine: AsyncEngine, *, writes: bool) -> None:
        self._engine = engine
        self._connected = engine.begin if writes else engine.connect

    @property
    def engine(self) -> Engine:
        return self._engine.sync_engine

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        async with asyncio.timeout(LONGEST), self._connected() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()

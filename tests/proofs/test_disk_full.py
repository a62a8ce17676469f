"""The disk is full: no token is given out, all else goes on, nothing is damaged, and it needs no new start.

The kernel lets the process's files grow no further, as it does when a disk is full; and then it does again.
"""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.audit.verification import verify
from gateway.store.store import Store
from tests.proofs import raw_http
from tests.proofs.served import calls_on_record, served, team, until
from tests.proofs.world import World

RECOVERS = 5.0  # seconds
MOST_CALLS = 2_000


def size_of(database: Path) -> int:
    """Of the larger of its files."""
    return max(file.stat().st_size for file in (database, database.with_name(f"{database.name}-wal")))


async def test_a_full_disk_is_endured(sqlite_world: World) -> None:
    database = Path(sqlite_world.place.database.removeprefix("sqlite:///"))
    [key] = await team(sqlite_world, 1, 1)
    seen = sqlite_world.server.count("userinfo")
    async with served(sqlite_world.place) as gateway, gateway.line() as line:
        spend = raw_http.call(gateway.port, key, "spend")
        add = raw_http.call(gateway.port, key, "add", a=1, b=2)
        assert (await line.ask(spend)).is_done
        pid, done = (await gateway.census(key))["pid"], 1

        largest = size_of(database)
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        for _ in range(MOST_CALLS):
            answer = await line.ask(spend)
            if not answer.is_done:
                break
            done += 1
        assert "cannot put it on record" in answer.said
        assert (await line.ask(add)).is_done
        assert (await line.ask(raw_http.listing(gateway.port, key))).status == 200
        assert await gateway.status_of("/healthz") == 200
        assert await gateway.status_of("/readyz") == 503
        assert "cannot put it on record" in (await line.ask(spend)).said

        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)

        async def is_well() -> bool:
            nonlocal done
            answer = await line.ask(spend)
            done += answer.is_done
            return answer.is_done and await gateway.status_of("/readyz") == 200

        await until(is_well, RECOVERS)
    assert sqlite_world.server.count("userinfo") - seen == done
    assert calls_on_record(sqlite_world.place.database)["spend", "done"] == done
    assert calls_on_record(sqlite_world.place.database)["add", "done"] == 1
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = await Store.open(sqlite_world.place.database)
    assert [found.broken for found in await verify(store.trail)] == [None]
    await store.close()

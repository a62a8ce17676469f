"""One of several processes that do the same thing to one database at the same moment.

    contender.py contend URL CONNECTION STATE NAME    how many of 50 tasks got the connection's lease, how many the
                                                      state's flow, and the values that tasks found under the name
    contender.py open URL                              opens a database that all the others open too
    contender.py append URL COUNT                      appends so many events to the audit; how many
    contender.py write URL CONNECTION                  replaces the connection's tokens until it is killed

It says `ready`, waits for a line, then answers in JSON.
"""

# ruff: noqa: T201 - it answers on its standard output

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gateway.store.store import Store
from gateway.types import AuditEvent, Principal

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def wait_for_the_others() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


async def contend(store: Store, connection_id: str, state_hash: str, name: str) -> dict[str, object]:
    connection = await store.connections.find_by_id(Principal("issuer", "anna"), connection_id)
    assert connection is not None

    def claim() -> Awaitable[object]:
        owner, until = secrets.token_hex(8), NOW + timedelta(seconds=30)
        return store.leases.claim(connection, owner=owner, now=NOW, until=until)

    leases = await asyncio.gather(*(claim() for _ in range(50)))
    right = {"principal": Principal("issuer", "anna"), "browser_hash": "browser"}
    flows = await asyncio.gather(*(store.flows.consume_state(state_hash, "acme", NOW, **right) for _ in range(50)))
    marks = await asyncio.gather(*(store.marks.put_if_absent(name, secrets.token_bytes(8)) for _ in range(5)))
    return {
        "leases": 50 - leases.count(None),
        "flows": 50 - flows.count(None),
        "marks": sorted({value.hex() for value in marks}),
    }


async def write(store: Store, connection_id: str) -> None:
    principal = Principal("issuer", "anna")
    while True:
        connection = await store.connections.find_by_id(principal, connection_id)
        assert connection is not None
        version = connection.version
        sealed = version.to_bytes(4, "big") * 20_000  # many pages, so that a kill lands inside a transaction
        renewed = dataclasses.replace(connection, version=version + 1, sealed=sealed)
        await store.connections.replace(renewed, expected_version=version)


async def append(store: Store, count: str) -> int:
    """Each event in a transaction of its own, two tasks at a time."""
    person, writer = Principal("issuer", "anna"), secrets.token_hex(4)

    async def some() -> None:
        for _ in range(int(count) // 2):
            event = AuditEvent(secrets.token_hex(8), NOW, person, "tool.called", "done", tool=writer)
            await store.audit.append([event])

    await asyncio.gather(some(), some())
    return int(count)


ACTIONS: dict[str, Callable[..., Awaitable[object]]] = {"contend": contend, "write": write, "append": append}


async def main(action: str, url: str, *arguments: str) -> None:
    if action == "open":
        wait_for_the_others()
        await (await Store.open(url)).close()
        print(json.dumps("alembic" in sys.modules))
        return
    store = await Store.open(url)
    wait_for_the_others()
    print(json.dumps(await ACTIONS[action](store, *arguments)))
    await store.close()


if __name__ == "__main__":
    os.umask(0)  # what the store makes must be private whatever the umask
    asyncio.run(main(*sys.argv[1:]))

"""The gateways of this database, and which toolkits from afar have workers at which of them.

A gateway that holds workers has a row with the address at which the others reach it, and one for each toolkit and key.
It says again and again that it is there; one that has not for a while is taken for gone, and somebody clears up after
it. Each is known by an id of its process's own, so one that comes back is another. Times are of the clock that all
gateways share.

Not here: when to say it, and what follows from it (`gateway.remote.replicas`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, and_, delete, select, update

from gateway.key_types import ApiKey
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import API_KEYS, REMOTE_TOOLKITS, REPLICAS, TOOLKIT_HOLDERS
from gateway.toolkit.replica import Held, Holding, Replica

_replicas, _holders, _toolkits, _keys = REPLICAS.c, TOOLKIT_HOLDERS.c, REMOTE_TOOLKITS.c, API_KEYS.c
_OF_A_KEY = ("id", "kind", "name", "tenant", "prefix", "created_at", "providers")
FORGOTTEN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Seen:
    """Each toolkit's revision, by (tenant, toolkit), and which other gateways hold workers of it."""

    revisions: Mapping[tuple[str, str], int]
    holdings: Collection[Holding]


class ReplicaRows:
    """Gateways by id."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def announce(self, replica: Replica, held: Collection[Held], now: datetime) -> None:
        """This gateway is there, and holds workers of these toolkits, and of no others. Old rows of others go."""

        def in_transaction(connection: Transaction) -> None:
            forgotten = select(_replicas.id).where(_replicas.heard_at < now - FORGOTTEN)
            gone = connection.execute(forgotten).scalars().all()
            connection.execute(delete(TOOLKIT_HOLDERS).where(_holders.replica.in_([*gone, replica.id])))
            connection.execute(delete(REPLICAS).where(_replicas.id.in_(gone)))
            row = self._engines.insert(REPLICAS).values(id=replica.id, url=replica.url, heard_at=now)
            connection.execute(row.on_conflict_do_update(index_elements=("id",), set_={"heard_at": now}))
            if held:
                rows = [{**one._asdict(), "replica": replica.id} for one in held]
                connection.execute(self._engines.insert(TOOLKIT_HOLDERS), rows)

        await self._engines.together(in_transaction)

    async def beat(self, replica: Replica, now: datetime) -> bool:
        """This gateway is still there. False: it was taken for gone, and has to announce itself anew."""
        return await self._engines.change(update(REPLICAS).where(_replicas.id == replica.id).values(heard_at=now)) == 1

    async def leave(self, replica: Replica) -> None:
        """This gateway holds nothing any more."""

        def in_transaction(connection: Transaction) -> None:
            connection.execute(delete(TOOLKIT_HOLDERS).where(_holders.replica == replica.id))
            connection.execute(delete(REPLICAS).where(_replicas.id == replica.id))

        await self._engines.together(in_transaction)

    async def look(self, own: Replica, now: datetime, patience: timedelta) -> Seen:
        """What there is to know for the gateway `own`: in one query, however many tools and people there are.

        A holder that was not heard of for longer than `patience` is gone, and a key that was revoked brings nobody.
        """
        heard = _replicas.heard_at.between(now - patience, now + patience)
        held = (
            select(
                _holders.tenant.label("held_tenant"),
                _holders.toolkit.label("held_toolkit"),
                _replicas.id.label("replica"),
                _replicas.url,
                *(_keys[name].label(f"key_{name}") for name in _OF_A_KEY),
            )
            .join(REPLICAS, _replicas.id == _holders.replica)
            .join(API_KEYS, _keys.id == _holders.key_id)
            .where(_replicas.id != own.id, heard, _keys.revoked_at.is_(None))
            .subquery()
        )
        whose = and_(held.c.held_tenant == _toolkits.tenant, held.c.held_toolkit == _toolkits.toolkit)
        rows = await self._engines.rows(
            select(_toolkits.tenant, _toolkits.toolkit, _toolkits.revision, *held.c).outerjoin(held, whose)
        )
        return Seen(
            {(row["tenant"], row["toolkit"]): row["revision"] for row in rows},
            [_holding(row) for row in rows if row["replica"] is not None],
        )


def _holding(row: RowMapping) -> Holding:
    key: dict[str, Any] = {name: row[f"key_{name}"] for name in _OF_A_KEY}
    return Holding(row["tenant"], row["toolkit"], Replica(row["replica"], row["url"]), ApiKey(**key))

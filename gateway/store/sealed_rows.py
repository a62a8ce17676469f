"""Every sealed value in the database, whichever table it is in: for counting, checking and sealing anew.

A value is exchanged by compare-and-set on its own bytes, and nothing else in its row is touched. So who stores other
tokens in between wins, and who refreshes a connection in the meantime does not notice: its version, its lease and its
times stay what they were. Not here: keys, and what is in a value (`gateway.vault`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, bindparam, func, literal, select, update

from gateway.store.authorization_tables import SIGNING_KEYS
from gateway.store.engine import Engines
from gateway.store.people_tables import LOCAL_ACCOUNTS
from gateway.store.tables import CONNECTIONS, FLOWS, MARKS, REVOCATIONS, WEBHOOKS
from gateway.types import Principal


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A sealed value, and what it is bound to. `principal` is None for what belongs to the gateway itself."""

    table: str
    id: str
    principal: Principal | None
    provider: str
    version: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Place:
    """A column of sealed values. `prefix` picks the rows whose name begins so; the others hold nothing sealed."""

    table: Table
    sealed: Column[Any]
    id: Column[Any]
    version: Any = 1
    personal: bool = True
    prefix: str = ""


_PLACES = {
    place.table.name: place
    for place in (
        _Place(CONNECTIONS, CONNECTIONS.c.sealed, CONNECTIONS.c.id, CONNECTIONS.c.version),
        _Place(FLOWS, FLOWS.c.sealed_verifier, FLOWS.c.id),
        _Place(REVOCATIONS, REVOCATIONS.c.sealed, REVOCATIONS.c.id),
        _Place(WEBHOOKS, WEBHOOKS.c.sealed, WEBHOOKS.c.id),
        _Place(SIGNING_KEYS, SIGNING_KEYS.c.sealed, SIGNING_KEYS.c.id, personal=False),
        _Place(LOCAL_ACCOUNTS, LOCAL_ACCOUNTS.c.sealed, LOCAL_ACCOUNTS.c.id, personal=False),
        _Place(MARKS, MARKS.c.value, MARKS.c.name, personal=False, prefix="vault-"),
    )
}
"""ONE table of all columns that hold sealed values. One that is not in it is neither rotated nor verified."""

TABLES = tuple(_PLACES)


class SealedRows:
    """Sealed values, a page at a time."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def list_page(self, table: str, after: str, limit: int) -> list[SealedRow]:
        """The values of this table's rows, by id, from the one after `after`; "" begins."""
        place = _PLACES[table]
        columns = place.table.c
        person: list[ColumnElement[Any]] = []
        if place.personal:
            provider = columns["provider"] if "provider" in columns else literal("").label("provider")
            person = [columns["tenant"], columns["issuer"], columns["subject"], provider]
        version = literal(place.version) if isinstance(place.version, int) else place.version
        rows = await self._engines.rows(
            select(place.id.label("id"), version.label("version"), place.sealed.label("sealed"), *person)
            .where(place.id > after, place.sealed.is_not(None), place.id.startswith(place.prefix, autoescape=True))
            .order_by(place.id)
            .limit(limit)
        )
        return [_row(table, row, personal=place.personal) for row in rows]

    async def count_heads(self, length: int) -> dict[bytes, int]:
        """How many values begin with which bytes: a value's first bytes say what it was sealed with."""
        counts: dict[bytes, int] = {}
        for place in _PLACES.values():
            head = func.substr(place.sealed, 1, length)
            rows = await self._engines.rows(
                select(head.label("head"), func.count().label("rows"))
                .where(place.sealed.is_not(None), place.id.startswith(place.prefix, autoescape=True))
                .group_by(head)
            )
            for row in rows:
                counts[bytes(row["head"])] = counts.get(bytes(row["head"]), 0) + row["rows"]
        return counts

    async def exchange(self, changes: Sequence[tuple[SealedRow, bytes]]) -> None:
        """Put these values, of one table, in the place of those that were read, in one transaction.

        A row whose value is another by now, or that is gone, stays as it is.
        """
        if not changes:
            return
        place = _PLACES[changes[0][0].table]
        statement = (
            update(place.table)
            .where(place.id == bindparam("row"), place.sealed == bindparam("former"))
            .values({place.sealed.name: bindparam("anew")})
        )
        await self._engines.change(
            statement, [{"row": row.id, "former": row.sealed, "anew": anew} for row, anew in changes]
        )


def _row(table: str, row: Any, *, personal: bool) -> SealedRow:
    principal = Principal(row["issuer"], row["subject"], row["tenant"]) if personal else None
    provider = row["provider"] if personal else ""
    return SealedRow(table, row["id"], principal, provider, row["version"], bytes(row["sealed"]))

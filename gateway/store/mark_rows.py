"""Small named values that belong to the gateway and to nobody in it, such as the vault's sentinel."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, select

from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.tables import MARKS
from gateway.types import AuditEvent


class MarkRows:
    """Values by name."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def find(self, name: str) -> bytes | None:
        rows = await self._engines.rows(select(MARKS.c.value).where(MARKS.c.name == name))
        return bytes(rows[0]["value"]) if rows else None

    async def put_if_absent(self, name: str, value: bytes) -> bytes:
        """What is stored under the name afterwards: `value`, or what was there first."""
        await self._engines.change(self._engines.insert(MARKS).values(name=name, value=value).on_conflict_do_nothing())
        stored = await self.find(name)
        return value if stored is None else stored

    async def put(self, name: str, value: bytes) -> None:
        """Store the value, in the place of a former one."""
        statement = self._engines.insert(MARKS).values(name=name, value=value)
        await self._engines.change(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    async def replace(self, name: str, value: bytes, event: AuditEvent) -> bool:
        """Store the value, with the event in the same transaction. False where it is the value already."""
        statement = self._engines.insert(MARKS).values(name=name, value=value)
        other = MARKS.c.value != value
        upsert = statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}, where=other)
        return await self._audit.change(upsert, event)

    async def list_called(self, beginning: str) -> Mapping[str, bytes]:
        """The values whose names begin like this."""
        rows = await self._engines.rows(select(MARKS).where(MARKS.c.name.startswith(beginning, autoescape=True)))
        return {row["name"]: bytes(row["value"]) for row in rows}

    async def drop(self, name: str) -> None:
        await self._engines.change(delete(MARKS).where(MARKS.c.name == name))

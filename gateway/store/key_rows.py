"""API keys at rest: the digest of each, what it may do, and whether it still opens anything.

A key is looked up by its digest and by nothing shorter; revoked ones stay, so that whoever shows one learns why it does
not work. Not here: making keys, and judging them (`gateway.access.keys`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, Select, or_, select, update

from gateway.key_types import ApiKey
from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import API_KEYS
from gateway.types import AuditEvent

_columns = API_KEYS.c
_COLUMNS = [column for column in _columns if column.name != "digest"]
_CHANGEABLE = ("providers", "may", "toolkits", "return_urls")


class ApiKeyRows:
    """API keys by digest, by id and by prefix. The event of a change is recorded in the transaction that makes it."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def insert(self, key: ApiKey, digest: bytes, event: AuditEvent | None = None) -> None:
        """Store a new key."""
        await self._audit.change(self._engines.insert(API_KEYS).values(asdict(key) | {"digest": digest}), event)

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key with this digest, revoked or not."""
        return next(iter(await self._list(select(*_COLUMNS).where(_columns.digest == digest))), None)

    async def list_called(self, name: str) -> list[ApiKey]:
        """The keys with this id or prefix: one, as a rule."""
        return await self._list(select(*_COLUMNS).where(or_(_columns.id == name, _columns.prefix == name)))

    async def list_all(self) -> list[ApiKey]:
        """All keys, the oldest first."""
        return await self._list(select(*_COLUMNS).order_by(_columns.created_at, _columns.id))

    async def revoke(self, key_id: str, now: datetime, event: AuditEvent | None = None) -> bool:
        """Let the key open nothing any more. False if it is unknown, or was revoked before."""
        statement = update(API_KEYS).where(_columns.id == key_id, _columns.revoked_at.is_(None))
        return await self._audit.change(statement.values(revoked_at=now), event)

    async def change(
        self, key_id: str, edit: Callable[[ApiKey], ApiKey], event: AuditEvent | None = None
    ) -> ApiKey | None:
        """Store what `edit` makes of what the key may do. None if it is unknown or revoked.

        Of several who change one key at the same moment, each finds what the former has written.
        """

        def in_transaction(connection: Transaction) -> ApiKey | None:
            live = select(*_COLUMNS).where(_columns.id == key_id, _columns.revoked_at.is_(None))
            row = connection.execute(live).mappings().one_or_none()
            if row is None:
                return None
            edited = edit(_key(row))
            values = {name: getattr(edited, name) for name in _CHANGEABLE}
            connection.execute(update(API_KEYS).where(_columns.id == key_id).values(values))
            return edited

        fact = None if event is None else lambda _: event
        return await self._audit.together(f"api key {key_id}", in_transaction, fact)

    async def note_use(self, key_id: str, now: datetime, coarse: timedelta) -> bool:
        """Note that the key was used, unless that was noted less than `coarse` ago."""
        stale = or_(_columns.last_used_at.is_(None), _columns.last_used_at <= now - coarse)
        statement = update(API_KEYS).where(_columns.id == key_id, stale).values(last_used_at=now)
        return await self._engines.change(statement) == 1

    async def _list(self, statement: Select[Any]) -> list[ApiKey]:
        return [_key(row) for row in await self._engines.rows(statement)]


def _key(row: RowMapping | Mapping[str, Any]) -> ApiKey:
    return ApiKey(**row)

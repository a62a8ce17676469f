"""Data keys at rest: each tenant's keys, wrapped by a key of the ring.

They are written by who needs a tenant's first one, and by a rotation. Of several who write at the same moment one
wins, and the others read again. Not here: wrapping and unwrapping (`gateway.vault`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update

from gateway.store.engine import Engines
from gateway.store.tables import DATA_KEYS
from gateway.types import DataKey

_columns = DATA_KEYS.c


class DataKeyRows:
    """Data keys by id and by tenant."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def find(self, key_id: str) -> DataKey | None:
        return next(iter(await self._list(select(DATA_KEYS).where(_columns.id == key_id))), None)

    async def find_newest(self, tenant: str) -> DataKey | None:
        """The tenant's key that seals."""
        newest = select(DATA_KEYS).where(_columns.tenant == tenant).order_by(_columns.generation.desc()).limit(1)
        return next(iter(await self._list(newest)), None)

    async def list_all(self) -> list[DataKey]:
        """All keys, by tenant, the oldest first."""
        return await self._list(select(DATA_KEYS).order_by(_columns.tenant, _columns.generation))

    async def list_wrappers(self) -> set[str]:
        """The names of the ring's keys that data keys are wrapped by."""
        return {row["wrapped_by"] for row in await self._engines.rows(select(_columns.wrapped_by).distinct())}

    async def insert(self, keys: Sequence[DataKey]) -> None:
        """Add these keys, in one transaction. One whose tenant has a key of that generation already is left out."""
        if keys:
            statement = self._engines.insert(DATA_KEYS).on_conflict_do_nothing()
            await self._engines.change(statement, [asdict(key) for key in keys])

    async def rewrap(self, key: DataKey, wrapped: bytes, wrapped_by: str) -> bool:
        """Keep the key wrapped otherwise. False if somebody else has done so, or it is gone."""
        statement = (
            update(DATA_KEYS)
            .where(_columns.id == key.id, _columns.wrapped == key.wrapped)
            .values(wrapped=wrapped, wrapped_by=wrapped_by)
        )
        return await self._engines.change(statement) == 1

    async def retire(self, key_ids: Collection[str], now: datetime) -> int:
        """Note that no row needs these keys any more; how many that is news of."""
        statement = update(DATA_KEYS).where(_columns.id.in_(key_ids), _columns.retired_at.is_(None))
        return await self._engines.change(statement.values(retired_at=now))

    async def drop(self, key_ids: Collection[str]) -> int:
        """Destroy retired keys; how many they were. What they sealed can never be opened again."""
        statement = delete(DATA_KEYS).where(_columns.id.in_(key_ids), _columns.retired_at.is_not(None))
        return await self._engines.change(statement)

    async def _list(self, statement: Select[Any]) -> list[DataKey]:
        return [DataKey(**row) for row in await self._engines.rows(statement)]

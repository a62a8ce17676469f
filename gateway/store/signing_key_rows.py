"""The keys that sign access tokens, sealed. Of several who make the next one at the same moment, one does."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select

from gateway.authorization_types import SigningKey
from gateway.store.authorization_tables import SIGNING_KEYS, columns_of, record_of
from gateway.store.engine import Engines


class SigningKeyRows:
    """Signing keys, all of them: they are two or three."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def list_all(self) -> list[SigningKey]:
        """All keys, the oldest first."""
        rows = await self._engines.rows(select(SIGNING_KEYS).order_by(SIGNING_KEYS.c.generation))
        return [record_of(SigningKey, row) for row in rows]

    async def insert(self, key: SigningKey) -> None:
        """Add the key, unless there is one of its generation."""
        await self._engines.change(self._engines.insert(SIGNING_KEYS).values(columns_of(key)).on_conflict_do_nothing())

    async def drop(self, key_ids: Collection[str]) -> int:
        """Destroy these keys; how many they were."""
        return await self._engines.change(delete(SIGNING_KEYS).where(SIGNING_KEYS.c.id.in_(key_ids)))

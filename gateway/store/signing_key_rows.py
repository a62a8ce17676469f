"""The keys that sign access tokens, sealed. Of several who make the next one at the same moment, one does.

That one was made, or destroyed, is recorded in the transaction that does it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import delete, select

from gateway.authorization_types import SigningKey
from gateway.store.audit_rows import AuditRows
from gateway.store.authorization_tables import SIGNING_KEYS, columns_of, record_of
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.types import AuditEvent


class SigningKeyRows:
    """Signing keys, all of them: they are two or three."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def list_all(self) -> list[SigningKey]:
        """All keys, the oldest first."""
        rows = await self._engines.rows(select(SIGNING_KEYS).order_by(SIGNING_KEYS.c.generation))
        return [record_of(SigningKey, row) for row in rows]

    async def insert(self, key: SigningKey, event: AuditEvent) -> bool:
        """Add the key. False if there is one of its generation already."""
        statement = self._engines.insert(SIGNING_KEYS).values(columns_of(key)).on_conflict_do_nothing()
        return await self._audit.change(statement, event)

    async def drop(self, key_ids: Collection[str], fact: Callable[[str], AuditEvent]) -> int:
        """Destroy these keys; how many they were. `fact` makes the event of each by its id."""
        statement = delete(SIGNING_KEYS).where(SIGNING_KEYS.c.id.in_(key_ids)).returning(SIGNING_KEYS.c.id)

        def work(transaction: Transaction) -> tuple[int, Sequence[AuditEvent]]:
            dropped = transaction.execute(statement).scalars().all()
            return len(dropped), [fact(key_id) for key_id in dropped]

        return await self._audit.recorded(None, work)

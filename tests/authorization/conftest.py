"""An authorization server for a test: see house.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.store.store import Store
from tests.authorization.house import Documents, House, make_house


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
async def house(store: Store, documents: Documents) -> AsyncIterator[House]:
    """On SQLite, and on PostgreSQL."""
    made = await make_house(store, documents)
    yield made
    await made.audit.close()


@pytest.fixture
async def light(sqlite_url: str, documents: Documents) -> AsyncIterator[House]:
    """On SQLite alone, for what has nothing to do with the database."""
    store = await Store.open(sqlite_url)
    made = await make_house(store, documents)
    yield made
    await made.audit.close()
    await store.close()

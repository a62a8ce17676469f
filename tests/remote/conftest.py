"""What tests of toolkits from afar share."""

from __future__ import annotations

import pytest

from gateway.store.store import Store
from tests.remote.remote_world import World


@pytest.fixture
async def one_store(sqlite_url):
    store = await Store.open(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
async def world(one_store):
    world = World(one_store)
    yield world
    await world.close()


@pytest.fixture
async def reviewing(one_store):
    world = World(one_store, review=True)
    yield world
    await world.close()

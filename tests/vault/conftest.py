"""A vault with a fresh key over a database, and a place to seal things for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from gateway.clock import MovableClock
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Principal
from gateway.vault.data_keys import DataKeys
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring, WrappingKey
from gateway.vault.vault import Binding, Vault

MakeVault = Callable[..., Vault]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def vault_of(store: Store, clock: MovableClock) -> MakeVault:
    """Makes what one process has: a vault over the database, with a ring of these keys and nothing in memory."""

    def make(*keys: Secret | WrappingKey) -> Vault:
        keyring = Keyring(keys)
        return Vault(keyring, DataKeys(store.data_keys, keyring, clock))

    return make


@pytest.fixture(params=["data key", "ring key"])
async def vault(request: pytest.FixtureRequest, sqlite_url: str, clock: MovableClock) -> AsyncIterator[Vault]:
    """Runs a test twice: with data keys, and with the ring's key itself, as in the former format."""
    keyring = Keyring([new_key()])
    if request.param == "ring key":
        yield Vault(keyring)
        return
    store = await Store.open(sqlite_url)
    yield Vault(keyring, DataKeys(store.data_keys, keyring, clock))
    await store.close()


@pytest.fixture
def place() -> Binding:
    return Binding("connections", "c1", Principal("issuer", "anna", "tenant"), "acme", "sealed", 1)

"""A vault with a fresh key, and a place to seal things for."""

from __future__ import annotations

import pytest

from gateway.types import Principal
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Binding, Vault


@pytest.fixture
def vault() -> Vault:
    return Vault(Keyring([new_key()]))


@pytest.fixture
def place() -> Binding:
    return Binding("connections", "c1", Principal("issuer", "anna", "tenant"), "acme", "sealed", 1)

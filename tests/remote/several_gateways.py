"""Two gateways of one database, with real HTTP between them, and a worker made by hand."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock
from gateway.key_types import ApiKey
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.surfaces.atp.toolkit_socket import Times
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.surfaces.atp.toolkit_house import House, Worker, house


def new_vault() -> Vault:
    return Vault(Keyring([Secret(base64.b64encode(secrets.token_bytes(32)).decode())]))


@dataclass
class Pair:
    """Both have `vault`. Gateway `a` takes the calls, workers are at `b`."""

    a: House
    b: House
    key: ApiKey
    text: str
    vault: Vault

    @asynccontextmanager
    async def worker(self, at: House | None = None, *, listed: bool = True, **more: Any) -> AsyncIterator[Worker]:
        """Somebody who runs `find`, known to both gateways."""
        async with (at or self.b).worker(self.text, at_once=more.pop("at_once", 4), **more) as worker:
            await worker.hear("atp_client_connected")
            if listed:
                await self.a.until_listed("find")
            yield worker


@asynccontextmanager
async def one_of_several(
    url: str, vault: Vault, clock: Clock | None = None, times: Times | None = None
) -> AsyncIterator[House]:
    store = await Store.open(url)
    try:
        async with house(store, derive=vault.derive, clock=clock, times=times) as made:
            yield made
    finally:
        await store.close()


@asynccontextmanager
async def pair(url: str, clock: Clock | None = None, times: Times | None = None, **tool: Any) -> AsyncIterator[Pair]:
    """With a toolkit `crm` that has registered `find`, and may have HubSpot's tokens."""
    vault = new_vault()
    async with one_of_several(url, vault, clock) as a, one_of_several(url, vault, clock, times) as b:
        key, text = await b.key(providers=frozenset({"hubspot"}))
        registered = await b.register(text, **tool)
        assert registered.status_code == 200, registered.text
        yield Pair(a, b, key, text, vault)

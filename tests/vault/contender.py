"""One of several gateway processes that start at the same moment on one new database, with the same vault key.

    contender.py URL KEY

It says `ready`, waits for a line, seals a value for a tenant that has no data key yet, and answers with that, in hex.
"""

# ruff: noqa: T201 - it answers on its standard output

from __future__ import annotations

import asyncio
import sys

from gateway.clock import SystemClock
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Principal
from gateway.vault.data_keys import DataKeys
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Binding, Vault

PLACE = Binding("connections", "c1", Principal("issuer", "anna", "acme"), "hubspot", "tokens", 1)


async def main(url: str, key: str) -> None:
    store, keyring = await Store.open(url), Keyring([Secret(key)])
    vault = Vault(keyring, DataKeys(store.data_keys, keyring, SystemClock()))
    print("ready", flush=True)
    sys.stdin.readline()
    await vault.check(store.marks)
    sealed = await vault.seal(b"value", PLACE)
    print(sealed.hex())
    await store.close()


asyncio.run(main(*sys.argv[1:]))

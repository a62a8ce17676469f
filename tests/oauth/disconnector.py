"""A gateway process that disconnects an account, and is killed while the provider is being asked.

It reads one line of JSON from its standard input: database, key, now, url of the provider.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from typing import Any

from gateway.clock import MovableClock
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.oauth.conftest import ALICE, SETTINGS, House


async def main(work: dict[str, Any]) -> None:
    store = await Store.open(work["database"])
    clock = MovableClock(datetime.fromisoformat(work["now"]))
    house = House(store, Vault(Keyring([Secret(work["key"])])), clock, {"acme": work["table"]}, SETTINGS)
    connection = await house.hold()
    await house.connections.disconnect(ALICE, connection.id)


asyncio.run(main(json.loads(sys.stdin.readline())))

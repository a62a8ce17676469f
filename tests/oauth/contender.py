"""One of several gateway processes that share a database and need the same token at the same moment.

It reads one line of JSON from its standard input (database, key, issuer, now, tasks), builds what stands between the
executor and the provider, says `ready`, waits for another line, and answers with the tokens that its tasks were given.
"""

# ruff: noqa: T201 - it answers on its standard output

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.clock import MovableClock
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Credential
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.oauth.conftest import SETTINGS, House


async def main(work: dict[str, Any]) -> list[str]:
    store = await Store.open(work["database"])
    clock = MovableClock(datetime.fromisoformat(work["now"]))
    house = House(store, Vault(Keyring([Secret(work["key"])])), clock, {}, replace(SETTINGS, issuer=work["issuer"]))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    results = await asyncio.gather(*(house.credential() for _ in range(work["tasks"])))
    await house.close()
    await store.close()
    return [result.token if isinstance(result, Credential) else repr(result) for result in results]


print(json.dumps(asyncio.run(main(json.loads(sys.stdin.readline())))))

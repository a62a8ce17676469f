"""A person's current connection, read once for all calls that want it in the same moment.

A thousand calls on a token that has ended would else be a thousand reads of one row, each dearer than the rest of the
call. A call joins a read only if nothing has changed in this process since the read began: whoever has just connected
an account is not told that there is none.

Below: store, live_tokens (which counts the changes). Above: broker.
"""

from __future__ import annotations

import asyncio

from gateway.oauth.detached import Detached
from gateway.oauth.live_tokens import LiveTokens
from gateway.store.connection_rows import ConnectionRows
from gateway.types import Connection, CredentialKind, Principal


class SharedReads:
    """`ConnectionRows.find`, for many at once."""

    def __init__(self, rows: ConnectionRows, live: LiveTokens) -> None:
        self._rows = rows
        self._live = live
        self._detached = Detached()
        self._running: dict[tuple[object, ...], asyncio.Task[Connection | None]] = {}

    async def find(self, principal: Principal, provider: str, kind: CredentialKind) -> Connection | None:
        """As of the rows. A caller that is cancelled leaves the others their answer."""
        key = principal.tenant, principal.issuer, principal.subject, provider, kind, self._live.changes
        task = self._running.get(key)
        if task is None:
            task = self._detached.start(self._rows.find(principal, provider, kind))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

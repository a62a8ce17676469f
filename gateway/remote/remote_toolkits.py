"""All toolkits from afar that have shown themselves since the gateway started.

What is kept of their tools is read when a toolkit first shows itself, and again when it has changed: by a registration
here, by an administrator's command, or at another gateway with the same database, which is noticed within seconds.

Below: `remote_toolkit`, the store. Above: `registration`, the app.
"""

from __future__ import annotations

import asyncio
import logging

from gateway.errors import StoreUnavailableError
from gateway.key_types import ApiKey
from gateway.remote.remote_toolkit import PATIENCE, RemoteToolkit
from gateway.store.remote_rows import RemoteRows
from gateway.toolkit.registry import Registry

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # how often it is asked what has changed


class RemoteToolkits:
    """By the key that a worker shows."""

    def __init__(
        self, rows: RemoteRows, registry: Registry, *, look_seconds: float = LOOK_SECONDS, patience: float = PATIENCE
    ) -> None:
        self._rows = rows
        self._registry = registry
        self._look_seconds = look_seconds
        self._patience = patience
        self._toolkits: dict[tuple[str, str], RemoteToolkit] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._reading = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    async def of(self, key: ApiKey) -> RemoteToolkit:
        """The toolkit whose key this is. StoreUnavailableError if it cannot be read what is kept of it."""
        name = (key.tenant, key.name)
        if name not in self._toolkits:
            async with self._reading:
                if name not in self._toolkits:
                    toolkit = RemoteToolkit(key.tenant, key.name, self._registry, patience=self._patience)
                    toolkit.know(await self._rows.list_tools(*name))
                    self._toolkits[name] = toolkit
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
        return self._toolkits[name]

    async def reread(self, toolkit: RemoteToolkit) -> None:
        """Read again what is kept of its tools."""
        async with self._reading:
            toolkit.know(await self._rows.list_tools(toolkit.tenant, toolkit.name))

    async def close(self) -> None:
        """Look for changes no longer."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for toolkit in self._toolkits.values():
            toolkit.close()

    async def _look(self) -> None:
        while True:
            try:
                await self._reread_changed()
            except StoreUnavailableError:
                log.debug("it could not be looked up what has changed in toolkits from afar")
            except Exception:  # one bad toolkit is not to stop the looking
                log.exception("what has changed in toolkits from afar could not be taken over")
            await asyncio.sleep(self._look_seconds)

    async def _reread_changed(self) -> None:
        revisions = await self._rows.revisions()
        for name, revision in revisions.items():
            toolkit = self._toolkits.get(name)
            if toolkit is not None and self._revisions.get(name) != revision:
                await self.reread(toolkit)
                self._revisions[name] = revision

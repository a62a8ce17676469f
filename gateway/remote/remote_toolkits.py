"""All toolkits from afar that have shown themselves since the gateway started.

What is kept of their tools is read when a toolkit first shows itself, and again when it has changed: by a registration
here, by an administrator's command, or at another gateway with the same database, which is noticed within seconds.
Where other gateways are to reach this one (`replicas`), toolkits whose workers are at those are here as well.

Below: `remote_toolkit`, `replicas`, the store. Above: `registration`, the app.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

from gateway.errors import StoreUnavailableError
from gateway.key_types import ApiKey
from gateway.remote.remote_toolkit import PATIENCE, RemoteToolkit
from gateway.remote.replicas import Replicas
from gateway.store.remote_rows import RemoteRows
from gateway.toolkit.registry import Registry
from gateway.toolkit.replica import Held, Holding

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # how often it is asked what has changed


class RemoteToolkits:
    """By the key that a worker shows. `replicas`: this gateway among others; None: it is alone."""

    def __init__(
        self,
        rows: RemoteRows,
        registry: Registry,
        *,
        replicas: Replicas | None = None,
        look_seconds: float = LOOK_SECONDS,
        patience: float = PATIENCE,
    ) -> None:
        self._rows = rows
        self._replicas = replicas
        self._news = asyncio.Event()
        self._registry = registry
        self._look_seconds = look_seconds
        self._patience = patience
        self._toolkits: dict[tuple[str, str], RemoteToolkit] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._reading = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look for what others hold, and have registered."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def of(self, key: ApiKey) -> RemoteToolkit:
        """The toolkit whose key this is. StoreUnavailableError if it cannot be read what is kept of it."""
        toolkit = await self._called(key.tenant, key.name)
        self.open()
        return toolkit

    def find(self, tenant: str, name: str) -> RemoteToolkit | None:
        """The toolkit of this name, if it has shown itself."""
        return self._toolkits.get((tenant, name))

    async def reread(self, toolkit: RemoteToolkit) -> None:
        """Read again what is kept of its tools."""
        async with self._reading:
            toolkit.know(await self._rows.list_tools(toolkit.tenant, toolkit.name))

    async def close(self) -> None:
        """Look for changes no longer."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._replicas is not None:
            with suppress(StoreUnavailableError):  # then it is taken for gone
                await self._replicas.close()
        for toolkit in self._toolkits.values():
            toolkit.close()

    async def _called(self, tenant: str, name: str) -> RemoteToolkit:
        if (tenant, name) not in self._toolkits:
            async with self._reading:
                if (tenant, name) not in self._toolkits:
                    toolkit = self._new(tenant, name)
                    toolkit.know(await self._rows.list_tools(tenant, name))
                    self._toolkits[tenant, name] = toolkit
        return self._toolkits[tenant, name]

    def _new(self, tenant: str, name: str) -> RemoteToolkit:
        if self._replicas is None:
            return RemoteToolkit(tenant, name, self._registry, patience=self._patience)
        others, moved = self._replicas.elsewhere, self._news.set
        return RemoteToolkit(tenant, name, self._registry, patience=self._patience, elsewhere=others, moved=moved)

    async def _look(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._compare()
            except StoreUnavailableError:
                log.debug("it could not be looked up what has changed in toolkits from afar")
            except Exception:  # one bad toolkit is not to stop the looking
                log.exception("what has changed in toolkits from afar could not be taken over")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._news.wait()

    async def _compare(self) -> None:
        """Say what is held here; take over what the others hold, and what has changed."""
        if self._replicas is None:
            await self._reread_changed(await self._rows.revisions())
            return
        await self._replicas.say(frozenset[Held]().union(*(toolkit.held() for toolkit in self._toolkits.values())))
        seen = await self._replicas.look()
        elsewhere = defaultdict[tuple[str, str], list[Holding]](list)
        for holding in seen.holdings:
            elsewhere[holding.tenant, holding.toolkit].append(holding)
        for tenant, name in elsewhere.keys() - self._toolkits.keys():
            await self._called(tenant, name)
        await self._reread_changed(seen.revisions)
        for where, toolkit in self._toolkits.items():
            toolkit.know_elsewhere(elsewhere.get(where, ()))

    async def _reread_changed(self, revisions: Mapping[tuple[str, str], int]) -> None:
        for name, revision in revisions.items():
            toolkit = self._toolkits.get(name)
            if toolkit is not None and self._revisions.get(name) != revision:
                await self.reread(toolkit)
                self._revisions[name] = revision

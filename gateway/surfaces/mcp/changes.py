"""Tells hosts that the list of tools has changed.

A change of the tools concerns everybody; a change of a person's accounts, which some tools' schemas list, that person.
Two audiences: `subscriptions/listen` streams (2026-07-28) and open handshake connections. The registry may change on
any thread and many times at once (a toolkit is loaded); hosts hear of it once, a moment later.

Source: MCP 2026-07-28 Subscriptions; MCP 2025-11-25 Tools, "List Changed Notification".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError

from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.listing import AccountChoices
from gateway.surfaces.mcp.request import Request, Who, connection_of
from gateway.toolkit.registry import Registry
from gateway.types import Principal

_MOMENT = 0.05  # seconds in which further changes join the first


class ListChanges:
    """Announces changes of the registry while `announcing()` is entered."""

    def __init__(self, registry: Registry, who: Who, limits: Limits, accounts: AccountChoices) -> None:
        self._registry = registry
        self._who = who
        self._limits = limits
        self._accounts = accounts
        self._concerned: set[Principal] | None = set()
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._listeners: Counter[Principal] = Counter()
        self._connections: dict[Connection, Principal] = {}
        self._announcement: asyncio.Task[None] | None = None

    async def listen(
        self, request: Request, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve one `subscriptions/listen` stream, of changes of the tool list and nothing else."""
        principal = self._who(request)
        if self._listeners[principal] >= self._limits.listeners_each:
            raise MCPError(
                types.INTERNAL_ERROR,
                f"You have {self._limits.listeners_each} subscriptions open already. Close one and try again.",
            )
        wanted = types.SubscriptionFilter(tools_list_changed=params.notifications.tools_list_changed)
        self._listeners[principal] += 1
        try:
            return await self._listen(request, params.model_copy(update={"notifications": wanted}))
        finally:
            self._listeners[principal] -= 1
            self._listeners += Counter()  # drops people with none left

    async def join(self, request: Request, params: types.NotificationParams) -> None:
        """Remember a handshake connection that is ready, for as long as it lasts."""
        connection = connection_of(request)
        if connection not in self._connections:
            self._connections[connection] = self._who(request)
            connection.exit_stack.callback(self._connections.pop, connection, None)

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[None]:
        """Listen to the registry; at the end, close the subscriptions gracefully."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            loop.call_soon_threadsafe(self._announce_soon, None)

        unsubscribe = self._registry.subscribe(changed)
        self._accounts.subscribe(self._announce_soon)
        try:
            yield
        finally:
            unsubscribe()
            self._listen.close()
            if self._announcement is not None:
                self._announcement.cancel()

    def _announce_soon(self, person: Principal | None) -> None:
        """To everybody, or to one person whose accounts have changed."""
        if person is None:
            self._concerned = None
        elif self._concerned is not None:
            self._concerned.add(person)
        if self._announcement is None or self._announcement.done():
            self._announcement = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        await asyncio.sleep(_MOMENT)
        self._announcement, concerned, self._concerned = None, self._concerned, set()
        if concerned is None or concerned & self._listeners.keys():
            await self._bus.publish(ToolsListChanged())  # a list read once too often does no harm
        async with anyio.create_task_group() as tasks:
            for connection in [
                each for each, who in self._connections.items() if concerned is None or who in concerned
            ]:
                tasks.start_soon(self._tell, connection)

    async def _tell(self, connection: Connection) -> None:
        with anyio.move_on_after(self._limits.notice_seconds):
            await connection.send_tool_list_changed()

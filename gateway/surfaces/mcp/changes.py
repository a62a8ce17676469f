"""Tells hosts that the list of tools has changed: those whose list it is.

A change of the tools concerns whoever sees one of those that came, went or are other ones now: what another tenant's
toolkit does, or what the rules keep from somebody, is not theirs to hear of. A change of a person's accounts, which
some tools' schemas list, concerns that person. Two audiences: `subscriptions/listen` streams (2026-07-28) and open
handshake connections. The registry may change on any thread and many times at once (a toolkit is loaded); hosts hear of
it once, a moment later.

Source: MCP 2026-07-28 Subscriptions; MCP 2025-11-25 Tools, "List Changed Notification".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError

from gateway.access.policy import Policy
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.listing import AccountChoices
from gateway.surfaces.mcp.request import Request, Who, connection_of
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool
from gateway.types import Principal

_MOMENT = 0.05  # seconds in which further changes join the first


class ListChanges:
    """Announces changes of the registry while `announcing()` is entered."""

    def __init__(self, registry: Registry, policy: Policy, who: Who, limits: Limits, accounts: AccountChoices) -> None:
        self._registry = registry
        self._policy = policy
        self._who = who
        self._limits = limits
        self._accounts = accounts
        self._told: Sequence[Tool] = registry.tools()
        self._concerned: set[Principal] = set()
        self._streams: dict[Principal, _Streams] = {}
        self._connections: dict[Connection, Principal] = {}
        self._announcement: asyncio.Task[None] | None = None

    async def listen(
        self, request: Request, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve one `subscriptions/listen` stream, of changes of the tool list and nothing else."""
        principal = self._who(request)
        streams = self._streams.setdefault(principal, _Streams())
        if streams.open >= self._limits.listeners_each:
            raise MCPError(
                types.INTERNAL_ERROR,
                f"You have {self._limits.listeners_each} subscriptions open already. Close one and try again.",
            )
        wanted = types.SubscriptionFilter(tools_list_changed=params.notifications.tools_list_changed)
        streams.open += 1
        try:
            return await streams.listen(request, params.model_copy(update={"notifications": wanted}))
        finally:
            streams.open -= 1
            if not streams.open:
                self._streams.pop(principal, None)

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
        self._told = self._registry.tools()

        def changed() -> None:
            loop.call_soon_threadsafe(self._announce_soon, None)

        unsubscribe = self._registry.subscribe(changed)
        self._accounts.subscribe(self._announce_soon)
        try:
            yield
        finally:
            unsubscribe()
            for streams in self._streams.values():
                streams.listen.close()
            if self._announcement is not None:
                self._announcement.cancel()

    def _announce_soon(self, person: Principal | None) -> None:
        """To those who see what has changed, and to one person whose accounts have."""
        if person is not None:
            self._concerned.add(person)
        if self._announcement is None or self._announcement.done():
            self._announcement = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        await asyncio.sleep(_MOMENT)
        self._announcement, concerned, self._concerned = None, self._concerned, set()
        changed = self._changed()
        connected = set(self._connections.values())
        concerned |= {who for who in connected | self._streams.keys() if self._sees_any(who, changed)}
        for who, streams in list(self._streams.items()):
            if who in concerned:
                await streams.bus.publish(ToolsListChanged())
        async with anyio.create_task_group() as tasks:
            for connection in [each for each, who in self._connections.items() if who in concerned]:
                tasks.start_soon(self._tell, connection)

    def _changed(self) -> list[Tool]:
        """The tools that came and those that went, since hosts were told. One that is another now did both."""
        before, after = ({id(tool): tool for tool in tools} for tools in (self._told, self._registry.tools()))
        self._told = tuple(after.values())
        return [tool for key, tool in (before | after).items() if (key in before) != (key in after)]

    def _sees_any(self, person: Principal, tools: Sequence[Tool]) -> bool:
        return any(self._policy.may_see(person, tool) for tool in tools)

    async def _tell(self, connection: Connection) -> None:
        with anyio.move_on_after(self._limits.notice_seconds):
            await connection.send_tool_list_changed()


class _Streams:
    """A person's subscriptions."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus)
        self.open = 0

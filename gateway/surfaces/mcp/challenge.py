"""NeedsConnection in each protocol era: how the person learns that an account has to be connected.

    host                                    first call                      then
    2026-07-28, declares `url`              input_required with our link    the retry is held until they are done
    2025-11-25, declares `url`              error -32042 with our link      told when they are done; calls again
    any other                               text with our link              calls again

The link is our own page, unauthenticated and harmless in anybody's hands: the page checks that the browser belongs to
the person. A retry is answered with a result or with text, never with the same question again, because hosts
reopen the link at once.

Source: MCP 2025-11-25 Elicitation, "URL Mode"; MCP 2026-07-28 multi-round-trip requests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from mcp.server.connection import Connection
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp_types import ElicitRequestURLParams

from gateway.errors import FlowNotFoundError
from gateway.surfaces.mcp.encode import failure
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.request import Request, accepts_url, connection_of, is_modern
from gateway.surfaces.mcp.rounds import Round, ask_to_connect
from gateway.types import FlowStatus, NeedsConnection, Principal

DECLINED = "The person declined to connect the account this tool needs. Call it again only if they ask for it."
DISMISSED = "The person closed the connect link without deciding. Ask them before calling this tool again."


class Waits(Protocol):
    """Waits for a consent to end. The Flows, or a stand-in that wakes them."""

    async def wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus:
        """Its status, as soon as it is no longer pending, at the latest after `seconds`. FlowNotFoundError."""
        ...


class Challenges:
    """Turns NeedsConnection into an answer, and a host's reaction to one into a decision."""

    def __init__(self, waits: Waits, limits: Limits) -> None:
        self._waits = waits
        self._limits = limits
        self._watched: dict[tuple[Connection, str], asyncio.Task[None]] = {}

    async def settle(self, before: Round, principal: Principal) -> dict[str, Any] | None:
        """Act on how the person took our link. An answer that ends the call, or None: try the call again."""
        match before.connect_action():
            case "decline":
                return failure(DECLINED)
            case "cancel":
                return failure(DISMISSED)
            case "accept" if before.flow_id is not None:
                status = await self._wait(before.flow_id, principal, self._limits.hold_seconds)
                return failure(DECLINED) if status is FlowStatus.DECLINED else None
            case _:
                return None

    def answer(self, needs: NeedsConnection, request: Request, before: Round, principal: Principal) -> dict[str, Any]:
        """What to tell this host. Raises UrlElicitationRequiredError where that is the answer."""
        if before.connect_action() is not None:
            return failure(f"The connection is not finished yet. {_link(needs)}")
        if not accepts_url(request):
            return failure(_link(needs))
        if is_modern(request):
            return ask_to_connect(needs, before)
        self._watch(connection_of(request), needs.flow_id, principal)
        link = ElicitRequestURLParams(message=needs.message, url=needs.url, elicitation_id=needs.flow_id)
        raise UrlElicitationRequiredError([link], needs.message)

    def close(self) -> None:
        """Stop watching."""
        for task in self._watched.values():
            task.cancel()

    async def _wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus | None:
        try:
            return await self._waits.wait(flow_id, principal, seconds)
        except FlowNotFoundError:  # expired or used up: the call itself will tell what is needed now
            return None

    def _watch(self, connection: Connection, flow_id: str, principal: Principal) -> None:
        key = (connection, flow_id)
        if key in self._watched:
            return
        task = asyncio.create_task(self._tell_when_connected(connection, flow_id, principal))
        self._watched[key] = task
        task.add_done_callback(lambda _: self._watched.pop(key, None))
        connection.exit_stack.callback(task.cancel)

    async def _tell_when_connected(self, connection: Connection, flow_id: str, principal: Principal) -> None:
        status = await self._wait(flow_id, principal, self._limits.elicitation_seconds)
        if status is FlowStatus.CONNECTED:
            await connection.notify("notifications/elicitation/complete", {"elicitationId": flow_id})


def _link(needs: NeedsConnection) -> str:
    return (
        f"{needs.message}\n\nShow the person this link, which connects their {needs.provider_name} account: "
        f"{needs.url}\n\nOnce they have connected, call this tool again with the same arguments."
    )

"""What a call needs beyond being let in: the scope for a tool that destroys something, where that is asked for.

Told from the message itself, which the transports have read and will act on, before anything runs. Its refusal is an
HTTP 403 in all revisions, with a challenge, so that a host gets a better token and sends the call again. A tool that
the person does not see needs nothing: it is unknown to them.

Below: the registry, the policy, `surfaces.bearer`. Above: http. Source: MCP 2026-07-28, Authorization, "Scope Challenge
Handling"; MCP 2025-11-25, Tools, annotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.access.policy import Policy
from gateway.access.scopes import DESTRUCTIVE, TOOLS
from gateway.surfaces.bearer import Bearer
from gateway.surfaces.refusal import Refusal
from gateway.toolkit.registry import Registry
from gateway.types import Access

Message = Mapping[str, Any]


class StepUp:
    """Asks for more only if `wanted`."""

    def __init__(self, registry: Registry, policy: Policy, bearer: Bearer, *, wanted: bool) -> None:
        self._registry = registry
        self._policy = policy
        self._bearer = bearer
        self._wanted = wanted

    def refusal(self, message: Message, access: Access, door: str) -> Refusal | None:
        """Why this message may not be acted on with this access; None: it may."""
        if not self._wanted or DESTRUCTIVE in access.scopes or not self._destroys(message, access):
            return None
        return self._bearer.insufficient(
            door, {TOOLS, DESTRUCTIVE}, "This tool can destroy something, and the token does not allow that."
        )

    def _destroys(self, message: Message, access: Access) -> bool:
        params = message.get("params")
        name = params.get("name") if message.get("method") == "tools/call" and isinstance(params, dict) else None
        tool = self._registry.find(name) if isinstance(name, str) else None
        if tool is None or not self._policy.may_see(access.principal, tool):
            return False
        return tool.annotations.destructive is True

"""An administrator's look at what toolkits from afar say: what waits, what exactly changed, yes or no.

Works on the store alone, so that a command can do it while gateways are serving; they notice within seconds.
Below: `pinning`, the store, audit. Above: the command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import UnknownToolError
from gateway.remote.definition import Definition
from gateway.remote.pinning import approved, rejected, served, waits
from gateway.remote.registration import MOST_TOOLS
from gateway.store.remote_rows import RemoteRows
from gateway.toolkit.remote_tool import RemoteSet, RemoteTool
from gateway.types import AuditEvent, Principal

Decide = Callable[[RemoteTool, datetime], RemoteTool]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A tool, and where it stands: `live`, `waits` (the former one is served), `hidden` (it waits and none is served),
    `rejected` or `removed`. `changes` says in words what is proposed."""

    tool: RemoteTool
    standing: str
    changes: Sequence[str]


class Review:
    """Lists, and decides."""

    def __init__(self, rows: RemoteRows, audit: AuditLog, clock: Clock) -> None:
        self._rows = rows
        self._audit = audit
        self._clock = clock

    async def list_all(self) -> list[Reviewed]:
        """Every tool of every toolkit."""
        return [Reviewed(tool, _standing(tool), _changes(tool)) for tool in await self._rows.list_all()]

    async def waiting(self, tenant: str, toolkit: str, name: str | None) -> list[RemoteTool]:
        """What waits in a toolkit: one tool, or all that do. UnknownToolError if nothing does."""
        tools = await self._rows.list_tools(tenant, toolkit)
        found = [tool for tool in tools if waits(tool) and name in (None, tool.name)]
        if not found:
            what = f"the tool {name} of" if name else "any tool of"
            raise UnknownToolError(f"Nothing of {what} the toolkit {toolkit} waits. See: atp-gateway toolkits list")
        return found

    async def approve(self, tool: RemoteTool, *, by: Principal) -> bool:
        """Let what a tool proposes take effect. False if it is not this any more that it proposes."""
        return await self._decide(tool, approved, "tool.approved", by)

    async def reject(self, tool: RemoteTool, *, by: Principal) -> bool:
        """Turn down what a tool proposes. False if it is not this any more that it proposes."""
        return await self._decide(tool, rejected, "tool.rejected", by)

    async def _decide(self, tool: RemoteTool, decide: Decide, action: str, by: Principal) -> bool:
        def edit(former: RemoteTool | None, _: RemoteSet | None) -> RemoteTool | None:
            # What was looked at is what is decided about: the toolkit may have said something else meanwhile.
            return decide(former, self._clock.now()) if former == tool else None

        def fact(_: RemoteTool) -> AuditEvent:
            what = ", ".join(_changes(tool))
            return self._audit.event(by, action, what, client=f"toolkit {tool.toolkit}", tool=tool.name)

        kept = await self._rows.edit(tool.tenant, tool.toolkit, tool.name, edit, most=MOST_TOOLS, fact=fact)
        return isinstance(kept, RemoteTool)


def difference(tool: RemoteTool) -> str:
    """What is proposed against what is pinned, as a unified diff of JSON, each line on its own."""
    return "\n".join(
        unified_diff(_lines(tool.definition), _lines(tool.proposed), "pinned", "proposed", lineterm="", n=1)
    )


def _lines(definition: str) -> list[str]:
    return json.dumps(json.loads(definition), indent=2, sort_keys=True).splitlines() if definition else []


def _standing(tool: RemoteTool) -> str:
    if tool.removed_at is not None:
        return "removed"
    if waits(tool):
        return "waits" if served(tool) else "hidden"
    return "rejected" if tool.proposed else "live"


def _changes(tool: RemoteTool) -> list[str]:
    if not tool.proposed:
        return []
    if not tool.definition:
        return ["new"]
    return Definition.of_json(tool.proposed).changes_from(Definition.of_json(tool.definition))

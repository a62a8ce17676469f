"""tools/list: what this person may see, one page at a time, in the registry's order.

A tool's JSON is made once for each protocol revision, and anew when the tool is registered anew. A person with several
accounts at a tool's provider sees one argument more, the choice among them. A tool that a revision
cannot show is left out of that revision's list, and logged, so that it does not take the others with it.

Source: MCP Tools and Pagination, of each revision; MCP 2026-07-28 Caching, Mirrored headers (`x-mcp-header`).
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from gateway.access.policy import Policy
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.request import Request, Who
from gateway.toolkit.account_argument import with_account
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool
from gateway.types import CredentialKind, Principal

log = logging.getLogger(__name__)


class AccountChoices(Protocol):
    """Where a person has several accounts to choose from."""

    async def offered(self, principal: Principal) -> Mapping[tuple[str, CredentialKind], tuple[str, ...]]:
        """By provider and kind of credential the names of the accounts, where there are several."""
        ...

    def subscribe(self, changed: Callable[[Principal], None]) -> None:
        """Have `changed` called when what a person was offered is no longer true."""
        ...


class NoChoice:
    """Nobody has more than one account."""

    async def offered(self, principal: Principal) -> Mapping[tuple[str, CredentialKind], tuple[str, ...]]:
        return {}

    def subscribe(self, changed: Callable[[Principal], None]) -> None:
        """Nothing will change."""


class Listing:
    """Answers `tools/list`."""

    def __init__(self, registry: Registry, policy: Policy, who: Who, limits: Limits, accounts: AccountChoices) -> None:
        self._registry = registry
        self._policy = policy
        self._who = who
        self._limits = limits
        self._accounts = accounts
        self._shown: dict[tuple[str, str], tuple[Tool, dict[str, Any] | None]] = {}
        self._mirrored: dict[str, tuple[Tool, Mapping[str, Any] | None]] = {}

    async def answer(self, request: Request) -> dict[str, Any]:
        """One page as JSON. Raises MCPError (-32602) for a cursor that is not ours or whose tool is gone."""
        principal = self._who(request)
        visible = [tool for tool in self._registry.tools() if self._policy.may_see(principal, tool)]
        start = _start(visible, (request.params or {}).get("cursor"))
        page = visible[start : start + self._limits.page]
        shown = [(tool, wire) for tool in page if (wire := self._show(tool, request.protocol_version)) is not None]
        answer: dict[str, Any] = {"tools": await self._with_accounts(principal, shown)}
        if request.protocol_version in MODERN_PROTOCOL_VERSIONS:
            answer |= {"ttlMs": self._limits.list_ttl_ms, "cacheScope": "private"}
        if start + self._limits.page < len(visible):
            answer["nextCursor"] = _cursor(page[-1])
        return answer

    def mirrored_schema(self, name: str) -> Mapping[str, Any] | None:
        """The schema by which the SDK checks mirrored headers; None for the many tools that mirror nothing."""
        tool = self._registry.find(name)
        if tool is None:
            return None
        known, schema = self._mirrored.get(name, (None, None))
        if known is not tool:
            schema = tool.input_schema if _mentions_header(tool.input_schema) else None
            self._mirrored[name] = (tool, schema)
        return schema

    def sees(self, principal: Principal, name: str) -> bool:
        """Whether there is a tool of that name for this person."""
        tool = self._registry.find(name)
        return tool is not None and self._policy.may_see(principal, tool)

    async def _with_accounts(
        self, principal: Principal, shown: Sequence[tuple[Tool, dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The tools' JSON, with a choice of account in the schemas of those for which this person has one.

        One question a list, however long, and none for tools that use nobody's account.
        """
        if not any(tool.requirement for tool, _ in shown):
            return [wire for _, wire in shown]
        offered = await self._accounts.offered(principal)
        return [_with_choice(tool, wire, offered) for tool, wire in shown] if offered else [wire for _, wire in shown]

    def _show(self, tool: Tool, version: str) -> dict[str, Any] | None:
        known, shown = self._shown.get((version, tool.name), (None, None))
        if known is not tool:  # new, or registered anew: tools never change in place
            shown = _to_wire(tool, version)
            self._shown[version, tool.name] = (tool, shown)
        return shown


def _with_choice(
    tool: Tool, wire: dict[str, Any], offered: Mapping[tuple[str, CredentialKind], tuple[str, ...]]
) -> dict[str, Any]:
    need = tool.requirement
    accounts = offered.get((need.provider, need.kind)) if need else None
    return wire | {"inputSchema": dict(with_account(tool, wire["inputSchema"], accounts))} if accounts else wire


def _start(visible: Sequence[Tool], cursor: str | None) -> int:
    """Where the page begins: after the tool that the cursor names, so that changes in between lose nothing."""
    if not cursor:
        return 0
    try:
        name = base64.urlsafe_b64decode(cursor.encode("ascii")).decode()
        return 1 + next(index for index, tool in enumerate(visible) if tool.name == name)
    except (StopIteration, UnicodeError, binascii.Error):
        raise MCPError(
            types.INVALID_PARAMS, "This cursor is not valid, or no longer. List again from the start, without one."
        ) from None


def _cursor(last: Tool) -> str:
    return base64.urlsafe_b64encode(last.name.encode()).decode("ascii")


def _mentions_header(schema: object) -> bool:
    if isinstance(schema, Mapping):
        return "x-mcp-header" in schema or any(_mentions_header(value) for value in schema.values())
    return isinstance(schema, list) and any(_mentions_header(value) for value in schema)


def _to_wire(tool: Tool, version: str) -> dict[str, Any] | None:
    """The tool as this revision shows it; None where it cannot."""
    result: dict[str, Any] = {"tools": [_declared(tool, version)]}
    if version in MODERN_PROTOCOL_VERSIONS:
        result |= {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
    try:
        shown: dict[str, Any] = methods.serialize_server_result("tools/list", version, result)["tools"][0]
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        log.error("%s is not in the list for hosts of MCP %s: %s", tool.name, version, problems)  # noqa: TRY400 - the list says it all
        return None
    return shown


def _declared(tool: Tool, version: str) -> dict[str, Any]:
    hints = tool.annotations
    declared = types.Tool(
        name=tool.name,
        title=hints.title,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=_output_schema(tool, version),
        annotations=types.ToolAnnotations(
            title=hints.title,
            read_only_hint=hints.read_only,
            destructive_hint=hints.destructive,
            idempotent_hint=hints.idempotent,
            open_world_hint=hints.open_world,
        ),
    )
    return declared.model_dump(mode="json", by_alias=True, exclude_none=True)


def _output_schema(tool: Tool, version: str) -> dict[str, Any] | None:
    """Before 2026-07-28 an output schema describes an object; another one would spoil the whole list."""
    schema = tool.output_schema
    if schema is None or (version not in MODERN_PROTOCOL_VERSIONS and schema.get("type") != "object"):
        return None
    return dict(schema)

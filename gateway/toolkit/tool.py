"""Tool: one callable with a schema and, perhaps, a Requirement. The same type for every way of running one.

Made by `gateway.toolkit.client` from a registration, checked once, immutable afterwards. Below: the vocabulary.
Above: the registry, the executor, the surfaces (which show `name`, `description`, `input_schema` …).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.toolkit.content import ToolResult
from gateway.toolkit.context import Context
from gateway.types import Credential, Requirement

RESERVED_ARGUMENTS = frozenset({"auth_token", "access_token", "api_key"})
"""Names that only the gateway may fill in. `auth_token` is what the ATP guide injects; the other two are refused
as declared parameters by the ATP SDK."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """MCP's hints about a tool's behaviour; None leaves MCP's own default in force."""

    title: str | None = None
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None


class Run(Protocol):
    """Runs the tool's function: with the caller's arguments, the credential if there is a Requirement, and a Context.

    Returns whatever the function returned. Raises what it raised; `asyncio.CancelledError` when cancelled.
    """

    def __call__(
        self, arguments: Mapping[str, Any], credential: Credential | None, context: Context
    ) -> Awaitable[Any]: ...


def accept(_result: ToolResult) -> str | None:
    """The `check_result` of a tool that promises no schema: whatever it returns is fine."""
    return None


def unhindered() -> GatewayError | None:
    """The `hindrance` of a tool that can always be called."""
    return None


@dataclass(frozen=True, slots=True)
class Tool:
    """`check` validates arguments against `input_schema`: None, or a sentence that names the wrong argument.

    `check_result` does the same for a finished result, against `output_schema`. `timeout` is in seconds: how long the
    caller waits. `origin` is where the tool was declared, `crm.py:12`, for people who have to find it.

    `tenant` is whose tool it is; None: everybody's. `hindrance` says why the tool cannot be called now, or None; it is
    asked before anybody's account is looked up, so that no token is fetched for a tool that may not have it.
    """

    name: str
    toolkit: str
    description: str
    input_schema: Mapping[str, Any]
    run: Run
    check: Callable[[Mapping[str, Any]], str | None]
    requirement: Requirement | None = None
    output_schema: Mapping[str, Any] | None = None
    annotations: Annotations = field(default_factory=Annotations)
    timeout: float = 60.0
    check_result: Callable[[ToolResult], str | None] = accept
    origin: str = ""
    tenant: str | None = None
    hindrance: Callable[[], GatewayError | None] = unhindered

"""What the handlers read off one MCP request: who, with which program, what it can do.

`Who` answers "for whom?" and is bound when a server is built: constant over stdio, taken from the HTTP request
otherwise. A request that nobody vouched for has no Principal and is refused here.

Source: MCP 2025-11-25 Lifecycle, Elicitation; MCP 2026-07-28 Per-request protocol fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp_types import ClientCapabilities, ElicitationCapability
from mcp_types.version import MODERN_PROTOCOL_VERSIONS, is_version_at_least

from gateway.types import Access, Client, Principal

Request = ServerRequestContext[Any, Any]
Who = Callable[[Request], Principal]

_NAME_LENGTH = 80


def principal_of_http(request: Request) -> Principal:
    """The Principal that the edge put on the HTTP request which carried this message."""
    if request.request is None:
        raise PermissionError("a message without an HTTP request has no Principal")
    principal = request.request.scope["state"]["principal"]
    if not isinstance(principal, Principal):
        raise PermissionError("the HTTP request carries no Principal")
    return principal


def is_modern(request: Request) -> bool:
    """Whether the request is of a revision without handshake: 2026-07-28 and later."""
    return request.protocol_version in MODERN_PROTOCOL_VERSIONS


def connection_of(request: Request) -> Connection:
    """The connection the request came over: its scratch state, its end, its channel for unasked notifications."""
    return request.session._connection  # noqa: SLF001 - mcp 2.3 has no public way from a request to its connection


def client_of(request: Request) -> Client:
    """The calling program, by the name it gives itself, which is for display only, and by what its credential says."""
    access = request.request.scope["state"]["access"] if request.request is not None else Access(Principal("", ""))
    if request.session.client_params is None:
        return Client(id=access.client)
    info = request.session.client_params.client_info
    return Client(_shown(info.name) or Client().name, _shown(info.version), access.client)


def _shown(text: str) -> str:
    return "".join(c for c in text[:_NAME_LENGTH] if c.isprintable())


def capabilities_of(request: Request) -> frozenset[str]:
    """Which of `form`, `url`, `sampling`, `roots` this host declared, and can be reached for on this request."""
    declared = request.session.client_capabilities
    if declared is None or not (is_modern(request) or request.session.can_send_request):
        return frozenset()
    return frozenset(_declared(declared, request.protocol_version))


def accepts_url(request: Request) -> bool:
    """Whether the host declared URL-mode elicitation. An empty `elicitation: {}` means forms only."""
    declared = request.session.client_capabilities
    return declared is not None and "url" in _declared(declared, request.protocol_version)


def _declared(capabilities: ClientCapabilities, version: str) -> set[str]:
    found = _elicitation(capabilities.elicitation, version)
    if capabilities.sampling is not None:
        found.add("sampling")
    if capabilities.roots is not None:
        found.add("roots")
    return found


def _elicitation(declared: ElicitationCapability | None, version: str) -> set[str]:
    """Forms came with 2025-06-18, URLs with 2025-11-25; whoever names neither means forms."""
    if declared is None or not is_version_at_least(version, "2025-06-18"):
        return set()
    found = set()
    if declared.url is not None and is_version_at_least(version, "2025-11-25"):
        found.add("url")
    if declared.form is not None or declared.url is None:
        found.add("form")
    return found

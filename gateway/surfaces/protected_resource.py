"""The gateway as an OAuth 2.0 protected resource: the document that says who gives out tokens for it.

There is one for each address that a program may have been given, because a client holds the `resource` in it against
the address it asked: /mcp, /sse, and at the root, for clients that look nowhere else, the one of /mcp. All name the
same authorization servers. Public, for pages of other sites too; nothing in it is about a person.

Below: nothing. Above: the app. Source: RFC 9728 sections 2 and 3; MCP 2026-07-28, Authorization.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

WELL_KNOWN = "/.well-known/oauth-protected-resource"
RESOURCES = ("/mcp", "/sse")
PATHS = (WELL_KNOWN, *(WELL_KNOWN + path for path in RESOURCES))
_CACHED = {"cache-control": "public, max-age=300"}


def audiences(base_url: str) -> frozenset[str]:
    """What a token for us may name, to the letter, as its audience."""
    return frozenset(base_url + path for path in RESOURCES)


class ProtectedResource:
    """`base_url` is where the gateway is reached; `scope` what a client that is told nothing more should ask for."""

    def __init__(self, base_url: str, authorization_servers: Sequence[str], scope: str) -> None:
        self._base_url = base_url
        self._servers = list(authorization_servers)
        self._scope = scope

    @property
    def metadata(self) -> Mapping[str, str]:
        """By the path of a door, where the document is that its challenge names."""
        mcp, sse = (self._base_url + WELL_KNOWN + path for path in RESOURCES)
        return {"/mcp": mcp, "/sse": sse, "/messages/": sse}

    def routes(self) -> list[BaseRoute]:
        return [
            Route(path, self._document(path.removeprefix(WELL_KNOWN) or RESOURCES[0]), methods=["GET"])
            for path in PATHS
        ]

    def _document(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        body = {
            "resource": self._base_url + path,
            "authorization_servers": self._servers,
            "scopes_supported": self._scope.split(),
            "bearer_methods_supported": ["header"],
            "resource_name": "ATP Gateway",
        }

        async def answer(_: Request) -> Response:
            return JSONResponse(body, headers=_CACHED)

        return answer

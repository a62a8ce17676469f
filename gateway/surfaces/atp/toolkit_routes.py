"""The paths of the ATP protocol's toolkit half, HTTP and WebSocket, each with its endpoint.

Source: AgentToolProtocol 0.2.5, `ToolKitClient`.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute

from gateway.surfaces.atp.endpoint import route
from gateway.surfaces.atp.toolkit_inbox import ToolkitInbox
from gateway.surfaces.atp.toolkit_requests import ToolkitRequests, answering
from gateway.surfaces.atp.toolkit_socket import ToolkitSockets

SOCKET = "/ws/v1/atp/toolkit-client/"
TOOLKIT_PATHS = (
    "/api/v1/toolkit/verify_hash",
    "/api/v1/toolkit/verify_tool_hash",
    "/api/v1/toolkit/*",
    "/api/v1/register_tool",
    "/api/v1/execute_function",
    SOCKET,
    f"{SOCKET}*",
)
"""What they are called at the doors, and in the access log: no key stands in it."""


def toolkit_routes(requests: ToolkitRequests, inbox: ToolkitInbox, sockets: ToolkitSockets) -> list[BaseRoute]:
    """The routes of the toolkit's half, with full paths."""
    served = [
        ("POST", "/api/v1/toolkit/verify_hash", requests.verify_hash),
        ("POST", "/api/v1/toolkit/verify_tool_hash", requests.verify_tool_hash),
        ("POST", "/api/v1/register_tool", requests.register_tool),
        ("POST", "/api/v1/execute_function", requests.execute_function),
        ("GET", "/api/v1/toolkit/inbox", inbox.poll),
        ("POST", "/api/v1/toolkit/inbox/respond", inbox.respond),
        ("GET", "/api/v1/toolkit/{api_key}/inbox", inbox.poll),
        ("POST", "/api/v1/toolkit/{api_key}/inbox/respond", inbox.respond),
    ]
    routes = [route(method, path, answering(serve)) for method, path, serve in served]
    return [*routes, WebSocketRoute(f"{SOCKET}{{rest:path}}", sockets.serve)]

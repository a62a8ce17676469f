"""The paths of the ATP protocol's app half, HTTP and WebSocket, each with its endpoint, all behind the app's key.

The SDK ends every path in `/` and sends everything that is not POST as GET.

Source: AgentToolProtocol 0.2.5, `LLMClient`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.app_socket import AppSockets
from gateway.surfaces.atp.consents import Consents
from gateway.surfaces.atp.endpoint import Endpoint, refused
from gateway.surfaces.atp.keys import AppKeys
from gateway.surfaces.atp.process import Process
from gateway.surfaces.atp.tasks import Tasks
from gateway.surfaces.atp.toolkits import Toolkits
from gateway.surfaces.atp.webhooks import AppWebhooks

PREFIX = "/api/v1/atp/llm-client"
SOCKET = "/ws/v1/atp/llm-client"


def app_routes(
    keys: AppKeys, consents: Consents, tasks: Tasks, toolkits: Toolkits, webhooks: AppWebhooks
) -> list[BaseRoute]:
    """The routes of the app's half, with full paths."""
    served = [
        ("POST", "/oauth/confirmation/{platform_id}/", consents.begin),
        ("GET", "/oauth/tokens/{platform_id}/{user:path}", consents.tokens),
        ("POST", "/process/", Process(tasks).answer),
        ("GET", "/store/toolkits/list/", toolkits.page),
        ("GET", "/developers/toolkits/", toolkits.page),
        ("GET", "/store/toolkits/{toolkit_id}/", toolkits.details),
        ("POST", "/webhooks/register/", webhooks.register),
        ("GET", "/webhooks/", webhooks.list),
        ("GET", "/webhooks/{webhook_id}/delete/", webhooks.delete),
        ("DELETE", "/webhooks/{webhook_id}/delete/", webhooks.delete),
        ("POST", "/webhooks/{webhook_id}/test/", webhooks.ping),
        ("GET", "/webhooks/{webhook_id}/deliveries/", webhooks.deliveries),
        ("POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/replay/", webhooks.replay),
    ]
    routes = [Route(PREFIX + path, Endpoint(keys, serve).answer, methods=[method]) for method, path, serve in served]
    rest = Route(PREFIX + "/{rest:path}", Endpoint(keys, _refuse).answer, methods=["GET", "POST", "DELETE"])
    return [*routes, rest, WebSocketRoute(SOCKET + "/{api_key}/", AppSockets(keys, tasks).serve)]


async def _refuse(_app: App, _request: Request) -> Response:
    return refused(
        404,
        "not_served",
        "This gateway does not serve that part of ATP.",
    )

"""The paths of the ATP protocol's app half, HTTP and WebSocket, each with its endpoint, all behind the app's key.

The SDK ends every path in `/` and sends everything that is not POST as GET.

Source: AgentToolProtocol 0.2.5, `LLMClient`.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute

from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.app_socket import AppSockets
from gateway.surfaces.atp.consents import Consents
from gateway.surfaces.atp.endpoint import Endpoint, refused, route
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
        ("GET", "/store/developers/{display_name}/", toolkits.developer),
        ("POST", "/webhooks/register/", webhooks.register),
        ("GET", "/webhooks/", webhooks.list),
        ("GET", "/webhooks/{webhook_id}/delete/", webhooks.delete),
        ("DELETE", "/webhooks/{webhook_id}/delete/", webhooks.delete),
        ("POST", "/webhooks/{webhook_id}/test/", webhooks.ping),
        ("GET", "/webhooks/{webhook_id}/deliveries/", webhooks.deliveries),
        ("POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/replay/", webhooks.replay),
    ]
    routes = [route(method, PREFIX + path, Endpoint(keys, serve).answer) for method, path, serve in served]
    rest = route(None, PREFIX + "/{rest:path}", Endpoint(keys, _Unserved(routes).answer).answer)
    return [*routes, rest, WebSocketRoute(SOCKET + "/{api_key}/", AppSockets(keys, tasks).serve)]


class _Unserved:
    """What is asked for and not there, or there in another way."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    async def answer(self, _app: App, request: Request) -> Response:
        there = [each.methods or set() for each in self._routes if each.matches(request.scope)[0] is not Match.NONE]
        if not there:
            return refused(404, "not_served", "This gateway does not serve that part of ATP.")
        allowed = ", ".join(sorted(set().union(*there)))
        answer = refused(405, "method_not_allowed", f"This path takes {allowed}, and not {request.method}.")
        answer.headers["Allow"] = allowed
        return answer

"""An app's webhooks, as it asks for them: registers, lists and ends them, and sees, tries and replays deliveries.

The first three are the SDK's, which reads `webhook_id`, `url` and `events`; the others are ours. Which webhooks are an
app's, and where one may lead, is settled below (`gateway.webhooks`). Above: `app_routes`.

Source: AgentToolProtocol 0.2.5, `LLMClient`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.secret import Secret
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.endpoint import json_answer
from gateway.surfaces.atp.requests import RefusalError, json_object, text
from gateway.surfaces.atp.users import AppUsers
from gateway.types import Principal
from gateway.webhook_types import Delivery, DeliveryStatus, Webhook

Json = dict[str, Any]
_USUAL = ["connection_success"]
_KNOWN_BEFORE = (
    "This URL was registered before, and its secret shown then. Delete the webhook and register it again for a new one."
)


class Registrations(Protocol):
    """What of `gateway.webhooks.registrations.Registrations` an app may use."""

    async def register(self, app: Principal, url: str, events: frozenset[str]) -> tuple[Webhook, Secret | None]: ...

    async def list(self, app: Principal) -> Sequence[Webhook]: ...

    async def drop(self, app: Principal, webhook_id: str) -> None: ...

    async def list_deliveries(
        self, app: Principal, webhook_id: str, status: DeliveryStatus | None = None
    ) -> Sequence[Delivery]: ...

    async def replay(self, app: Principal, webhook_id: str, delivery_id: str) -> Delivery: ...

    async def ping(self, app: Principal, webhook_id: str) -> Delivery: ...


class AppWebhooks:
    """The endpoints. A webhook's owner is what `users` has for the app itself."""

    def __init__(self, registrations: Registrations, users: AppUsers) -> None:
        self._registrations = registrations
        self._users = users

    async def register(self, app: App, request: Request) -> Response:
        """`POST webhooks/register/`"""
        body = await json_object(request)
        events = body.get("events", _USUAL)
        if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
            raise RefusalError(400, "invalid_request", "events is not a list of strings. Send one.")
        webhook, secret = await self._registrations.register(self._users.app(app), text(body, "url"), frozenset(events))
        if secret is None:
            return json_answer(_webhook(webhook) | {"note": _KNOWN_BEFORE})
        return _json(201, _webhook(webhook) | {"secret": secret.reveal()})

    async def list(self, app: App, request: Request) -> Response:
        """`GET webhooks/`"""
        return json_answer([_webhook(webhook) for webhook in await self._registrations.list(self._users.app(app))])

    async def delete(self, app: App, request: Request) -> Response:
        """`GET webhooks/{webhook_id}/delete/`, which is how the SDK sends it, and DELETE."""
        webhook_id = request.path_params["webhook_id"]
        await self._registrations.drop(self._users.app(app), webhook_id)
        return json_answer({"webhook_id": webhook_id, "deleted": True})

    async def deliveries(self, app: App, request: Request) -> Response:
        """`GET webhooks/{webhook_id}/deliveries/`, with `?status=` those of one status"""
        status = _status(request.query_params.get("status"))
        webhook_id = request.path_params["webhook_id"]
        found = await self._registrations.list_deliveries(self._users.app(app), webhook_id, status)
        return json_answer([_delivery(delivery) for delivery in found])

    async def replay(self, app: App, request: Request) -> Response:
        """`POST webhooks/{webhook_id}/deliveries/{delivery_id}/replay/`"""
        which = (request.path_params["webhook_id"], request.path_params["delivery_id"])
        return _json(202, _delivery(await self._registrations.replay(self._users.app(app), *which)))

    async def ping(self, app: App, request: Request) -> Response:
        """`POST webhooks/{webhook_id}/test/`"""
        delivery = await self._registrations.ping(self._users.app(app), request.path_params["webhook_id"])
        return _json(202, _delivery(delivery))


def _status(text: str | None) -> DeliveryStatus | None:
    if text is None:
        return None
    if text not in list(DeliveryStatus):
        raise RefusalError(422, "invalid_request", f"There is no status {text!r}: {', '.join(DeliveryStatus)}.")
    return DeliveryStatus(text)


def _webhook(webhook: Webhook) -> Json:
    return {
        "webhook_id": webhook.id,
        "url": webhook.url,
        "events": sorted(webhook.events),
        "status": "disabled" if webhook.disabled_at else "active",
        "missed": webhook.missed,
        "created_at": _instant(webhook.created_at),
        "disabled_at": _instant(webhook.disabled_at),
    }


def _delivery(delivery: Delivery) -> Json:
    return {
        "delivery_id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "type": delivery.type,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "response_status": delivery.response_status,
        "failure": delivery.failure,
        "created_at": _instant(delivery.created_at),
        "next_try_at": _instant(delivery.next_try_at),
        "ended_at": _instant(delivery.ended_at),
    }


def _instant(at: datetime | None) -> str | None:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def _json(status: int, body: Json) -> Response:
    return JSONResponse(body, status, headers={"Cache-Control": "no-store"})

"""The operations of the app's half: what `app_routes` serves, in its order.

Source: AgentToolProtocol 0.2.5, `LLMClient`.
"""

from __future__ import annotations

from typing import Any

from gateway.surfaces.atp.openapi.operation import Answer, Json, Operation, answer, in_path, in_query, ref
from gateway.webhook_types import DeliveryStatus

_PREFIX = "/api/v1/atp/llm-client"
_PLATFORM = in_path("platform_id", "A provider's name, in any case.", "hubspot")
_TOOLKIT = in_path("toolkit_id", "A toolkit's name.", "crm")
_WEBHOOK = in_path("webhook_id", "As registering it gave it.", "5f0c")
_PAGES = (
    in_query("page", "From 1. Without it and page_size, all are given.", 1, type="integer", minimum=1, maximum=999_999),
    in_query("page_size", "At most 100 count.", 10, type="integer", minimum=1, maximum=999_999),
)
_USER = in_path("external_user_id", "Your id of the person, percent-encoded.", "ada@example.com", maxLength=255)
_ASKED = {"oneOf": [ref("ContextRequest"), ref("TaskRequest")]}
_ANSWERED = {"oneOf": [ref("ToolkitContext"), ref("TaskDone"), ref("TaskFailed")]}
_EVENTS = {
    "type": "string",
    "description": "Server-sent events: one `data:` line with the JSON of the answer; before it, where it was asked "
    "for, some of type `task_progress`; comments now and then.",
}


def _app(method: str, path: str, identity: str, summary: str, **more: Any) -> Operation:
    return Operation(method, _PREFIX + path, identity, summary, keys=("appKey",), **more)


def _webhook(method: str, path: str, identity: str, summary: str, **more: Any) -> Operation:
    return _app(method, f"/webhooks/{path}", identity, summary, tag="webhooks", **more)


_OF_WEBHOOK: dict[str, Any] = {"parameters": (_WEBHOOK,), "refusals": (404,)}
_GONE = answer("Forgotten, with what was on its way to it.", ref("WebhookGone"))
_STATUS = in_query("status", "Only those of this status.", "dead", enum=list(DeliveryStatus))
_DELIVERY = in_path("delivery_id", "As the list of deliveries gives it.", "77aa")
_ON_ITS_WAY = answer("On its way.", ref("Delivery"))


def _many(name: str) -> Json:
    return {"type": "array", "items": ref(name)}


APP_OPERATIONS = (
    _app(
        "POST", "/oauth/confirmation/{platform_id}/", "beginConsent", "Have one of your users connect an account",
        tag="connections", answers={200: answer("The link to give them.", ref("Confirmation"))},
        parameters=(_PLATFORM,), body=ref("ConsentRequest"), refusals=(404, 422),
    ),
    _app(
        "GET", "/oauth/tokens/{platform_id}/{external_user_id}/", "getConnection", "See whether they have",
        tag="connections", answers={200: answer("They have.", ref("Connection"))},
        parameters=(_PLATFORM, _USER), refusals=(404,), says="404 `not_connected`: not yet. Ask again.",
    ),
    _app(
        "POST", "/process/", "process", "Ask for a toolkit's tools, or call one", tag="tools",
        answers={
            200: Answer(
                "The answer. A call that failed is one, too: its `status` says so.",
                {"application/json": {"schema": _ANSWERED}, "text/event-stream": {"schema": _EVENTS}},
            )
        },
        body=_ASKED, refusals=(404, 422),
    ),
    _app(
        "GET", "/store/toolkits/list/", "listToolkits", "The toolkits that the app may use", tag="tools",
        answers={200: answer("All, or a page.", ref("ToolkitPage"))}, parameters=_PAGES,
    ),
    _app(
        "GET", "/developers/toolkits/", "listOwnToolkits", "The same", tag="tools",
        answers={200: answer("All, or a page.", ref("ToolkitPage"))}, parameters=_PAGES,
    ),
    _app(
        "GET", "/store/toolkits/{toolkit_id}/", "getToolkit", "One toolkit, with its tools", tag="tools",
        answers={200: answer("What it has.", ref("Toolkit"))}, parameters=(_TOOLKIT,), refusals=(404,),
    ),
    _app(
        "GET", "/store/developers/{display_name}/", "getDeveloper", "Who runs a toolkit, and what else they run",
        tag="tools", answers={200: answer("Their toolkits.", ref("Developer"))},
        parameters=(in_path("display_name", "A toolkit's `developer`.", "gateway"),), refusals=(404,),
    ),
    _webhook(
        "POST", "register/", "registerWebhook", "Be told of events",
        answers={
            201: answer("It is new: here is its secret.", ref("NewWebhook")),
            200: answer("The URL was registered before. Its events are these now.", ref("Webhook")),
        },
        body=ref("WebhookRequest"), refusals=(422,),
    ),
    _webhook("GET", "", "listWebhooks", "The app's webhooks", answers={200: answer("All.", _many("Webhook"))}),
    _webhook(
        "GET", "{webhook_id}/delete/", "deleteWebhookByGet", "Delete a webhook, as the published SDK asks for it",
        answers={200: _GONE}, **_OF_WEBHOOK,
    ),
    _webhook(
        "DELETE", "{webhook_id}/delete/", "deleteWebhook", "Delete a webhook", answers={200: _GONE}, **_OF_WEBHOOK
    ),
    _webhook(
        "POST", "{webhook_id}/test/", "tryWebhook", "Deliver an event that means nothing", answers={202: _ON_ITS_WAY},
        parameters=(_WEBHOOK,), refusals=(404, 422),
    ),
    _webhook(
        "GET", "{webhook_id}/deliveries/", "listDeliveries", "What came of the latest deliveries",
        answers={200: answer("The newest event first.", _many("Delivery"))},
        parameters=(_WEBHOOK, _STATUS), refusals=(404, 422),
    ),
    _webhook(
        "POST", "{webhook_id}/deliveries/{delivery_id}/replay/", "replayDelivery", "Deliver an event once more",
        answers={202: _ON_ITS_WAY}, parameters=(_WEBHOOK, _DELIVERY), refusals=(404,),
    ),
)  # fmt: skip

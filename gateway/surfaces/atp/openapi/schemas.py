"""What bodies look like, each written once: JSON Schema 2020-12, as OpenAPI 3.1 has it.

A request may have fields that are not named here: they are ignored, as the published SDK's `api_key` is. An answer may
come to have more than is named here, and never less. Above: the operations, `document`.

Sources: AgentToolProtocol 0.2.5 for the names; `gateway.surfaces.atp` for what is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.surfaces.atp.openapi.operation import Json, ref
from gateway.surfaces.atp.requests import LONGEST_USER_ID
from gateway.surfaces.atp.shapes import TOOL_SHAPES
from gateway.types import CredentialKind
from gateway.webhook_types import DeliveryStatus
from gateway.webhooks.events import EVENTS

ANYTHING: Json = {}
TEXT: Json = {"type": "string"}
WORD: Json = {"type": "string", "minLength": 1}
NUMBER: Json = {"type": "integer", "minimum": 0}
MAYBE_TEXT: Json = {"type": ["string", "null"]}
MAYBE_INSTANT: Json = {"type": ["string", "null"], "format": "date-time"}
INSTANT: Json = {"type": "string", "format": "date-time"}
TABLE: Json = {"type": "object"}
NAMES: Json = {"type": "array", "items": TEXT}
LINK: Json = {"type": "string", "format": "uri"}
REQUEST_ID: Json = {"description": "Chosen by who asks, and given back as it came."}


def record(description: str, required: dict[str, Json], optional: dict[str, Json] | None = None, **more: Any) -> Json:
    """An object with these fields, and perhaps others."""
    properties = required | (optional or {})
    found: Json = {"type": "object", "description": description, "properties": properties}
    return found | ({"required": list(required)} if required else {}) | more


def const(value: Any) -> Json:
    return {"const": value}


def one_of(values: Sequence[Any]) -> Json:
    return {"enum": list(values)}


def about(schema: Json, description: str) -> Json:
    return schema | {"description": description}


USER = {
    "type": ["string", "integer"],
    "minLength": 1,
    "maxLength": LONGEST_USER_ID,
    "description": "Your own, lasting id of the person, on one line.",
}
_ACCOUNT = about(MAYBE_TEXT, "Which of the person's accounts, where they have several.")

_APP: dict[str, Json] = {
    "ConsentRequest": record(
        "For whom a consent begins, and where they go afterwards.",
        {"external_user_id": USER},
        {"developer_redirect_url": about(MAYBE_TEXT, "One of the key's return URLs, to the letter.")},
        examples=[{"external_user_id": "ada@example.com", "developer_redirect_url": "https://notes.example.com/back"}],
    ),
    "Confirmation": record(
        "A consent that has begun. Give the link to the person whom it is for, and to nobody else.",
        {
            "authorization_url": LINK,
            "auth_url": about(LINK, "The same."),
            "confirmation_url": about(LINK, "The same."),
            "provider_name": TEXT,
            "provider_logo": MAYBE_TEXT,
            "developer_app_name": TEXT,
            "scopes": NAMES,
            "auth_mode": one_of(list(CredentialKind)),
            "powered_by": TEXT,
            "expires_at": INSTANT,
        },
        {"note": TEXT},
    ),
    "Connection": record(
        "A person's connection. The tokens are null unless the app's key has `tokens`; `note` says how it gets that.",
        {
            "integration_id": TEXT,
            "external_user_id": TEXT,
            "external_user_email": MAYBE_TEXT,
            "access_token": MAYBE_TEXT,
            "refresh_token": MAYBE_TEXT,
            "expires_at": MAYBE_INSTANT,
            "scope": about(TEXT, "Scopes with a space between them."),
        },
        {"note": TEXT},
    ),
    "ContextRequest": record(
        "What a toolkit offers, in the words of a model's API.",
        {"type": const("get_toolkit_context"), "toolkit_id": WORD},
        {
            "request_id": REQUEST_ID,
            "provider": one_of([*TOOL_SHAPES, None]),
            "user_prompt": MAYBE_TEXT,
            "external_user_id": USER | {"type": ["string", "integer", "null"]},
            "account": _ACCOUNT,
        },
        examples=[
            {
                "type": "get_toolkit_context",
                "toolkit_id": "crm",
                "request_id": "1",
                "provider": "anthropic",
                "user_prompt": "Find Grace.",
            }
        ],
    ),
    "ToolkitContext": record(
        "The answer to a ContextRequest. What is in `tools` goes to the model's API as it is.",
        {
            "type": const("toolkit_context"),
            "request_id": REQUEST_ID,
            "payload": record(
                "",
                {
                    "toolkit_id": TEXT,
                    "toolkit_name": TEXT,
                    "caption": TEXT,
                    "provider": one_of(list(TOOL_SHAPES)),
                    "tools": {"type": "array", "items": TABLE},
                    "user_prompt": TEXT,
                },
            ),
        },
    ),
    "TaskRequest": record(
        "One call. It uses the account of `external_user_id`, else `auth_token`, else that of the one connected user.",
        {
            "type": const("task_request"),
            "toolkit_id": WORD,
            "payload": record(
                "",
                {"function": WORD},
                {
                    "parameters": about({"type": ["object", "null"]}, "The tool's arguments."),
                    "auth_token": MAYBE_TEXT,
                    "tool_call_id": ANYTHING,
                },
            ),
        },
        {
            "request_id": REQUEST_ID,
            "auth_token": about(MAYBE_TEXT, "The person's own token for the provider, for this call only."),
            "user_prompt": ANYTHING,
            "external_user_id": USER | {"type": ["string", "integer", "null"]},
            "account": _ACCOUNT,
            "progress": about({"type": "boolean"}, "Events before the answer, in a stream."),
        },
        examples=[
            {
                "type": "task_request",
                "toolkit_id": "crm",
                "request_id": "2",
                "external_user_id": "ada@example.com",
                "payload": {"function": "find_contact", "parameters": {"name": "Grace"}},
            }
        ],
    ),
    "TaskDone": record(
        "A call that ended well. What a tool reports as its own failure is its result: the model is to read it.",
        {
            "type": const("task_response"),
            "request_id": REQUEST_ID,
            "status": const("success"),
            "result": record("", {"tool": record("", {"name": TEXT, "result": ANYTHING})}),
        },
    ),
    "TaskFailed": record(
        "A call that did not. Where somebody has to connect an account first, `authorization_url` is where.",
        {
            "type": const("task_response"),
            "request_id": REQUEST_ID,
            "status": const("error"),
            "code": TEXT,
            "message": TEXT,
        },
        {"authorization_url": LINK},
    ),
    "Tool": record(
        "",
        {
            "name": TEXT,
            "description": TEXT,
            "parameters": about(TABLE, "JSON Schema of its arguments."),
            "auth_provider": MAYBE_TEXT,
            "auth_type": one_of([*CredentialKind, None]),
        },
    ),
    "Toolkit": record(
        "",
        {"toolkit_id": TEXT, "name": TEXT, "developer": TEXT, "tools": {"type": "array", "items": ref("Tool")}},
    ),
    "ToolkitPage": record(
        "Some of `count` toolkits. `next` and `previous` are the queries of the pages beside this one.",
        {
            "count": NUMBER,
            "next": MAYBE_TEXT,
            "previous": MAYBE_TEXT,
            "results": {"type": "array", "items": ref("Toolkit")},
        },
    ),
    "Developer": record(
        "Who runs toolkits: the gateway itself, or a tenant whose toolkits connect from afar.",
        {"display_name": TEXT, "toolkits": {"type": "array", "items": ref("Toolkit")}},
    ),
}

_WEBHOOK_FIELDS = {
    "webhook_id": TEXT,
    "url": LINK,
    "events": {"type": "array", "items": one_of(EVENTS)},
    "status": one_of(["active", "disabled"]),
    "missed": NUMBER,
    "created_at": INSTANT,
    "disabled_at": MAYBE_INSTANT,
}
_WEBHOOKS: dict[str, Json] = {
    "WebhookRequest": record(
        "Where to tell of what.",
        {"url": WORD | {"format": "uri"}},
        {"events": {"type": "array", "minItems": 1, "items": one_of(EVENTS), "default": ["connection_success"]}},
        examples=[{"url": "https://notes.example.com/hook", "events": ["connection_success"]}],
    ),
    "Webhook": record("", _WEBHOOK_FIELDS, {"note": TEXT}),
    "NewWebhook": record(
        "`secret` is what deliveries are signed with. It is shown this once.", _WEBHOOK_FIELDS | {"secret": TEXT}
    ),
    "WebhookGone": record("", {"webhook_id": TEXT, "deleted": const(True)}),
    "Delivery": record(
        "",
        {
            "delivery_id": TEXT,
            "webhook_id": TEXT,
            "type": TEXT,
            "status": one_of(list(DeliveryStatus)),
            "attempts": NUMBER,
            "response_status": {"type": ["integer", "null"]},
            "failure": MAYBE_TEXT,
            "created_at": INSTANT,
            "next_try_at": MAYBE_INSTANT,
            "ended_at": MAYBE_INSTANT,
        },
    ),
}

_HASH = about(WORD, "SHA-256 of sources, in hex.")
_KEY_IN_BODY = about(ANYTHING, "The toolkit's key. Not looked at where there is one in the header.")
_KEY_EXAMPLE = "atpg_toolkit_…"
_TOOLKIT: dict[str, Json] = {
    "HashQuestion": record(
        "Whether the toolkit's tools are known just as they are.",
        {"toolkit_hash": _HASH},
        {"api_key": _KEY_IN_BODY, "app_name": ANYTHING},
        examples=[{"api_key": _KEY_EXAMPLE, "app_name": "", "toolkit_hash": "9f86d081884c7d65"}],
    ),
    "ToolHashQuestion": record(
        "Whether one tool need not be registered again.",
        {"tool_name": WORD, "tool_hash": _HASH},
        {"api_key": _KEY_IN_BODY},
        examples=[{"api_key": _KEY_EXAMPLE, "tool_name": "find_contact", "tool_hash": "9f86d081884c7d65"}],
    ),
    "UpToDate": record("", {"up_to_date": {"type": "boolean"}}),
    "ToolRegistration": record(
        "One tool.",
        {
            "function_id": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"},
            "code_hash": _HASH,
            "toolkit_hash": _HASH,
            "metadata": record(
                "What hosts are shown of it, and what it needs. What the published SDK does not send is ours.",
                {},
                {
                    "description": MAYBE_TEXT,
                    "params": {"type": ["array", "null"], "items": WORD},
                    "required_params": {"type": ["array", "null"], "items": WORD},
                    "auth_provider": MAYBE_TEXT,
                    "auth_type": MAYBE_TEXT,
                    "auth_with": ANYTHING,
                    "source_code": about(ANYTHING, "Hashed, and not kept."),
                    "sample_response": ANYTHING,
                    "input_schema": {"type": ["object", "null"]},
                    "output_schema": {"type": ["object", "null"]},
                    "annotations": {"type": ["object", "null"]},
                    "scopes": {"type": ["array", "string", "null"], "items": WORD},
                    "timeout": {"type": ["number", "null"], "exclusiveMinimum": 0},
                },
            ),
        },
        {"api_key": _KEY_IN_BODY, "app_name": ANYTHING, "programming_language": ANYTHING},
        examples=[
            {
                "function_id": "find_contact",
                "api_key": _KEY_EXAMPLE,
                "app_name": "",
                "programming_language": "Python",
                "code_hash": "9f86d081884c7d65",
                "toolkit_hash": "9f86d081884c7d65",
                "metadata": {
                    "params": ["name"],
                    "required_params": ["name"],
                    "description": "Finds a contact.",
                    "auth_provider": "hubspot",
                    "auth_type": "OAuth2",
                    "auth_with": "access_token",
                    "sample_response": "",
                    "source_code": "def find_contact(**kwargs): …",
                },
            }
        ],
    ),
    "Registered": record("A tool that was taken down.", {"exchange_token": TEXT}),
    "Report": about(TABLE, "Anything: it names no call, so it is answered and left at that."),
    "ToolCall": record(
        "A call for the worker that asked. With the token of the person who calls, where the tool needs one.",
        {"request_id": TEXT, "tool_name": TEXT, "params": TABLE, "auth_token": MAYBE_TEXT},
        {"credential": about(TABLE, "What belongs to the token. Only for a worker that says ATP-Concurrency.")},
    ),
    "NoCall": about(TABLE | {"maxProperties": 0}, "Nothing to do: ask again."),
    "ToolAnswer": record(
        "What a call gave.",
        {"request_id": TEXT, "response": ANYTHING},
        {
            "is_error": about({"type": "boolean"}, 'The tool failed, with the sentence in {"error": "…"}.'),
            "not_begun": about({"type": "boolean"}, "Nothing was done: another worker may have the call."),
        },
        examples=[{"request_id": "c0ffee", "response": {"found": 1}}],
    ),
    "Heard": record("`ignored`: nobody waits for this, or not any more.", {"status": one_of(["received", "ignored"])}),
}

_GATEWAY: dict[str, Json] = {
    "Alive": record("", {"status": const("ok")}, {"proof": TEXT}),
    "Ready": record("", {"status": one_of(["ok", "not ready"])}),
    "Error": record(
        "Every no. `code` is for programs and lasts; `message` is for people, and says what to do next.",
        {"status": const("error"), "code": {"type": "string", "pattern": "^[a-z][a-z_]*$"}, "message": TEXT},
        examples=[{"status": "error", "code": "unknown_key", "message": "This is no key of this gateway."}],
    ),
}

SCHEMAS: dict[str, Json] = _APP | _WEBHOOKS | _TOOLKIT | _GATEWAY

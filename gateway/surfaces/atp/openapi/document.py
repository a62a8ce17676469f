"""The operations, written down as one OpenAPI document. Pure.

Above: `reading`. Source: OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.surfaces.atp.openapi.app_operations import APP_OPERATIONS
from gateway.surfaces.atp.openapi.gateway_operations import GATEWAY_OPERATIONS
from gateway.surfaces.atp.openapi.operation import Answer, Json, Operation, ref
from gateway.surfaces.atp.openapi.schemas import SCHEMAS
from gateway.surfaces.atp.openapi.toolkit_operations import TOOLKIT_OPERATIONS

OPERATIONS = (*APP_OPERATIONS, *TOOLKIT_OPERATIONS, *GATEWAY_OPERATIONS)

_ABOUT = """\
What apps and toolkits ask of a gateway over HTTP. Paths and fields are those of the Agent Tool Protocol, as
AgentToolProtocol 0.2.5 speaks it, and some of the gateway's own. The same messages over WebSockets:
`/ws/v1/atp/llm-client/{api_key}/` and `/ws/v1/atp/toolkit-client/{api_key}/`.

A key belongs in a back end: requests with an `Origin` are refused. Bodies are at most 1 MiB, of a registration 256 KiB,
of a tool's answer 4 MiB. A request that takes too long to arrive is answered with 408, one that is no HTTP with 400, as
text; a method that a path does not have, with 405.
"""

_SCHEMES: dict[str, Json] = {
    name: {"type": "apiKey", "in": "header", "name": "Authorization", "description": f"`ApiKey <key>`, {of}."}
    for name, of in {
        "appKey": "with an app's key: atp-gateway keys create app NAME",
        "toolkitKey": "with a toolkit's key: atp-gateway keys create toolkit NAME",
        "anyKey": "with any key of the gateway; not needed on the gateway's own machine",
    }.items()
}

_REFUSALS = {
    400: "The request cannot be meant.",
    401: "No key, or one that is none, or not any more.",
    403: "The key is for something else, or may not do this; or a browser asks.",
    404: "There is no such thing, as far as this key is concerned.",
    409: "Another toolkit has a tool of that name.",
    413: "More than is taken at once.",
    421: "Asked under a name that is not the gateway's.",
    422: "Understood, and not possible like this.",
    429: "Too many at a time.",
    500: "The gateway's fault: the message has a reference into its log.",
    503: "Not now: the message says what for, and whether to try again.",
}
_FOR_ANY = (400, 403, 421, 500)
_BEHIND_A_KEY = (401, 503)
_WITH_A_BODY = (413,)


def document(operations: Iterable[Operation] = OPERATIONS) -> Json:
    """The whole document. It is the same wherever the gateway runs."""
    paths: dict[str, dict[str, Json]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "ATP Gateway",
            "version": "1",
            "summary": "Tools that act for people.",
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {str(status): _refusal(status, means) for status, means in _REFUSALS.items()},
            "securitySchemes": _SCHEMES,
        },
    }


def _operation(operation: Operation) -> Json:
    has_key = bool(operation.keys) or any(each["name"] == "api_key" for each in operation.parameters)
    more = (*operation.refusals, *(_BEHIND_A_KEY if has_key else ()), *(_WITH_A_BODY if operation.body else ()))
    refusals = sorted({*_FOR_ANY, *more} - operation.answers.keys())
    found: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [_security(name) for name in operation.keys],
        "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()}
        | {str(status): {"$ref": f"#/components/responses/{status}"} for status in refusals},
    }
    if operation.says:
        found["description"] = operation.says
    if operation.parameters:
        found["parameters"] = list(operation.parameters)
    if operation.body:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return found


def _security(name: str) -> dict[str, list[Any]]:
    """One way in. What is no scheme asks for no header: OpenAPI has no word for a key in the body."""
    return {name: []} if name in _SCHEMES else {}


def _answer(answer: Answer) -> Json:
    return {"description": answer.means, "content": dict(answer.content)}


def _refusal(status: int, means: str) -> Json:
    refusal: Json = {"description": means, "content": {"application/json": {"schema": ref("Error")}}}
    if status == 401:
        refusal["headers"] = {"WWW-Authenticate": {"schema": {"const": "ApiKey"}}}
    return refusal

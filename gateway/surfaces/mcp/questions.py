"""A tool's questions in MCP's shape, and the host's answers out of it.

`to_request` makes the message a host understands; `read_answer` believes nothing: what does not have the shape of an
answer to that question is no answer at all. `fingerprint` tells whether a later answer belongs to the same question.

Source: MCP 2025-11-25 Elicitation, Sampling, Roots; MCP 2026-07-28 multi-round-trip requests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import mcp_types as types
from pydantic import ValidationError

from gateway.toolkit.context import Answer, Ask, Form, Roots, Sample, Visit

Request = types.ElicitRequest | types.CreateMessageRequest | types.ListRootsRequest


def to_request(ask: Ask, elicitation_id: str | None = None) -> Request:
    """The MCP request that puts this question to a host. Raises ValueError for one that cannot be sent.

    `elicitation_id` is what a URL question needs when it is pushed (2025-11-25), and must not have otherwise.
    """
    request = _request(ask, elicitation_id)
    request.model_dump_json()  # text that UTF-8 cannot encode is to fail here, inside the tool, not on the wire
    return request


def _request(ask: Ask, elicitation_id: str | None) -> Request:
    match ask:
        case Form(message, schema):
            form = types.ElicitRequestFormParams(message=message, requested_schema=dict(schema))
            return types.ElicitRequest(params=form)
        case Visit(message, url):
            page = types.ElicitRequestURLParams(message=message, url=url, elicitation_id=elicitation_id)
            return types.ElicitRequest(params=page)
        case Sample():
            return types.CreateMessageRequest(params=_sampling(ask))
        case Roots():
            return types.ListRootsRequest()


def _sampling(ask: Sample) -> types.CreateMessageRequestParams:
    messages: list[Mapping[str, Any]]
    if isinstance(ask.messages, str):
        messages = [{"role": "user", "content": {"type": "text", "text": ask.messages}}]
    else:
        messages = list(ask.messages)
    return types.CreateMessageRequestParams(
        messages=[types.SamplingMessage.model_validate(message) for message in messages],
        max_tokens=ask.max_tokens,
        system_prompt=ask.system,
    )


def to_wire(ask: Ask) -> dict[str, Any]:
    """The same request as JSON."""
    return to_request(ask).model_dump(mode="json", by_alias=True, exclude_none=True)


def fingerprint(ask: Ask) -> str:
    """What an answer is bound to: the kind of question and, for a form, what the person was shown."""
    match ask:
        case Form(message, schema):
            shown = json.dumps([message, schema], sort_keys=True, default=str)
            return "form:" + hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        case _:
            return ask.capability


def read_answer(ask: Ask, response: object) -> Answer | None:
    """The answer in a host's response to this question; None where the response is not one."""
    match ask:
        case Form():
            return _elicited(response, ask.schema)
        case Visit():
            return _elicited(response, {})
        case Sample():
            return _read(types.CreateMessageResultWithTools, response)
        case Roots():
            return _read(types.ListRootsResult, response)


def _elicited(response: object, schema: Mapping[str, Any]) -> Answer | None:
    if not isinstance(response, dict):
        return None
    match response.get("action"):
        case "accept":
            content = response.get("content") or {}
            fits = isinstance(content, dict) and jsonschema_rs.is_valid(dict(schema), content)
            return Answer("accept", content) if fits else None
        case "decline" | "cancel" as action:
            return Answer(action)
        case _:
            return None


def _read(shape: type[types.CreateMessageResultWithTools | types.ListRootsResult], response: object) -> Answer | None:
    try:
        result = shape.model_validate(response, by_name=False)
    except ValidationError:
        return None
    return Answer("accept", result.model_dump(mode="json", by_alias=True, exclude_none=True))

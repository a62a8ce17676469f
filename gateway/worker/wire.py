"""How the gateway's values travel between it and a worker: each to JSON, and back the same.

A tool travels as its definition, and is called by name. A result that is plain JSON travels as it is; content
(`Text`, `Image` …) says of what kind it is. Errors stand in `failure`. Below: toolkit. Used at both ends.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from gateway.toolkit.content import Audio, Content, EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.toolkit.context import Answer, Ask, Form, Roots, Sample, Visit
from gateway.toolkit.json_value import compact
from gateway.toolkit.result import to_result
from gateway.toolkit.tool import Annotations, Tool
from gateway.types import Credential, CredentialKind, Requirement

_CONTENT = {kind.__name__: kind for kind in (Text, Image, Audio, ResourceLink, EmbeddedResource)}
_ASKS: dict[str, Callable[..., Ask]] = {"form": Form, "url": Visit, "sampling": Sample, "roots": Roots}


@dataclass(frozen=True, slots=True)
class Definition:
    """All of a Tool but its function and its checks: what a gateway has to know of it, as in `Tool`. Two that
    are equal may stand in different lines."""

    name: str
    toolkit: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    annotations: Annotations
    requirement: Requirement | None
    timeout: float
    origin: str = field(compare=False)


def definition_of(tool: Tool) -> Definition:
    return Definition(**{each.name: getattr(tool, each.name) for each in fields(Definition)})


def definition_to_wire(definition: Definition) -> dict[str, Any]:
    needs = definition.requirement
    told: dict[str, Any] = {each.name: getattr(definition, each.name) for each in fields(Definition)}
    return told | {
        "annotations": asdict(definition.annotations),
        "requirement": needs and [needs.provider, needs.kind.value, sorted(needs.scopes)],
    }


def definition_from_wire(told: Mapping[str, Any]) -> Definition:
    needs = told["requirement"]
    requirement = Requirement(needs[0], CredentialKind(needs[1]), frozenset(needs[2])) if needs else None
    return Definition(**{**told, "annotations": Annotations(**told["annotations"]), "requirement": requirement})


def credential_to_wire(credential: Credential | None) -> dict[str, Any] | None:
    """One access token and what belongs to it. There is nothing to refresh it with."""
    if credential is None:
        return None
    told: dict[str, Any] = {each.name: getattr(credential, each.name) for each in fields(Credential)}
    ends = credential.expires_at
    return told | {
        "scopes": sorted(credential.scopes),
        "extras": dict(credential.extras),
        "expires_at": ends and ends.isoformat(),
    }


def credential_from_wire(told: Mapping[str, Any] | None) -> Credential | None:
    if told is None:
        return None
    ends = told["expires_at"]
    return Credential(
        **{**told, "scopes": frozenset(told["scopes"]), "expires_at": datetime.fromisoformat(ends) if ends else None}
    )


def asks_to_wire(asks: Mapping[str, Ask]) -> dict[str, Any]:
    return {key: asdict(ask) for key, ask in asks.items()}


def asks_from_wire(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Ask]:
    return {
        key: _ASKS[ask["capability"]](**{name: value for name, value in ask.items() if name != "capability"})
        for key, ask in told.items()
    }


def answers_to_wire(answers: Mapping[str, Answer]) -> dict[str, Any]:
    return {key: [answer.action, dict(answer.content)] for key, answer in answers.items()}


def answers_from_wire(told: Mapping[str, Any]) -> dict[str, Answer]:
    return {key: Answer(action, content) for key, (action, content) in told.items()}


def value_to_wire(value: Any, limit: int) -> dict[str, Any]:
    """What a tool returned. InvalidResultError for what cannot be sent, or is larger than `limit` bytes of JSON."""
    result = to_result(value, limit)
    if result.has_structured and not isinstance(value, ToolResult):
        return {"value": result.structured}
    content = [{"kind": type(block).__name__, **_block_to_wire(block)} for block in result.content]
    return {"result": {**_result_fields(result), "content": content}}


def value_from_wire(told: Mapping[str, Any]) -> Any:
    """The same value: JSON, or a ToolResult."""
    if "value" in told:
        return told["value"]
    said = told["result"]
    return ToolResult(**{**said, "content": tuple(map(_block_from_wire, said["content"]))})


def plain(value: Any) -> Any:
    """The nearest JSON to something that a tool wants to log: the host is not to miss a line for one odd value."""
    try:
        return json.loads(compact(value))
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
        return ascii(value)


def _result_fields(result: ToolResult) -> dict[str, Any]:
    return {
        "structured": result.structured,
        "has_structured": result.has_structured,
        "is_error": result.is_error,
    }


def _block_to_wire(block: Content) -> dict[str, Any]:
    told: dict[str, Any] = {each.name: getattr(block, each.name) for each in fields(block)}
    data = told.get("data")
    return told | {"data": base64.b64encode(data).decode()} if isinstance(data, bytes) else told


def _block_from_wire(told: Mapping[str, Any]) -> Content:
    values = {name: value for name, value in told.items() if name != "kind"}
    if values.get("data") is not None:
        values["data"] = base64.b64decode(values["data"])
    block: Content = _CONTENT[told["kind"]](**values)
    return block

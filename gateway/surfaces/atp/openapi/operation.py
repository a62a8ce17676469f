"""What one route takes and answers. Pure data; `document` writes it down.

Above: `app_operations`, `toolkit_operations`, `gateway_operations`. Source: OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A good one: what it means, and its body by media type."""

    means: str
    content: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Operation:
    """`answers` are the good ones and `refusals` the others, by status, beside those that any request may get.

    `keys` are the ways to show a key, of which one will do; empty where everybody may. `body` is a JSON schema.
    """

    method: str
    path: str
    id: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    refusals: Sequence[int] = ()
    keys: Sequence[str] = ()
    body: Json | None = None
    parameters: Sequence[Json] = field(default_factory=tuple)
    says: str = ""


def ref(name: str) -> Json:
    """One of `schemas.SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(means: str, schema: Json) -> Answer:
    """One with a JSON body."""
    return Answer(means, {"application/json": {"schema": schema}})


def in_path(name: str, description: str, example: str, **schema: Any) -> Json:
    """A part of the path."""
    return _parameter("path", name, description, {"minLength": 1, **schema}, example, required=True)


def in_query(name: str, description: str, example: Any, **schema: Any) -> Json:
    return _parameter("query", name, description, schema, example, required=False)


def in_header(name: str, description: str, example: str, **schema: Any) -> Json:
    return _parameter("header", name, description, schema, example, required=False)


def _parameter(place: str, name: str, description: str, schema: Json, example: Any, *, required: bool) -> Json:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }

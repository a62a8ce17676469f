"""What a tool's schemas must be so that no host stumbles over them, checked once when the tool is registered.

One schema that breaks a rule makes a host drop the tool in silence, or refuse the whole list of tools; so it is refused
here, where its author reads the sentence. Whether it is valid JSON Schema is `gateway.toolkit.check`'s business.

Source: MCP 2026-07-28, Tools (`inputSchema`, `outputSchema`) and Transports (custom headers from tool parameters).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import RegistrationError

_LARGEST = 256 * 1024  # bytes of JSON
_DEEPEST = 64

_HEADER = "x-mcp-header"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_HEADER_TYPES = ("string", "integer", "boolean")
_ONE_SCHEMA = (
    *("items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties"),
    *("not", "if", "then", "else", "contentSchema"),
)
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("patternProperties", "dependentSchemas", "$defs", "definitions")

Path = tuple[str, ...]


def object_schema(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of `schema`, safe from later changes, that keeps the rules; else RegistrationError.

    `name` is what the author calls it: `input_schema` or `output_schema`.
    """
    try:
        text = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistrationError(f"{name} is not plain JSON: {error}. Write it as a dict of JSON values.") from None
    if len(text) > _LARGEST:
        raise RegistrationError(
            f"{name} is {len(text)} bytes long; {_LARGEST} are allowed. Describe less of the shape."
        )
    copy = json.loads(text)
    if not isinstance(copy, dict) or copy.get("type") != "object":
        raise RegistrationError(f'{name} has to describe an object: hosts need {{"type": "object", …}} at its root.')
    if _depth(copy) > _DEEPEST:
        raise RegistrationError(
            f"{name} is nested more than {_DEEPEST} deep. Flatten it, or name its parts under $defs."
        )
    _check_headers(copy, name)
    return copy


def _depth(schema: Any) -> int:
    deepest, level = 0, [schema]
    while level:
        deepest += 1
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
    return deepest


def _check_headers(schema: dict[str, Any], name: str) -> None:
    seen: set[str] = set()
    for path, part in _positions(schema):
        if _HEADER not in part:
            continue
        header = part[_HEADER]
        where = f"{name}, {'.'.join(path or ()) or 'its root'}: {_HEADER}"
        if not path:
            raise RegistrationError(f"{where} may stand only on a property that `properties` alone leads to.")
        if not isinstance(header, str) or not _TOKEN.fullmatch(header):
            raise RegistrationError(f"{where} has to be the end of a header's name, such as Region.")
        if part.get("type") not in _HEADER_TYPES:
            raise RegistrationError(f"{where} may stand only on a property of type {', '.join(_HEADER_TYPES)}.")
        if header.lower() in seen:
            raise RegistrationError(f"{where} {header} is used on another property already.")
        seen.add(header.lower())


def _positions(root: dict[str, Any]) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """Every place where a schema stands; with its path where only `properties` lead there, else None."""
    waiting: list[tuple[Path | None, Any]] = [((), root)]
    while waiting:
        path, schema = waiting.pop()
        if not isinstance(schema, dict):
            continue
        yield path, schema
        for name, inner in _mapping(schema.get("properties")):
            waiting.append((None if path is None else (*path, name), inner))
        waiting += [(None, schema.get(keyword)) for keyword in _ONE_SCHEMA]
        waiting += [(None, inner) for keyword in _SCHEMA_LISTS for inner in _listing(schema.get(keyword))]
        waiting += [(None, inner) for keyword in _SCHEMA_MAPS for _, inner in _mapping(schema.get(keyword))]


def _mapping(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""A shipped catalogue entry with its hosts replaced by a twin's, so that the very entry with all its flags is used.

Addresses keep their paths and change their origin; patterns for addresses (`instance_url`) match the twin's origin
alone; variables that only named a host are gone. Everything else stays as it is shipped.

Below: `gateway.providers`. Above: `twin`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.providers.catalogue import SHIPPED

_ORIGIN = re.compile(r"https://[^/]+")
_PATTERN = re.compile(r"[\\\[\](|+*]")  # a regular expression for addresses, not an address
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LEFT_ALONE = {"docs", "notes", "access_page", "name"}


def shipped(provider: str) -> dict[str, Any]:
    """The catalogue's file of a provider, as a table."""
    return tomllib.loads((SHIPPED / f"{provider}.toml").read_text(encoding="utf-8"))


def moved(table: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The same description at another origin, such as `http://127.0.0.1:8080`."""
    found: dict[str, Any] = {
        key: value if key in _LEFT_ALONE else _moved(value, origin)
        for key, value in table.items()
        if key != "variables"
    }
    if variables := table.get("variables"):
        used = set(_PLACEHOLDER.findall(json.dumps(found)))
        kept = {name: about for name, about in variables.items() if name in used}
        found |= {"variables": kept} if kept else {}
    if "api" in found:
        found["api"] = found["api"] | {"hosts": [urlsplit(origin).hostname]}
    return found


def _moved(value: Any, origin: str) -> Any:
    match value:
        case dict():
            return {key: _moved(inner, origin) for key, inner in value.items()}
        case list():
            return [_moved(inner, origin) for inner in value]
        case str() if value.startswith("https://"):
            return re.escape(origin) if _PATTERN.search(value) else _ORIGIN.sub(origin, value, count=1)
    return value


def as_toml(table: Mapping[str, Any]) -> str:
    """A description as a catalogue file holds it."""
    return "\n".join(_lines(table, ()))


def write(table: Mapping[str, Any], path: Path) -> Path:
    """Write a description into a file of the operator's own providers."""
    path.write_text(as_toml(table), encoding="utf-8")
    return path


def _lines(table: Mapping[str, Any], above: tuple[str, ...]) -> list[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items() if key not in inner]
    for key, value in inner.items():
        path = (*above, key)
        lines += ["", f"[{'.'.join(json.dumps(part) for part in path)}]", *_lines(value, path)]
    return lines


def _value(value: Any) -> str:
    """JSON's texts, numbers, booleans and lists of these are TOML's; tables in lists are written on one line."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
        case list():
            return "[" + ", ".join(_value(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)

"""A tool's answer as one JSON value: what ATP has room for, and what a model is given there.

Below: `content`. Above: the ATP surface, and a toolkit's worker (`gateway.toolkit.afar`).
"""

from __future__ import annotations

import base64
from typing import Any

from gateway.toolkit.content import Audio, Content, EmbeddedResource, Image, ResourceLink, Text, ToolResult


def result_value(result: ToolResult) -> Any:
    """A tool's answer as the JSON value that the model gets."""
    if result.is_error:
        return {"error": "\n".join(part.text for part in result.content if isinstance(part, Text))}
    if result.has_structured:
        return result.structured
    if len(result.content) == 1 and isinstance(result.content[0], Text):
        return result.content[0].text
    return [_part(part) for part in result.content]


def _part(part: Content) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(data, mime_type):
            return {"type": "image", "mimeType": mime_type, "data": _base64(data)}
        case Audio(data, mime_type):
            return {"type": "audio", "mimeType": mime_type, "data": _base64(data)}
        case ResourceLink(uri, name, description, mime_type):
            link = {"type": "resource_link", "uri": uri, "name": name}
            return link | _present(description=description, mimeType=mime_type)
        case EmbeddedResource(uri, text, data, mime_type):
            blob = None if data is None else _base64(data)
            return {"type": "resource", "resource": {"uri": uri} | _present(text=text, blob=blob, mimeType=mime_type)}


def _present(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""Done and Failed in MCP's shape, for each revision.

Results are built as the JSON that leaves, once. A revision that lacks a content kind gets the same as text.
`structuredContent` may be any JSON value since 2026-07-28 and only an object before, so anything else stays in the
text alone. Errors leave by `gateway.wire`: as a JSON-RPC error, or as a result with `isError` and our sentence.

Source: MCP Tools, "Tool Result", of each revision; MCP 2026-07-28 Error codes.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS, is_version_at_least

from gateway.errors import CapabilityMissingError, GatewayError
from gateway.toolkit.content import Audio, Content, EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.wire import wire

_REQUIRED: dict[str, dict[str, Any]] = {
    "form": {"elicitation": {"form": {}}},
    "url": {"elicitation": {"url": {}}},
    "sampling": {"sampling": {}},
    "roots": {"roots": {}},
}


def result_to_wire(result: ToolResult, version: str) -> dict[str, Any]:
    """A finished answer as a CallToolResult of this revision."""
    content = [_content(part, version) for part in result.content]
    if not content and result.has_structured:
        content = [_text(json.dumps(result.structured, ensure_ascii=False))]
    encoded: dict[str, Any] = {"content": content, "isError": result.is_error}
    if result.has_structured and (version in MODERN_PROTOCOL_VERSIONS or isinstance(result.structured, dict)):
        encoded["structuredContent"] = result.structured
    return encoded


def error_to_wire(error: GatewayError, version: str) -> dict[str, Any]:
    """An error as a result for the model to read. Raises MCPError for the kinds that leave as a JSON-RPC error."""
    code = wire(error).mcp
    if code is None:
        return failure(error.message)
    if code != MISSING_REQUIRED_CLIENT_CAPABILITY:
        raise MCPError(code, error.message)
    if version not in MODERN_PROTOCOL_VERSIONS:  # the code came with 2026-07-28
        return failure(error.message)
    required = _REQUIRED.get(error.capability, {}) if isinstance(error, CapabilityMissingError) else {}
    raise MCPError(code, error.message, {"requiredCapabilities": required})


def failure(sentence: str) -> dict[str, Any]:
    """A result that says, to a model and to a person, what went wrong and what to do."""
    return {"content": [_text(sentence)], "isError": True}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _content(part: Content, version: str) -> dict[str, Any]:
    match part:
        case Text(text):
            return _text(text)
        case Image(data, mime_type):
            return {"type": "image", "data": _base64(data), "mimeType": mime_type}
        case Audio(data, mime_type):
            if not is_version_at_least(version, "2025-03-26"):
                return _text(f"[audio, {mime_type}, {len(data)} bytes: this host's protocol revision cannot carry it]")
            return {"type": "audio", "data": _base64(data), "mimeType": mime_type}
        case ResourceLink():
            return _link(part, version)
        case EmbeddedResource():
            return {"type": "resource", "resource": _resource(part)}


def _link(link: ResourceLink, version: str) -> dict[str, Any]:
    if not is_version_at_least(version, "2025-06-18"):
        return _text(f"{link.name}: {link.uri}")
    optional = {"description": link.description, "mimeType": link.mime_type}
    return {"type": "resource_link", "uri": link.uri, "name": link.name, **_present(optional)}


def _resource(resource: EmbeddedResource) -> dict[str, Any]:
    body = {"text": resource.text or ""} if resource.data is None else {"blob": _base64(resource.data)}
    return {"uri": resource.uri, **_present({"mimeType": resource.mime_type}), **body}


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

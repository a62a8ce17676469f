"""What a tool's result is made of: MCP's content kinds as plain values, without MCP's library.

A tool may return any of these, or a list of them, to send content as such. Anything else it returns is JSON: see
`gateway.toolkit.result`. Binary data is `bytes` here and base64 on the wire.

Source: MCP 2026-07-28, Tools, "Tool Result".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    data: bytes
    mime_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Audio:
    data: bytes
    mime_type: str = "audio/wav"


@dataclass(frozen=True, slots=True)
class ResourceLink:
    """Points at something the host may fetch by itself."""

    uri: str
    name: str
    description: str | None = None
    mime_type: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedResource:
    """Carries a document: `text`, or `data` for a binary one."""

    uri: str
    text: str | None = None
    data: bytes | None = None
    mime_type: str | None = None


Content = Text | Image | Audio | ResourceLink | EmbeddedResource


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A finished answer. `structured` is the JSON value behind it, when `has_structured`: None is a value too."""

    content: tuple[Content, ...]
    structured: Any = None
    has_structured: bool = False
    is_error: bool = False

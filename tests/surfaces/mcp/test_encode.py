"""One result in the shape of each revision."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import methods
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS

from gateway.surfaces.mcp.encode import result_to_wire
from gateway.toolkit.content import Audio, Content, EmbeddedResource, Image, ResourceLink, Text, ToolResult

ALL: tuple[Content, ...] = (
    Text("t"),
    Image(b"i"),
    Audio(b"a"),
    ResourceLink("https://example.com/", "link", "described", "text/html"),
    EmbeddedResource("test://a", ""),
    EmbeddedResource("test://b", data=b""),
)


@pytest.mark.parametrize("version", KNOWN_PROTOCOL_VERSIONS)
@pytest.mark.parametrize("structured", [{"a": None}, [1], None, 5], ids=repr)
def test_every_revision_accepts_what_it_is_sent(version: str, structured: Any) -> None:
    wire = result_to_wire(ToolResult(ALL, structured, has_structured=True), version)
    expected = {**wire, "resultType": "complete"} if version == "2026-07-28" else wire
    assert methods.serialize_server_result("tools/call", version, expected)["content"] == wire["content"]


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("2024-11-05", ["text", "image", "text", "text", "resource", "resource"]),
        ("2025-03-26", ["text", "image", "audio", "text", "resource", "resource"]),
        ("2025-06-18", ["text", "image", "audio", "resource_link", "resource", "resource"]),
        ("2026-07-28", ["text", "image", "audio", "resource_link", "resource", "resource"]),
    ],
)
def test_a_kind_that_a_revision_lacks_becomes_text(version: str, kinds: list[str]) -> None:
    assert [part["type"] for part in result_to_wire(ToolResult(ALL), version)["content"]] == kinds


def test_a_link_as_text_can_still_be_followed() -> None:
    part = result_to_wire(ToolResult((ALL[3],)), "2025-03-26")["content"][0]
    assert part["text"] == "link: https://example.com/"


@pytest.mark.parametrize(
    ("version", "structured", "sent"),
    [
        ("2026-07-28", None, True),
        ("2026-07-28", [1], True),
        ("2025-11-25", [1], False),
        ("2025-11-25", None, False),
        ("2025-11-25", {"a": 1}, True),
    ],
)
def test_structure_is_any_json_now_and_was_an_object_before(version: str, structured: Any, *, sent: bool) -> None:
    wire = result_to_wire(ToolResult((), structured, has_structured=True), version)
    assert ("structuredContent" in wire) is sent
    assert wire["content"][0]["type"] == "text"

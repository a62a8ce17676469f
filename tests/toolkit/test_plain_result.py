"""A tool's answer as the JSON value that a model gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.toolkit.content import Audio, EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.toolkit.plain_result import result_value


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (ToolResult((Text('{"a": 1}'),), {"a": 1}, has_structured=True), {"a": 1}),
        (ToolResult((Text("null"),), None, has_structured=True), None),
        (ToolResult((Text("hello"),)), "hello"),
        (ToolResult(()), []),
        (ToolResult((Text("no"),), is_error=True), {"error": "no"}),
        (ToolResult((Text("no"), Text("never")), is_error=True), {"error": "no\nnever"}),
        (
            ToolResult((Text("look"), Image(b"\x00\x01"))),
            [{"type": "text", "text": "look"}, {"type": "image", "mimeType": "image/png", "data": "AAE="}],
        ),
        (ToolResult((Audio(b"\x00"),)), [{"type": "audio", "mimeType": "audio/wav", "data": "AA=="}]),
        (
            ToolResult((ResourceLink("https://x.example/", "x"),)),
            [{"type": "resource_link", "uri": "https://x.example/", "name": "x"}],
        ),
        (
            ToolResult((EmbeddedResource("file:///x", data=b"\x00"),)),
            [{"type": "resource", "resource": {"uri": "file:///x", "blob": "AA=="}}],
        ),
    ],
)
def test_every_kind_of_answer_is_json(result: ToolResult, value: Any) -> None:
    assert result_value(result) == value
    json.dumps(value)

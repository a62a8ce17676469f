"""What a schema must be so that no host stumbles over it; held against what the MCP SDK's own client accepts."""

from __future__ import annotations

import pytest
from mcp.shared.inbound import find_invalid_x_mcp_header

from gateway.errors import RegistrationError
from gateway.toolkit.schema_rules import object_schema


def with_header(**part):
    return {"type": "object", "properties": {"region": {"x-mcp-header": "Region", **part}}}


GOOD = [
    with_header(type="string"),
    with_header(type="integer"),
    {
        "type": "object",
        "properties": {"deep": {"type": "object", "properties": {"a": {"type": "boolean", "x-mcp-header": "A"}}}},
    },
    {"type": "object", "properties": {"a": {"const": {"x-mcp-header": 5}}}},
]
BAD = [
    with_header(type="number"),
    with_header(type=["string", "null"]),
    with_header(anyOf=[{"type": "string"}]),
    {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "two words"}}},
    {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": 5}}},
    {"type": "object", "x-mcp-header": "Root"},
    {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}},
    {"type": "object", "$defs": {"a": {"type": "string", "x-mcp-header": "A"}}},
    {"type": "object", "properties": {"a": {"anyOf": [{"type": "string", "x-mcp-header": "A"}]}}},
    {
        "type": "object",
        "properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}},
    },
]


@pytest.mark.parametrize("schema", GOOD)
def test_a_header_that_mcp_allows_is_kept(schema):
    assert find_invalid_x_mcp_header(schema) is None
    assert object_schema(schema, "input_schema") == schema


@pytest.mark.parametrize("schema", BAD)
def test_a_header_that_would_make_hosts_drop_the_tool_is_refused(schema):
    assert find_invalid_x_mcp_header(schema) is not None
    with pytest.raises(RegistrationError, match=r"input_schema, .*: x-mcp-header"):
        object_schema(schema, "input_schema")


@pytest.mark.parametrize("root", [{}, {"type": "array"}, {"type": ["object"]}, {"properties": {}}, [], "object"])
def test_the_root_has_to_be_an_object(root):
    with pytest.raises(
        RegistrationError, match=r'output_schema has to describe an object: hosts need {"type": "object"'
    ):
        object_schema(root, "output_schema")


def test_a_schema_of_python_values_is_refused():
    with pytest.raises(RegistrationError, match="input_schema is not plain JSON"):
        object_schema({"type": "object", "default": {1, 2}}, "input_schema")


def test_a_schema_that_contains_itself_is_refused():
    schema = {"type": "object"}
    schema["properties"] = {"a": schema}

    with pytest.raises(RegistrationError, match="not plain JSON"):
        object_schema(schema, "input_schema")


def test_depth_and_size_are_bounded():
    deep = {"type": "object"}
    for _ in range(40):
        deep = {"type": "object", "properties": {"a": deep}}

    with pytest.raises(RegistrationError, match="nested more than 64 deep"):
        object_schema(deep, "input_schema")
    with pytest.raises(RegistrationError, match="bytes long; 262144 are allowed"):
        object_schema({"type": "object", "description": "x" * 300_000}, "input_schema")


def test_a_malformed_part_is_left_to_the_check():
    odd = {"type": "object", "properties": [], "anyOf": 5, "$defs": "x", "items": None}

    assert object_schema(odd, "input_schema") == odd


def test_later_changes_do_not_reach_the_copy():
    schema = {"type": "object", "properties": {"a": {}}}
    copy = object_schema(schema, "input_schema")

    schema["properties"]["b"] = {}

    assert copy == {"type": "object", "properties": {"a": {}}}

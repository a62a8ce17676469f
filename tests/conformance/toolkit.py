"""The tools that the MCP conformance suites call by name, as an ordinary toolkit.

    atp-gateway serve tests/conformance/toolkit.py

Names, arguments and behaviours are the suites'; the first tool listed is called with no arguments.
"""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from typing import Any

from gateway import (
    Audio,
    CapabilityMissingError,
    Context,
    EmbeddedResource,
    Form,
    Image,
    Roots,
    Sample,
    Text,
    ToolError,
    ToolKitClient,
)

client = ToolKitClient(app_name="conformance")


def red_pixel() -> bytes:
    """A PNG of one red pixel."""

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def silence() -> bytes:
    """A WAV of one millisecond of silence: mono, 16 bit, 8 kHz."""
    samples = b"\x00\x00" * 8
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    body = b"WAVE" + header + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fields(**kinds: str) -> dict[str, Any]:
    """The schema of a form whose fields are all required."""
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
        "required": list(kinds),
    }


@client.tool
def test_simple_text() -> str:
    """Answers with one block of text."""
    return "This is a simple text response for testing."


@client.tool
def test_image_content() -> Image:
    """Answers with one image."""
    return Image(red_pixel())


@client.tool
def test_audio_content() -> Audio:
    """Answers with one sound."""
    return Audio(silence())


@client.tool
def test_embedded_resource() -> EmbeddedResource:
    """Answers with one document."""
    return EmbeddedResource("test://embedded-resource", "This is an embedded resource content.", mime_type="text/plain")


@client.tool
def test_multiple_content_types() -> list[Text | Image | EmbeddedResource]:
    """Answers with a text, an image and a document."""
    document = json.dumps({"test": "data", "value": 123})
    return [
        Text("Multiple content types test:"),
        Image(red_pixel()),
        EmbeddedResource("test://mixed-content-resource", document, mime_type="application/json"),
    ]


@client.tool
def test_error_handling() -> str:
    """Always fails."""
    raise ToolError("This tool intentionally returns an error for testing")


@client.tool
async def test_tool_with_logging(ctx: Context) -> str:
    """Sends three log lines."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.log(line)
        await asyncio.sleep(0)
    return "Logged three times."


@client.tool
async def test_logging_tool(ctx: Context) -> str:
    """Logs, which hosts of 2026-07-28 hear only if they asked for it on this request."""
    await ctx.log("nobody asked for this")
    return "Logged."


@client.tool
async def test_tool_with_progress(ctx: Context) -> str:
    """Reports 0, 50 and 100 of 100."""
    for done in (0, 50, 100):
        await ctx.progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(0)
    return "Progress reported."


@client.tool
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the host's model."""
    answer = await ctx.ask(Sample(prompt, max_tokens=100))
    return f"LLM response: {answer.content.get('content')}"


async def filled_in(ctx: Context, message: str, schema: dict[str, Any]) -> str:
    answer = await ctx.ask(Form(message, schema))
    return f"Elicitation completed: action={answer.action}, content={json.dumps(dict(answer.content))}"


@client.tool
async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the person for two fields."""
    return await filled_in(ctx, message, fields(username="string", email="string"))


@client.tool
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks with a default for every primitive type."""
    properties = {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    }
    return await filled_in(ctx, "Please review your details", {"type": "object", "properties": properties})


def titled(*values: str) -> list[dict[str, str]]:
    return [{"const": value, "title": value.title()} for value in values]


@client.tool
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks with each of the five spellings of a choice."""
    options = ["option1", "option2", "option3"]
    properties: dict[str, Any] = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled("value1", "value2", "value3")},
        "legacyEnum": {"type": "string", "enum": options, "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("value1", "value2", "value3")}},
    }
    return await filled_in(ctx, "Please choose", {"type": "object", "properties": properties})


@client.tool(
    input_schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    }
)
def json_schema_2020_12_tool(**arguments: Any) -> str:
    """Has an input schema with the keywords of JSON Schema 2020-12."""
    return f"Called with {json.dumps(arguments)}"


@client.tool(
    input_schema={"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
)
def test_x_mcp_header(**arguments: str) -> str:
    """Has its region mirrored in a header."""
    return f"region={arguments.get('region')}"


@client.tool
def test_missing_capability(ctx: Context) -> str:
    """Needs a host with sampling."""
    if not ctx.can("sampling"):
        raise CapabilityMissingError("sampling")
    return "The host has sampling."


@client.tool
async def test_streaming_elicitation(ctx: Context) -> str:
    """Asks one thing in the middle of a call."""
    await ctx.ask(Form("Continue?", fields(ok="boolean")), key="confirm")
    return "Thank you."


def test_passing_tool() -> str:
    """Comes and goes."""
    return "Here for now."


@client.tool
def test_trigger_tool_change() -> str:
    """Changes the list of tools."""
    if not client.unregister_tool("test_passing_tool"):
        client.register_tool(test_passing_tool)
    return "The list of tools has changed."


@client.tool
async def test_input_required_result_elicitation(ctx: Context) -> str:
    """Asks for a name."""
    answer = await ctx.ask(Form("What is your name?", fields(name="string")), key="user_name")
    return f"Hello, {answer.content.get('name', 'stranger')}!"


@client.tool
async def test_input_required_result_sampling(ctx: Context) -> str:
    """Asks the host's model."""
    answer = await ctx.ask(Sample("What is the capital of France?", max_tokens=100), key="capital_question")
    return f"The model said: {json.dumps(answer.content.get('content'))}"


@client.tool
async def test_input_required_result_list_roots(ctx: Context) -> str:
    """Asks for the open folders."""
    answer = await ctx.ask(Roots(), key="client_roots")
    return "Roots: " + ", ".join(root["uri"] for root in answer.content.get("roots", []))


@client.tool
async def test_input_required_result_request_state(ctx: Context) -> str:
    """Asks for a confirmation; the state comes back with it."""
    await ctx.ask(Form("Please confirm", fields(ok="boolean")), key="confirm")
    return "state-ok"


@client.tool
async def test_input_required_result_multiple_inputs(ctx: Context) -> str:
    """Asks the person, the model and the host at once."""
    answers = await ctx.ask_all(
        {
            "user_name": Form("What is your name?", fields(name="string")),
            "greeting": Sample("Generate a greeting", max_tokens=50),
            "client_roots": Roots(),
        }
    )
    return f"{len(answers)} answers arrived."


@client.tool
async def test_input_required_result_multi_round(ctx: Context) -> str:
    """Asks one thing after the other."""
    name = await ctx.ask(Form("Step 1: What is your name?", fields(name="string")), key="step1")
    color = await ctx.ask(Form("Step 2: What is your favorite color?", fields(color="string")), key="step2")
    return f"{name.content.get('name')} likes {color.content.get('color')}."


@client.tool
async def test_input_required_result_tampered_state(ctx: Context) -> str:
    """Asks for a confirmation, with a state that must come back as it went."""
    await ctx.ask(Form("Please confirm", fields(ok="boolean")), key="confirm")
    return "state-ok"


@client.tool
async def test_input_required_result_capabilities(ctx: Context) -> str:
    """Asks only for what the host says it can do."""
    asks: dict[str, Form | Sample] = {}
    if ctx.can("form"):
        asks["ask"] = Form("What is your name?", fields(name="string"))
    if ctx.can("sampling"):
        asks["sample"] = Sample("Say hello", max_tokens=50)
    answers = await ctx.ask_all(asks)
    return f"{len(answers)} answers arrived."


client.start()

"""The MCP Inspector: its command line, which can show a person nothing but text, and mcpdo, which can open a link."""

from __future__ import annotations

import json

import pytest

from tests.interop.programs import NODE, ROOT, TOOLKIT, Command, clean_environment, run
from tests.warm import atp_gateway

INSPECTOR = ROOT / "tests/node_modules/@modelcontextprotocol/inspector/clients"
CLI: Command = [NODE, INSPECTOR / "launcher/build/index.js", "--cli"]
MCPDO: Command = [NODE, INSPECTOR / "mcpdo/build/mcp-bin.js"]

TOOL_IS_ERROR = 5


@pytest.fixture
def ask(request, environment):
    """Runs one method on our gateway, reached in the way of the test's parameter: exit status and printed result."""
    way, _, era = request.param.partition("-")
    if way == "stdio":
        before, after = [], ["--", *atp_gateway("stdio", TOOLKIT)]
    else:
        gateway = request.getfixturevalue("gateway_process")
        url = gateway.sse if way == "sse" else gateway.mcp
        before, after = [url, "--transport", way, *(["--protocol-era", era] if era else [])], []

    async def once(method: str, *options: str) -> tuple[int, dict[str, object]]:
        status, printed = await run([*CLI, *before, "--method", method, *options, *after], environment)
        return status, json.loads(printed)

    return once


def reached(*ways: str):
    return pytest.mark.parametrize("ask", ways, indirect=True)


def text_of(result: dict) -> str:
    return result["content"][0]["text"]


@reached("http-modern", "http-legacy", "sse", "stdio")
async def test_its_command_line_lists_and_calls(ask):
    _, listed = await ask("tools/list")
    assert [tool["name"] for tool in listed["tools"]] == ["add", "account"]

    status, answered = await ask("tools/call", "--tool-name", "add", "--tool-arg", "a=2", "--tool-arg", "b=3")
    assert (status, text_of(answered)) == (0, "5")


@reached("http-modern", "http-legacy", "sse")
async def test_a_host_that_shows_only_text_gets_the_link_as_text(ask, consent):
    status, refused = await ask("tools/call", "--tool-name", "account")
    assert status == TOOL_IS_ERROR
    await consent(text_of(refused))

    status, answered = await ask("tools/call", "--tool-name", "account")
    assert (status, text_of(answered)) == (0, "connected as alice@example.com")


@pytest.fixture
async def mcpdo(tmp_path):
    """Runs mcpdo, with a daemon of its own, which is stopped in the end."""
    environment = clean_environment(tmp_path) | {"MCP_INSPECTOR_SECRET_STORE": "file"}
    _, exports = await run([*MCPDO, "private"], environment)
    pairs = [line.removeprefix("export ").split("=", 1) for line in exports.splitlines()]
    environment |= {name: value.strip("'") for name, value in pairs}

    async def once(*arguments: str) -> dict:
        status, printed = await run([*MCPDO, "--format", "json", *arguments], environment)
        assert status in {0, TOOL_IS_ERROR}, printed
        return json.loads(printed)

    yield once
    await run([*MCPDO, "daemon", "stop"], environment)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_mcpdo_asks_for_the_visit_and_gets_the_result_when_told_that_it_is_done(
    mcpdo, gateway_process, consent, era
):
    """In the handshake era this is error -32042, which mcpdo turns into the same question."""
    await mcpdo("connect", "@gw", gateway_process.mcp, "--transport", "http", "--era", era)

    asked = (await mcpdo("--connection", "gw", "tools/call", "account"))["elicitationPending"]
    assert asked["mode"] == "url"
    await consent(asked["url"])
    answered = await mcpdo("--connection", "gw", "elicitation/respond", asked["elicitationId"], "--done")

    assert "connected as alice@example.com" in json.dumps(answered)


async def test_mcpdo_declining_ends_the_call_in_words(mcpdo, gateway_process):
    await mcpdo("connect", "@gw", gateway_process.mcp, "--transport", "http", "--era", "modern")

    asked = (await mcpdo("--connection", "gw", "tools/call", "account"))["elicitationPending"]
    answered = await mcpdo("--connection", "gw", "elicitation/respond", asked["elicitationId"], "--cancel")

    assert "closed the connect link without deciding" in json.dumps(answered)

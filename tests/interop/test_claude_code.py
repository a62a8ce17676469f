"""Claude Code, the program, end to end: it starts or reaches our gateway, and its model calls our tools."""

from __future__ import annotations

import json

import pytest

from gateway.testing.serving import serving
from tests.interop.fake_model import FakeModel
from tests.interop.programs import ATP_GATEWAY, CLAUDE, TOOLKIT, run


@pytest.fixture
def claude(tmp_path, environment):
    """Runs Claude Code once against a server, with a model that wants one call; what it prints in the end."""

    async def once(server: dict[str, object], tool: str, **arguments: object) -> str:
        config = tmp_path / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"gw": server}}))
        model = FakeModel(f"mcp__gw__{tool}", arguments)
        async with serving(model) as url:
            own = {
                "ANTHROPIC_BASE_URL": url,
                "ANTHROPIC_API_KEY": "none",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "ENABLE_TOOL_SEARCH": "false",  # else tools are hidden behind a search that this model never makes
            }
            options = ["--mcp-config", config, "--strict-mcp-config", "--allowedTools", f"mcp__gw__{tool}"]
            status, printed = await run([CLAUDE, "-p", "go", *options], {**environment, **own})
        assert status == 0, printed
        assert {"mcp__gw__add", "mcp__gw__account"} <= model.offered
        return printed

    return once


async def test_it_calls_a_tool_over_http(claude, gateway_process):
    assert "5" in await claude({"type": "http", "url": gateway_process.mcp}, "add", a=2, b=3)


async def test_it_calls_a_tool_over_sse(claude, gateway_process):
    assert "5" in await claude({"type": "sse", "url": gateway_process.sse}, "add", a=2, b=3)


async def test_it_starts_the_gateway_and_calls_a_tool_over_stdio(claude):
    server = {"type": "stdio", "command": str(ATP_GATEWAY), "args": ["stdio", str(TOOLKIT)]}

    assert "5" in await claude(server, "add", a=2, b=3)


async def test_without_a_person_the_model_hears_why_the_account_is_missing_and_then_gets_it(
    claude, gateway_process, link_to_connect, consent
):
    """Printing, Claude Code has nobody to show a link to, and says that it was dismissed."""
    server = {"type": "http", "url": gateway_process.mcp}

    assert "closed the connect link without deciding" in await claude(server, "account")

    await consent(await link_to_connect())
    assert "connected as alice@example.com" in await claude(server, "account")

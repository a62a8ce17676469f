"""Rules on a serving gateway: two groups, by their keys, in both eras' lists; and rules that stop the start."""

from __future__ import annotations

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.access.conftest import Serve, TeamGateway

RULES = """
[access]
keys = true

[[access.rules]]
groups = ["support"]
tools = ["fetch"]
may = "nothing"

[[access.rules]]
groups = ["sales", "support"]
"""


@pytest.fixture(scope="module")
def gateway(serve: Serve) -> TeamGateway:
    return serve(RULES)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_rule_hides_a_tool_from_one_group_in_both_eras(gateway: TeamGateway, mode: str) -> None:
    shown = {}
    for group in ("sales", "support", "nobodys"):
        headers = {"authorization": f"Bearer {gateway.key(group, '--group', group)}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as http,
            Client(streamable_http_client(gateway.mcp, http_client=http), mode=mode) as client,
        ):
            shown[group] = {tool.name for tool in (await client.list_tools()).tools}
            if group == "support":
                with pytest.raises(MCPError, match="Unknown tool: fetch"):
                    await client.call_tool("fetch", {"url": "http://127.0.0.1:1"})

    assert shown == {"sales": {"fetch", "greet", "wipe"}, "support": {"greet", "wipe"}, "nobodys": set()}


def test_rules_that_cannot_be_meant_stop_the_start(gateway: TeamGateway) -> None:
    (gateway.folder / "wrong.toml").write_text(RULES + '[[access.rules]]\ngroups = ["sales"]\n')

    refused = gateway.run("serve", "--config", str(gateway.folder / "wrong.toml"))

    assert refused.returncode == 2
    assert "rule 3 can never decide anything: rule 2 above it fits all that it fits" in refused.stderr

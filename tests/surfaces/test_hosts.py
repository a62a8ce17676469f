"""What is pasted into a host is what that host reads."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from gateway.surfaces.hosts import HOSTS, Http, Stdio, snippet

URL = Http("http://127.0.0.1:8787/mcp")
COMMAND = Stdio("/opt/my tools/atp-gateway", ("stdio", "crm.py"), {"CRM_URL": "http://127.0.0.1:1"})


def pasted(host: str, server: Http | Stdio) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(snippet(HOSTS[host], "crm", server))
    return parsed


def test_claude_code_is_told_on_the_command_line() -> None:
    assert snippet(HOSTS["claude-code"], "crm", URL) == "claude mcp add --transport http crm http://127.0.0.1:8787/mcp"


def test_claude_code_gets_a_command_that_a_shell_reads_back_whole() -> None:
    words = shlex.split(snippet(HOSTS["claude-code"], "crm", COMMAND))

    assert words == [
        "claude", "mcp", "add", "--env", "CRM_URL=http://127.0.0.1:1", "--transport", "stdio", "crm",
        "--", "/opt/my tools/atp-gateway", "stdio", "crm.py",
    ]  # fmt: skip


def test_claude_desktop_starts_the_gateway_itself() -> None:
    assert pasted("claude-desktop", COMMAND) == {
        "mcpServers": {
            "crm": {
                "command": "/opt/my tools/atp-gateway",
                "args": ["stdio", "crm.py"],
                "env": {"CRM_URL": "http://127.0.0.1:1"},
            }
        }
    }
    assert snippet(HOSTS["claude-desktop"], "crm", URL) == URL.url
    with pytest.raises(ValueError, match="give it a URL"):
        snippet(HOSTS["chatgpt"], "crm", COMMAND)


def test_cursor_takes_a_url_or_a_command() -> None:
    assert pasted("cursor", URL) == {"mcpServers": {"crm": {"url": "http://127.0.0.1:8787/mcp"}}}
    assert pasted("cursor", Stdio("atp-gateway")) == {"mcpServers": {"crm": {"command": "atp-gateway", "args": []}}}


def test_vs_code_names_the_kind_of_server() -> None:
    assert pasted("vscode", URL) == {"servers": {"crm": {"type": "http", "url": "http://127.0.0.1:8787/mcp"}}}
    assert pasted("vscode", COMMAND)["servers"]["crm"]["type"] == "stdio"

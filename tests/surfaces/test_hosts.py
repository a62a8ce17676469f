"""What is pasted into a host is what that host reads."""

from __future__ import annotations

import base64
import json
import shlex
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gateway.surfaces.hosts import HOSTS, Http, Stdio, link, snippet

URL = Http("http://127.0.0.1:8787/mcp")
COMMAND = Stdio("/opt/my tools/atp-gateway", ("stdio", "crm.py"), {"CRM_URL": "http://127.0.0.1:1"})


def pasted(host: str, server: Http | Stdio) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(snippet(HOSTS[host], "crm", server))
    return parsed


def test_claude_code_is_told_on_the_command_line() -> None:
    assert (
        snippet(HOSTS["claude-code"], "crm", URL)
        == "claude mcp add --scope user --transport http crm http://127.0.0.1:8787/mcp"
    )


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


def test_windsurf_calls_the_url_otherwise() -> None:
    assert pasted("windsurf", URL) == {"mcpServers": {"crm": {"serverUrl": "http://127.0.0.1:8787/mcp"}}}


def test_a_host_that_starts_its_servers_is_given_a_program_that_passes_on() -> None:
    entry = {"command": "npx", "args": ["-y", "mcp-remote", "http://127.0.0.1:8787/mcp"]}
    assert pasted("mcp-remote", URL) == {"mcpServers": {"crm": entry}}


@pytest.mark.parametrize("host", ["chatgpt", "other"])
def test_where_a_person_types_it_in_it_is_the_url_alone(host: str) -> None:
    assert snippet(HOSTS[host], "crm", URL) == "http://127.0.0.1:8787/mcp"


@pytest.mark.parametrize("host", ["codex", "gemini", "inspector"])
def test_a_line_for_a_terminal_holds_the_url_as_one_word(host: str) -> None:
    assert "http://127.0.0.1:8787/mcp?a=1&b" in shlex.split(snippet(HOSTS[host], "crm", Http(f"{URL.url}?a=1&b")))


@pytest.mark.parametrize("host", ["cursor", "lm-studio"])
def test_a_link_carries_the_entry_in_base64(host: str) -> None:
    query = parse_qs(urlsplit(link(HOSTS[host], "our crm", URL) or "").query)

    assert query["name"] == ["our crm"]
    assert json.loads(base64.b64decode(query["config"][0])) == {"url": "http://127.0.0.1:8787/mcp"}


def test_vs_codes_link_is_the_entry_with_its_name() -> None:
    address = link(HOSTS["vscode"], "crm", URL) or ""

    assert address.startswith("vscode:mcp/install?%7B")
    assert json.loads(unquote(address.partition("?")[2])) == {
        "name": "crm", "type": "http", "url": "http://127.0.0.1:8787/mcp",
    }  # fmt: skip


def test_json_is_laid_out_for_people_and_says_the_same() -> None:
    command = Stdio("/opt/my  tools/atp-gateway", ("a [b]", "{c}  d"), {"CRM": "x"})
    text = snippet(HOSTS["cursor"], "crm", command)

    entry = {"command": command.command, "args": list(command.args), "env": dict(command.env)}
    assert json.loads(text) == {"mcpServers": {"crm": entry}}
    assert '  "args": ["a [b]", "{c}  d"],' in text

"""The commands as a person or a script runs them: what they print, where, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.warm import atp_gateway

Run = Callable[..., subprocess.CompletedProcess[str]]
OTHER_KEY = "3q2+78r+ur4BI0VniavN7wAAESIzRFVmd4iZqrvM3e4="
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}

TOOLKIT = '''
    from gateway import ToolError, ToolKitClient

    client = ToolKitClient(app_name="sums")

    @client.tool
    def add(a: int, b: int = 1) -> int:
        """Adds two numbers."""
        print("a toolkit may print")
        return a + b

    @client.tool
    def echo(text: str) -> dict[str, str]:
        """Gives back what it was given."""
        return {"text": text}

    @client.tool
    def refuse() -> None:
        """Always refuses."""
        raise ToolError("Not on a Monday.")

    @client.tool(auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token")
    def contacts(auth_token: str) -> str:
        """Needs an account."""
        return "never reached"
'''


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "sums.py").write_text(dedent(TOOLKIT))
    (tmp_path / "broken.py").write_text("import gateway\nraise ValueError('half finished')\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    environment |= {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ATP_GATEWAY_VAULT_USE_OS_KEYRING": "false",
        "NO_COLOR": "1",
    }

    def run(*arguments: str, stdin: int = subprocess.DEVNULL, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            atp_gateway(*arguments),
            stdin=stdin,
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_help_names_every_command(run):
    shown = run("--help").stdout
    assert all(name in shown for name in ("stdio", "serve", "demo", "run", "call", "tools", "connect", "connections"))


@pytest.mark.parametrize("command", ["stdio", "serve", "demo", "run", "call", "tools", "connect", "connections"])
def test_every_command_explains_itself(run, command):
    result = run(command, "--help")
    assert result.returncode == 0
    assert "Usage: atp-gateway" in result.stdout + result.stderr


def test_a_mistyped_command_is_answered_with_the_near_one(run):
    result = run("server")
    assert result.returncode == 2
    assert "Did you mean serve?" in result.stderr


def test_tools_lists_names_arguments_and_the_account_needed(run):
    lines = run("tools", "sums.py").stdout
    assert "add a [b]" in lines
    assert "contacts  (hubspot account)" in lines


def test_tools_as_json_is_for_scripts(run):
    tools = json.loads(run("tools", "sums.py", "--json").stdout)
    assert [tool["name"] for tool in tools] == ["add", "echo", "refuse", "contacts"]
    assert tools[3]["provider"] == "hubspot"


def test_a_broken_toolkit_is_named_and_the_others_are_still_listed(run):
    result = run("tools", "broken.py", "sums.py")
    assert result.returncode == 1
    assert "broken.py:2" in result.stderr
    assert "add a [b]" in result.stdout


def test_call_prints_the_result_and_nothing_else_on_stdout(run):
    result = run("call", "-t", "sums.py", "add", "a=2", "b=40")
    assert (result.returncode, result.stdout) == (0, "42\n")


def test_text_arguments_are_never_read_as_json(run):
    assert json.loads(run("call", "-t", "sums.py", "--json", "echo", "text=42").stdout) == {"text": "42"}


def test_a_wrong_argument_is_named(run):
    result = run("call", "-t", "sums.py", "add", "a=two")
    assert result.returncode == 1
    assert "a" in result.stderr


def test_a_tools_own_refusal_is_shown(run):
    result = run("call", "-t", "sums.py", "refuse")
    assert (result.returncode, result.stderr.strip()) == (1, "Not on a Monday.")


def test_an_unconfigured_provider_names_the_missing_setting(run):
    result = run("call", "-t", "sums.py", "contacts")
    assert result.returncode == 1
    assert "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID" in result.stderr


def test_a_call_that_needs_an_account_prints_the_link_and_a_code_of_its_own(run):
    app = {f"ATP_GATEWAY_PROVIDERS__HUBSPOT__{name}": "registered" for name in ("CLIENT_ID", "CLIENT_SECRET")}
    result = run("call", "-t", "sums.py", "--wait", "0", "contacts", **app)
    assert result.returncode == 3
    assert "/connect/" in result.stderr


def test_without_connections_it_says_how_to_get_one(run):
    result = run("connections")
    assert result.returncode == 0
    assert "atp-gateway connect" in result.stderr
    assert run("connections", "--json").stdout.strip() == "[]"


def test_choosing_a_default_that_does_not_exist_is_an_error(run):
    result = run("connections", "--default", "nope")
    assert result.returncode == 1
    assert "You have no connection nope" in result.stderr


def test_a_code_for_another_device_is_refused_until_the_operator_allows_it(run):
    result = run("connect", "github", "--device")
    assert result.returncode != 0
    assert "device_flow = true" in result.stderr


@pytest.mark.parametrize("given", ["subdomain", "=acme", "subdomain="])
def test_a_field_that_is_filled_in_wrongly_is_explained(run, given):
    result = run("connect", "zendesk", "--set", given)
    assert result.returncode == 2
    assert "--set subdomain=acme" in result.stderr


def test_ending_a_connection_that_does_not_exist_is_an_error(run):
    result = run("connections", "--disconnect", "nope")
    assert result.returncode == 1
    assert "nope" in result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_serve_refuses_an_address_that_others_can_reach(run, host):
    result = run("serve", "sums.py", "--host", host)
    assert result.returncode == 2
    assert "everyone who can reach the gateway there would act with your accounts" in result.stderr


def test_a_wrong_setting_is_a_usage_error_that_names_it(run, tmp_path):
    (tmp_path / "gateway.toml").write_text("[server]\nprot = 1\n")
    result = run("serve", "sums.py", "--config", "gateway.toml")
    assert result.returncode == 2
    assert "prot" in result.stderr


def test_no_toolkit_at_all_is_a_usage_error(run):
    result = run("stdio")
    assert result.returncode == 2
    assert "no toolkit was named" in result.stderr


def test_strict_ends_at_the_first_broken_toolkit(run):
    result = run("stdio", "--strict", "broken.py", "sums.py")
    assert result.returncode == 1
    assert "broken.py:2" in result.stderr


def test_the_wrong_vault_key_is_refused_with_where_it_came_from(run, tmp_path):
    assert run("connections").returncode == 0
    result = run("connections", ATP_GATEWAY_VAULT_KEY=OTHER_KEY)
    assert result.returncode == 2
    assert "[vault] key" in result.stderr
    assert OTHER_KEY not in result.stderr


def test_a_host_whose_gateway_has_the_wrong_vault_key_sees_it_end_with_the_sentence(run):
    assert run("connections").returncode == 0
    ask = {"jsonrpc": "2.0", "method": "tools/list", "params": {"_meta": ENVELOPE}}
    from_host, host = os.pipe()
    os.write(host, json.dumps(ask | {"id": 1}).encode() + b"\n")
    result = run("stdio", "sums.py", stdin=from_host, ATP_GATEWAY_VAULT_KEY=OTHER_KEY)
    os.close(host)
    os.close(from_host)
    assert result.returncode == 2
    assert "sealed with vault key" in result.stderr
    assert "previous_keys" in result.stderr


def test_the_database_and_the_key_are_for_their_owner_alone_and_apart(run, tmp_path):
    run("connections")
    database, key = tmp_path / "data/atp-gateway/gateway.db", tmp_path / "config/atp-gateway/vault.key"
    assert database.stat().st_mode & 0o077 == 0
    assert key.stat().st_mode & 0o077 == 0

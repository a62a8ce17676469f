"""`atp-gateway clients`: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from databases import HOME_VARIABLE

from gateway.cli import cli
from gateway.errors import ClientChangeError

Run = Callable[..., Result]


@pytest.fixture
def clients(tmp_path: Path, sqlite_url: str) -> Run:
    environ = {
        HOME_VARIABLE: None,
        "HOME": str(tmp_path),
        "ATP_GATEWAY_DATABASE_URL": sqlite_url,
        "ATP_GATEWAY_ACCESS_BUILTIN": "true",
    }

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(cli, ["clients", *arguments], env=environ | more, standalone_mode=False)

    return run


def test_a_program_is_added_listed_and_ended(clients: Run, sqlite_url: str) -> None:
    added = clients("add", "web", "--name", "Web app", "--redirect-uri", "https://app.example/cb", "--secret")
    again, shown, as_json = clients("add", "web", "--secret"), clients("list"), clients("list", "--json")
    ended, after = clients("revoke", "web"), clients("list")

    secret = added.stdout.strip()
    assert secret.startswith("atpg_client_")
    assert added.stdout.count("\n") == 1
    assert "shown this once" in added.stderr
    assert secret not in added.stderr + shown.output + as_json.output
    assert isinstance(again.exception, ClientChangeError)
    assert shown.stdout.splitlines()[1].split() == ["web", "Web", "app", "clients", "add", "0", "never"]
    assert shown.stdout.splitlines()[2] == "    https://app.example/cb"
    assert json.loads(as_json.stdout)[0]["has_secret"] is True
    assert "is let in no more: 0 grants ended" in ended.stderr
    assert "There are no programs yet" in after.stderr
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database:
        assert secret not in "\n".join(database.iterdump())


def test_programs_of_the_settings_are_listed_and_stay_in_the_settings(clients: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[access.clients.fixed]\nredirect_uris = ["https://app.example/cb"]\n'
        'secret = "0123456789abcdef0123456789abcdef"\n'
    )
    config.chmod(0o600)

    shown, ended = clients("list", "--config", str(config)), clients("revoke", "fixed", "--config", str(config))

    assert "the settings" in shown.stdout
    assert "take [access.clients.fixed] out of them" in ended.stderr


def test_a_public_program_has_no_secret_and_where_nobody_can_come_in_it_says_so(clients: Run) -> None:
    added = clients("add", "app", "--redirect-uri", "http://127.0.0.1/cb", ATP_GATEWAY_ACCESS_BUILTIN="false")
    told = json.loads(clients("add", "bot", "--secret", "--json").stdout)

    assert added.stdout == ""
    assert "[access] builtin = true" in added.stderr
    assert told["client_secret"].startswith("atpg_client_")

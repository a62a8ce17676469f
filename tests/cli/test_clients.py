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
from joserfc.jwk import ECKey

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


def test_a_program_that_proves_itself_by_its_key_has_no_secret(clients: Run, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))

    added, by_url = clients("add", "nightly", "--keys", str(keys)), "https://app.example/keys"
    told = json.loads(clients("add", "hourly", "--keys", by_url, "--json").stdout)

    assert (added.exit_code, added.stdout) == (0, "")
    assert "nightly may ask people for access" not in added.stderr
    assert "comes in its own name" in added.stderr
    assert (told["auth_method"], told["has_secret"], "client_secret" in told) == ("private_key_jwt", False, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "no keys that a program can prove itself by"),
        ("no JSON", "no keys that a program can prove itself by"),
        (json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}), "public keys for signatures"),
        ("[1]", "no keys that a program can prove itself by"),
    ],
    ids=["empty", "no JSON", "a private one", "a list"],
)
def test_what_are_no_keys_is_refused_in_words(clients: Run, tmp_path: Path, text: str, says: str) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(text)

    refused = clients("add", "nightly", "--keys", str(keys)).exception
    assert says in str(refused)
    assert "Leave one of them out" in str(clients("add", "nightly", "--keys", str(keys), "--secret").exception)
    assert "cannot be read" in str(clients("add", "nightly", "--keys", str(tmp_path / "nowhere")).exception)
    assert json.loads(clients("list", "--json").stdout) == []


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

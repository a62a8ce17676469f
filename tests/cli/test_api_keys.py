"""`atp-gateway keys` for API keys: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.warm import atp_gateway

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def keys(tmp_path: Path) -> Run:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    environ |= {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "ATP_GATEWAY_VAULT_USE_OS_KEYRING": "false",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "NO_COLOR": "1",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = atp_gateway("keys", *arguments)
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_a_key_lives_from_create_to_revoke(keys: Run, tmp_path: Path) -> None:
    """As a person would do it; a script catches the key from stdout."""
    url = "https://notes.example/back"
    made = keys("create", "app", "Acme Notes", "--toolkit", "crm", "--return-url", url, "--tenant", "acme")
    text = made.stdout.strip()
    prefix = text[:-37]
    granted = keys("allow", prefix, "--may", "tokens")
    listed = keys("list")
    ended, again, refused = keys("revoke", prefix), keys("revoke", prefix), keys("deny", prefix, "--may", "call")

    assert re.fullmatch(r"atpg_app_[0-9A-Za-z]{43}\n", made.stdout)
    assert "A key for the app Acme Notes of tenant acme" in made.stderr
    assert f"keys revoke {prefix}" in made.stderr
    assert (granted.returncode, granted.stdout) == (0, "")
    assert listed.stdout.splitlines()[1].split("  ")[0] == prefix
    assert listed.stdout.splitlines()[2:4] == [
        "    may call tools, have people connect accounts, read people's raw tokens; sees crm",
        f"    sends people back to {url}",
    ]
    assert "DATA KEY" in listed.stdout
    assert [each.returncode for each in (ended, again, refused)] == [0, 0, 1]
    assert "opens nothing any more" in ended.stderr
    assert "already" in again.stderr
    assert "was revoked" in refused.stderr
    assert all(text not in each.stdout + each.stderr for each in (granted, listed, ended, again, refused))
    assert text not in made.stderr
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database:
        actions = [row[0] for row in database.execute("SELECT action FROM audit ORDER BY at")]
    assert actions == ["key.created", "key.changed", "key.revoked"]
    assert not any(text.encode() in path.read_bytes() for path in tmp_path.glob("gateway.db*"))


def test_a_persons_key_says_for_whom_it_speaks(keys: Run) -> None:
    whose = ("--subject", "bea", "--issuer", "https://login.example", "--group", "sales", "--group", "emea")
    made = keys("create", "person", "nightly report", *whose)
    nobodys = keys("create", "person", "nightly report")
    unvouched = keys("create", "person", "nightly report", "--subject", "bea")
    described = json.loads(keys("list", "--json").stdout)["keys"]

    assert re.fullmatch(r"atpg_person_[0-9A-Za-z]{43}\n", made.stdout)
    assert "A key for the program nightly report" in made.stderr
    assert "acts as bea of https://login.example, in emea, sales" in made.stderr
    assert (nobodys.returncode, unvouched.returncode) == (1, 2)
    assert "--subject" in nobodys.stderr
    assert "--issuer" in unvouched.stderr
    assert [(key["kind"], key["subject"], key["issuer"], key["groups"]) for key in described] == [
        ("person", "bea", "https://login.example", ["emea", "sales"])
    ]


def test_a_script_gets_json_and_nothing_else(keys: Run) -> None:
    made = keys("create", "toolkit", "crm", "--provider", "hubspot", "--json")
    described = json.loads(made.stdout)
    listed = json.loads(keys("list", "--json").stdout)

    assert (made.returncode, made.stderr) == (0, "")
    assert described["key"].startswith(described["prefix"])
    assert (described["kind"], described["name"], described["tenant"]) == ("toolkit", "crm", "default")
    assert described["providers"] == ["hubspot"]
    assert list(listed) == ["keys", "data_keys", "sealed_by_ring_keys"]
    assert listed["keys"] == [{name: value for name, value in described.items() if name != "key"}]


def test_a_key_that_may_not_be_is_a_sentence_and_none_is_made(keys: Run) -> None:
    wrong_name, wrong_right = keys("create", "toolkit", "a b"), keys("create", "app", "x", "--provider", "hubspot")
    misspelt, nothing = keys("create", "toolkit", "crm", "--provider", "hubspt"), keys("allow", "x")

    assert [each.returncode for each in (wrong_name, wrong_right, misspelt, nothing)] == [1, 1, 0, 2]
    assert len(wrong_name.stderr.splitlines()) == len(wrong_right.stderr.splitlines()) == 1
    assert "Did you mean hubspot?" in misspelt.stderr
    assert "Say what to allow" in nothing.stderr
    assert len(json.loads(keys("list", "--json").stdout)["keys"]) == 1

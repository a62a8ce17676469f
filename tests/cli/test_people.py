"""`atp-gateway people`: what it prints, where, and its exit codes."""

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
def people(tmp_path: Path) -> Run:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    environ |= {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "ATP_GATEWAY_VAULT_USE_OS_KEYRING": "false",
        "ATP_GATEWAY_SERVER_PUBLIC_URL": "https://gateway.example/",
        "ATP_GATEWAY_ACCESS_BUILTIN": "true",
        "ATP_GATEWAY_ACCESS_LOCAL_ACCOUNTS": "true",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "NO_COLOR": "1",
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = atp_gateway("people", *arguments)
        return subprocess.run(command, env=environ | more, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_somebody_is_invited_listed_and_let_in_no_more(people: Run, tmp_path: Path) -> None:
    made = people("invite", "Ada@Example.com", "--name", "Ada Lovelace", "--group", "sales")
    again = people("invite", "ada@example.com", "--json")
    listed = people("list")
    ended, refused, begun = (
        people("disable", "ada@example.com"),
        people("invite", "ada@example.com"),
        people("enable", "ada@example.com"),
    )
    unknown = people("disable", "nobody@example.com")

    link = re.fullmatch(r"https://gateway\.example/invitation/([\w-]{43})\n", made.stdout)
    assert link, made.stdout + made.stderr
    assert "works once" in made.stderr
    assert link[1] not in made.stderr
    assert json.loads(again.stdout)["email"] == "ada@example.com"
    cells = re.split(r" {2,}", listed.stdout.splitlines()[1])
    assert cells[1:] == ["Ada Lovelace", "ada@example.com", "sales", "invited", "never"]
    assert [each.returncode for each in (ended, refused, begun, unknown)] == [0, 1, 0, 1]
    assert "people enable ada@example.com" in refused.stderr
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database:
        dump = "\n".join(database.iterdump())
    assert link[1] not in dump


def test_nobody_is_invited_to_what_they_could_not_use(people: Run) -> None:
    refused = people("invite", "ada@example.com", ATP_GATEWAY_ACCESS_LOCAL_ACCOUNTS="false")

    assert refused.returncode == 2
    assert "local_accounts = true" in refused.stderr

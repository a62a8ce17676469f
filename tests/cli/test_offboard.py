"""Somebody leaves: they are let in no more, and what they connected is ended here and at its providers."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from http.server import HTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import ACCESS_PAGE
from tests.warm import atp_gateway, python

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def offboard(run: Run) -> Run:
    def offboarded(person: str, *options: str) -> subprocess.CompletedProcess[str]:
        return run(atp_gateway("people", "offboard", person, "--config", "gateway.toml", *options))

    return offboarded


def came(run: Run, *accounts: str) -> None:
    made = run(python(Path(__file__).with_name("leaver.py"), "ada@example.com", *accounts))
    assert made.returncode == 0, made.stderr


def connected(folder: Path) -> list[str]:
    with closing(sqlite3.connect(next(folder.rglob("gateway.db")))) as database:
        return [name for (name,) in database.execute("SELECT account_id FROM connections")]


def test_all_that_somebody_connected_is_ended_and_nothing_of_anybody_else(
    run: Run, offboard: Run, acme: HTTPServer, tmp_path: Path
) -> None:
    came(run, "ada-at-work", "ada-at-home")

    done = offboard("ada@example.com")

    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "✓ Ada Lovelace cannot sign in any more, and is signed out everywhere."
    assert sorted(lines[1:]) == [
        "✓ Acme, ada-at-home: deleted here. Has confirmed that it ended the access too.",
        "✓ Acme, ada-at-work: deleted here. Has confirmed that it ended the access too.",
    ]
    assert acme.asked == 2
    assert connected(tmp_path) == ["somebody-else"]
    listed = json.loads(run(atp_gateway("people", "list", "--config", "gateway.toml", "--json")).stdout)
    assert [entry["state"] for entry in listed] == ["disabled"]


def test_it_may_be_said_again(run: Run, offboard: Run, acme: HTTPServer) -> None:
    came(run, "ada-at-work")
    offboard("ada@example.com")

    again = offboard("ada@example.com")

    assert again.returncode == 0
    assert "They have no account connected." in again.stderr
    assert acme.asked == 1


def test_what_a_provider_does_not_confirm_is_said_with_where_to_end_it(
    run: Run, offboard: Run, acme: HTTPServer
) -> None:
    acme.status = 503
    came(run, "ada-at-work")

    done = offboard("ada@example.com", "--json")

    told = json.loads(done.stdout)
    assert told["person"] == "Ada Lovelace"
    [ended] = told["connections"]
    assert (ended["account"], ended["revoked_at_provider"]) == ("ada-at-work", "retrying")
    assert ended["access_page"] == ACCESS_PAGE
    assert ended["retried_until"]
    assert "canary" not in done.stdout + done.stderr


def test_each_receipt_is_told_at_once_and_who_interrupts_goes_on_later(
    run: Run, offboard: Run, acme: HTTPServer, tmp_path: Path, environment: dict[str, str]
) -> None:
    came(run, "ada-at-work", "ada-at-home", "ada-abroad")
    acme.answers.clear()  # it takes the request and says nothing
    words = atp_gateway("people", "offboard", "ada@example.com", "--config", "gateway.toml")
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        receipt = next(line for line in process.stderr if "deleted here" in line)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    acme.answers.set()

    again = offboard("ada@example.com")

    assert "Has not confirmed yet" in receipt
    assert process.returncode == 130
    assert "Has confirmed" in again.stderr
    assert connected(tmp_path) == ["somebody-else"]


def test_nobody_of_that_name_is_an_error_and_changes_nothing(
    run: Run, offboard: Run, acme: HTTPServer, tmp_path: Path
) -> None:
    came(run, "ada-at-work")

    done = offboard("bob@example.com")

    assert done.returncode == 1
    assert "There is nobody of that address or id" in done.stderr
    assert acme.asked == 0
    assert len(connected(tmp_path)) == 2

"""`atp-gateway audit`: what it prints, where, and its exit codes; and that an export stands by itself."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.at_rest import open_vault
from gateway.audit import AuditLog
from gateway.audit.arguments import PURPOSE, digest_of
from gateway.clock import SystemClock
from gateway.settings import load_settings
from gateway.store.store import Store
from gateway.types import AuditEvent, Principal
from gateway.vault.key_sources import new_key
from tests.warm import atp_gateway

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
NOW = datetime.now(UTC)
ADA, BOB = Principal("local", "ada"), Principal("https://login.example", "bob", "acme")
EVIL = '=HYPERLINK("http://evil")\x1b[2J\u202e\r\nforged'
Run = Callable[..., subprocess.CompletedProcess[str]]


def events() -> list[AuditEvent]:
    call = AuditEvent(
        "c1", NOW - timedelta(days=3), ADA, "tool.called", "done", client="Cursor", tool="get_contacts",
        provider="hubspot", account="ada@acme.example", duration_ms=1234.5, scopes=frozenset({"b", "a"}),
    )  # fmt: skip
    return [
        replace(call, id="c1.begun", action="tool.begun", outcome="pending", duration_ms=None),
        call,
        replace(call, id="c2.begun", at=NOW, action="tool.begun", outcome="pending", duration_ms=None),
        replace(call, id="c3", at=NOW, client=EVIL, tool=None, outcome="unknown_tool", account="-1+1"),
        replace(call, id="c4", at=NOW, principal=BOB, tool="delete_contact", outcome="tool_error"),
    ]


@pytest.fixture
async def audit(sqlite_url: str, tmp_path: Path) -> Run:
    key = new_key().reveal()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    ours = {"ATP_GATEWAY_DATABASE_URL": sqlite_url, "ATP_GATEWAY_VAULT_KEY": key}
    environ |= ours | {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"}
    store, vault = await open_vault(load_settings(None, ours), SystemClock(), Store.open)

    async def derived() -> bytes:
        return vault.derive(PURPOSE)[0]

    log = AuditLog(store.audit.append, SystemClock(), key=derived)
    for number, event in enumerate(events()):
        log.note(event, digest_of({"id": number}))
    await log.close()
    await store.close()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = atp_gateway("audit", *arguments)
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)

    return run


async def test_the_latest_is_listed_in_plain_words_and_nothing_in_it_commands_the_terminal(audit: Run) -> None:
    listed, some = audit("list"), audit("list", "--person", "ada", "--until", "2d", "-n", "5")
    lines = listed.stdout.splitlines()

    assert listed.returncode == 0
    assert lines[0].split() == ["WHEN", "(UTC)", "WHO", "WHAT", "ACCOUNT", "ASKED", "BY", "TOOK", "HOW", "IT", "ENDED"]
    assert len(lines) == 5, "a call that has ended is there once"
    assert any("delete_contact" in line and "the tool reported an error" in line and "bob" in line for line in lines)
    assert any("no end on record: under way, or cut off" in line for line in lines)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", listed.stdout)
    assert len(some.stdout.splitlines()) == 2
    assert "get_contacts" in some.stdout
    assert "1.2 s" in some.stdout


async def test_a_whole_record_is_said_to_be_whole_with_its_heads_and_what_has_no_end(audit: Run) -> None:
    shown, described = audit("verify"), json.loads(audit("verify", "--json").stdout)

    assert shown.returncode == 0
    assert "✓ acme: 1 rows, whole" in shown.stdout
    assert "✓ default: 4 rows, whole" in shown.stdout
    assert "1 call begun and without an end" in shown.stdout
    assert described["whole"] is True
    heads = [f"{chain['tenant']}={chain['head']}" for chain in described["chains"]]
    assert [chain["unfinished"] for chain in described["chains"]] == [[], ["c2.begun"]]
    assert all(head in shown.stdout for head in (chain["head"] for chain in described["chains"]))
    anchored = audit("verify", *(f"--anchor={head}" for head in heads))
    assert anchored.stdout.count("goes through 1 anchor") == 2
    assert audit("verify", "--anchor", "12:ab").returncode == 2
    gone = audit("verify", "--anchor", f"99:{'0' * 64}")
    assert (gone.returncode, "row 5 is missing" in gone.stdout) == (1, True)


async def test_the_first_row_that_was_changed_is_named_and_the_exit_code_is_1(audit: Run, sqlite_url: str) -> None:
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE audit SET outcome = 'tool_error' WHERE tenant = 'default' AND seq >= 2")
        database.commit()

    shown, described = audit("verify"), audit("verify", "--json")

    assert (shown.returncode, described.returncode) == (1, 1)
    assert "✗ default: row 2 was altered" in shown.stdout
    assert "✓ acme" in shown.stdout
    assert json.loads(described.stdout)["chains"][1]["broken"]["id"] == "c1"


async def test_an_export_can_be_verified_by_whoever_has_it_as_the_docs_say(audit: Run) -> None:
    exported = audit("export", "--tenant", "default").stdout
    program = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert program

    def check(text: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program[1]]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)

    assert check(exported).returncode == 0
    assert "row 2 is not what it was" in check(exported.replace("1234.5", "1.5", 1)).stderr
    assert [json.loads(line).get("unfinished", False) for line in exported.splitlines()] == [False, False, True, False]
    assert exported.isascii()


async def test_an_export_holds_what_was_asked_for_and_its_table_no_formula(audit: Run) -> None:
    lines = list(csv.reader(io.StringIO(audit("export", "--format", "csv").stdout)))
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    by_tool = audit("export", "--tool", "delete_contact").stdout.splitlines()
    by_time = audit("export", "--since", "1d", "--person", "ada").stdout.splitlines()
    by_arguments = audit("export", "--arguments", '{"id": 4}').stdout.splitlines()

    assert [(row["tenant"], row["seq"]) for row in rows] == [("acme", "1"), *(("default", f"{n}") for n in range(1, 5))]
    assert rows[1]["scopes"] == "a b"
    assert rows[4]["client"].startswith("'=HYPERLINK")
    assert rows[4]["account"] == "'-1+1"
    assert not re.search(r"[\x00-\x1f\x7f\u202e]", "".join(rows[4].values()))
    assert [json.loads(line)["id"] for line in by_tool] == ["c4"]
    assert [json.loads(line)["id"] for line in by_time] == ["c2.begun", "c3"]
    assert [json.loads(line)["id"] for line in by_arguments] == ["c4"]
    assert audit("export", "--arguments", "[1]").returncode == 2
    assert audit("export", "--since", "yesterday").returncode == 2

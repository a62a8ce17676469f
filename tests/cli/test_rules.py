"""`atp-gateway rules check`: which rule decides, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import pytest
from click.testing import CliRunner, Result

from gateway.errors import SettingsError, UnknownToolError
from gateway.store.store import Store
from tests.remote.remote_world import KEY, World

RULES = """
[access]
issuer = "https://login.example"

[[access.rules]]
people = ["eve"]
may = "nothing"

[[access.rules]]
annotations = ["destructive"]
may = "see"

[[access.rules]]
groups = ["sales"]
approve = true

[[access.rules]]
apps = ["notes"]
"""
TOOLKIT = '''
from gateway import ToolKitClient
client = ToolKitClient(app_name="crm")

@client.tool
def find():
    """Finds."""

@client.tool(destructive=True)
def wipe():
    """Wipes."""
'''


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    from gateway.cli.rules import command

    for name in [name for name in os.environ if name.startswith("ATP_GATEWAY_")]:
        monkeypatch.delenv(name)
    (tmp_path / "crm.py").write_text(TOOLKIT)
    config = tmp_path / "gateway.toml"

    def run(*arguments: str, rules: str = RULES) -> Result:
        load = f'\n[toolkits]\nload = ["{tmp_path}/crm.py"]\n[database]\nurl = "sqlite:///{tmp_path}/none.db"\n'
        config.write_text(rules + load)
        return CliRunner().invoke(command, ["check", "--config", str(config), *arguments])

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--group", "sales", "--tool", "find"],
            "They see find and may call it, once the person has approved the call: rule 3: groups sales: may call",
        ),
        (["--group", "sales", "--tool", "wipe"], "They see wipe and may not call it: rule 2: annotations destructive"),
        (["ada", "--tool", "find"], "find does not exist for them: no rule fits."),
        (["eve", "--tool", "wipe"], "wipe does not exist for them: rule 1: people https://login.example eve"),
        (["https://other.example eve", "--tool", "wipe"], "They see wipe and may not call it: rule 2"),
        (["--app", "notes", "--tool", "find"], "They see find and may call it: rule 4: apps notes: may call."),
    ],
)
def test_the_rule_that_decides_is_told_in_words(check: Callable[..., Result], arguments: list[str], says: str) -> None:
    assert check(*arguments).output.startswith(says)


def test_without_a_tool_all_are_told(check: Callable[..., Result]) -> None:
    rows = [line.split(maxsplit=3) for line in check("--group", "sales").output.splitlines()]

    assert [row[:2] for row in rows] == [["TOOL", "TOOLKIT"], ["find", "crm"], ["wipe", "crm"]]
    assert "rule 3" in rows[1][3]
    found = json.loads(check("--group", "board", "--json").output)
    assert [(each["tool"], each["may"], each["rule"]) for each in found] == [
        ("find", "nothing", None),
        ("wipe", "see", 2),
    ]


def test_without_rules_it_says_so(check: Callable[..., Result]) -> None:
    assert "everybody who comes in may call every tool" in check("--group", "sales", rules="").output


def test_where_nothing_is_loaded_it_says_how_to_name_toolkits(check: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "crm.py").write_text("from gateway import ToolKitClient\nclient = ToolKitClient(app_name='crm')\n")

    assert "Name their toolkits with --toolkit" in check("--group", "sales").output


def test_what_cannot_be_told_is_a_sentence(check: Callable[..., Result]) -> None:
    assert "write who vouches for them" in check("ada", rules="").output
    assert "--app is for an app's users" in check("ada", "--app", "notes").output
    assert isinstance(check("--tool", "nope").exception, UnknownToolError)
    assert isinstance(check(rules=RULES + "[[access.rules]]\ntools = ['a*b']\n").exception, SettingsError)


async def test_tools_of_toolkits_from_afar_are_told_too(check: Callable[..., Result], tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/none.db")
    world = World(store)
    await world.settled({"look": {"annotations": {"destructive": True}}})
    await world.close()
    await store.close()

    told = await anyio.to_thread.run_sync(lambda: check("--group", "sales", "--tenant", KEY.tenant, "--json"))
    elsewhere = await anyio.to_thread.run_sync(lambda: check("--group", "sales", "--tenant", "other", "--json"))

    assert [(each["tool"], each["may"]) for each in json.loads(told.output)] == [
        ("find", "call"),
        ("wipe", "see"),
        ("look", "see"),
    ]
    assert [each["tool"] for each in json.loads(elsewhere.output)] == ["find", "wipe"]

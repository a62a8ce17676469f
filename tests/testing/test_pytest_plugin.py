"""The fixtures for authors of toolkits, as docs/twins.md shows them: in a pytest of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "twins.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", DOCS, re.DOTALL))
HUBSPOT = str(ROOT / "toolkits" / "hubspot")

QUIET = ("-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:xdist")
"""Plug-ins of ours, which cost every run a second."""


def run(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    for name, code in {**FILES, **{f"{name}.py": code for name, code in files.items()}}.items():
        (folder / name).write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *QUIET, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_documented_tests_pass(tmp_path: Path) -> None:
    assert FILES.keys() == {"conftest.py", "crm.py", "test_crm.py"}

    ended = run(tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed" in ended.stdout


def test_coroutines_and_bundled_toolkits_and_all_four_vendors_will_do(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        "test_all.py",
        test_all=f"""
import pytest
from gateway.pytest_plugin import NotConnectedError

EVENTS = "https://www.googleapis.com/auth/calendar.events"

@pytest.fixture
def toolkit():
    return {HUBSPOT!r}

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_a_coroutine(gateway_client, hubspot_twin):
    gateway_client.connect("hubspot")
    assert len(gateway_client.call("get_contacts")["results"]) == 3
    gateway_client.disconnect("hubspot")
    assert hubspot_twin.log.count("revoke") == 1
    with pytest.raises(NotConnectedError):
        gateway_client.call("get_contacts")

def test_everyone(google_twin, salesforce_twin, microsoft_twin, hostile_twin, gateway_client):
    gateway_client.connect("google", untick=[EVENTS])
    for provider in ("salesforce", "microsoft", "hostile"):
        gateway_client.connect(provider, user="bob")
    assert google_twin.log.count("code") == microsoft_twin.log.count("code") == 1

def test_a_consent_that_fails(gateway_client, hostile_twin):
    hostile_twin.script.add({{"on": "code", "fault": "html", "times": None}})
    with pytest.raises(NotConnectedError, match="ended with"):
        gateway_client.connect("hostile")
""",
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed" in ended.stdout


def test_who_names_no_toolkit_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    ended = run(
        tmp_path,
        "test_none.py",
        conftest='pytest_plugins = ["gateway.pytest_plugin"]',
        test_none="def test_it(gateway_client): pass",
    )

    assert ended.returncode == 1
    assert "needs a fixture `toolkit`" in ended.stdout


@pytest.mark.parametrize("module", ["gateway.pytest_plugin"])
def test_the_plugin_costs_nothing_until_it_is_used(module: str) -> None:
    program = f"import sys, {module}; print(*({{'starlette', 'httpx2', 'mcp', 'sqlalchemy'}} & sys.modules.keys()))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert finished.stdout.split() == []

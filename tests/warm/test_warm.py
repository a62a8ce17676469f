"""A command out of the warm source is, to whoever started it, the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.warm import atp_gateway

SCRIPT = """
import json, os, sys
print(json.dumps([os.getpid(), sys.argv[1:], os.getcwd(), os.environ.get("GIVEN"), sys.stdin.read()]), flush=True)
sys.stderr.write("said\\n")
if sys.argv[1] == "end":
    sys.exit(7)
while True:
    os.sched_yield() if sys.argv[1] == "spin" else os.kill(os.getpid(), 9)
"""
HEARD = {"capture_output": True, "text": True, "timeout": 60}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs the script, in the folder and environment of the test."""
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - {"PATH", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIVEN", "é")
    return atp_gateway("run", "script.py")


def test_it_has_its_own_arguments_environment_folder_and_streams(command: list[str], tmp_path: Path) -> None:
    ended = subprocess.run([*command, "end", "b c"], input="typed", check=False, **HEARD)
    assert (ended.returncode, ended.stderr) == (7, "said\n")
    assert json.loads(ended.stdout)[1:] == [["end", "b c"], str(tmp_path), "é", "typed"]


def test_one_that_dies_of_a_signal_is_seen_to(command: list[str]) -> None:
    ended = subprocess.run([*command, "kill"], input="", check=False, **HEARD)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_hears_signals_and_is_killed_with_what_stands_for_it(command: list[str], number: signal.Signals) -> None:
    with subprocess.Popen([*command, "spin"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.stdout.read() == b""  # all who could write to it are gone
    assert process.returncode == (130 if number == signal.SIGINT else -number)

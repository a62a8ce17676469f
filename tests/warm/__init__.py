"""`atp-gateway` and scripts of the tests as processes, without the second of CPU that their imports take.

For tests that are not about the start. One process for each worker of the run has imported what commands need. For a
command it forks, and the copy gets that command's own arguments, environment, folder and standard streams. What a test
starts, waits for and signals is a stand-in, which hands those over and ends as the command does. One that is killed
takes its command along, a moment later: wait until a pipe that the command writes to is at its end.

`source` is what has imported everything, `standin` what a test starts. A plug-in of the tests' conftest.py: it ends the
source with the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STARTS = 60
"""Seconds within which the source has imported everything."""

_source: list[subprocess.Popen[bytes]] = []
_folder = tempfile.TemporaryDirectory(prefix="atp-gateway-warm-", ignore_cleanup_errors=True)


def atp_gateway(*arguments: str | Path) -> list[str]:
    """`atp-gateway` with these arguments: a command to start, in whatever environment and folder."""
    return _command("atp-gateway", *arguments)


def python(script: str | Path, *arguments: str | Path) -> list[str]:
    """The same for a script, as `python SCRIPT` would run it."""
    return _command(script, *arguments)


def _command(*words: str | Path) -> list[str]:
    path = f"{_folder.name}/source"
    if not _source:
        _source.append(_started(path))
    return [sys.executable, "-IS", str(HERE / "standin.py"), path, *map(str, words)]


def _started(path: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    environ = {name: text for name, text in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    process = subprocess.Popen(
        [sys.executable, HERE / "source.py", path],
        env=environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=pipe,
        stdout=pipe,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def pytest_unconfigure(config: pytest.Config) -> None:
    for process in _source:
        process.communicate(timeout=STARTS)
    _source.clear()
    _folder.cleanup()

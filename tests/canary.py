"""The canary: over the whole run, no token or code reaches a file that it should not be in.

Every code and token of the fake authorization server begins with one mark. When the run is over, everything that it
left behind is searched for that mark, in the encodings a token may travel in: the databases with their journals, the
logs of all processes, and what this process logged, through the formatter that the product uses. One hit fails the run.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.redaction import RedactingFormatter
from gateway.testing.grants import MARK

LOG = "canary.log"


def marks() -> list[bytes]:
    """The mark as it looks raw, reversed, in hex, and in base64 at its three alignments."""
    raw = MARK.encode()
    found = [raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        found.append(encoded[(0, 2, 3)[offset] : -1])
    return found


def leaks(folder: Path) -> Iterator[Path]:
    """The files below the folder that hold the mark."""
    wanted = marks()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(mark in content for mark in wanted):
                yield path


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FOLDERS] = set()


@pytest.fixture(scope="session", autouse=True)
def canary_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what this process logs, as the product would write it."""
    handler = logging.FileHandler(tmp_path_factory.getbasetemp() / LOG)
    handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    handler.close()


_FOLDERS = pytest.StashKey[set[Path]]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the process that started the run: search what all its workers left."""
    if hasattr(session.config, "workerinput"):
        return
    folder: Path = session.config._tmp_path_factory.getbasetemp()  # pytest gives this to fixtures only
    found = list(leaks(folder))
    session.config.stash[_FOLDERS] = set(found)
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for path in sorted(config.stash[_FOLDERS]):
        terminalreporter.write_line(f"LEAK: a code or token of the fake server stands in {path}", red=True)

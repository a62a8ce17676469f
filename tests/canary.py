"""The canary: over the whole run, no token or code reaches a file that it should not be in.

Every code and token of the fake authorization server begins with one mark. When the run is over, everything that it
left behind is searched for that mark, in the encodings a token may travel in: the databases with their journals, the
logs of all processes, what this process logged, through the formatter that the product uses, and what the gateways in
it answered: pages, results, errors, and where they sent a browser. One hit fails the run.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.redaction import RedactingFormatter
from gateway.surfaces.edge import Edge
from gateway.testing.grants import MARK

LOG, ANSWERS = "canary.log", "canary.answers"
HANDS_OUT_TOKENS = "/api/v1/atp/llm-client/oauth/tokens/"  # what its setting allows and its page warns of


def marks(text: str = MARK) -> list[bytes]:
    """A text as it looks raw, reversed, in hex, and in base64 at its three alignments."""
    raw = text.encode()
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


@pytest.fixture(scope="session", autouse=True)
def canary_answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what leaves through the edge of every gateway in this process."""
    plain = Edge.__call__
    with (tmp_path_factory.getbasetemp() / ANSWERS).open("wb") as kept, pytest.MonkeyPatch.context() as patch:

        async def tapped(edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
            async def send_and_keep(message: Message) -> None:
                if message["type"] == "http.response.start":
                    kept.write(b"\n%s\n" % b"\n".join(value for _, value in message["headers"]))
                kept.write(message.get("body", b""))
                await send(message)

            hands_out = scope.get("path", "").startswith(HANDS_OUT_TOKENS)
            await plain(edge, scope, receive, send if hands_out else send_and_keep)

        patch.setattr(Edge, "__call__", tapped)
        yield


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

"""Commands that run in the tests' own process leave its log as it was: levels that others need, and the canary.

And a provider that can be asked to end what it granted, with what runs a command that knows it.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from gateway.cli import logs

ROOT = Path(__file__).parents[2]
ACCESS_PAGE = "https://acme.example/apps"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    names = ("gateway", "toolkit", *logs._CHATTY, *logs._TOO_CHATTY)
    levels = {logger: logger.level for logger in (logging.root, *map(logging.getLogger, names))}
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    for logger, level in levels.items():
        logger.setLevel(level)
    logging.captureWarnings(capture=False)


class Acme(BaseHTTPRequestHandler):
    """Answers everything with the server's `status`, once it `answers`, and counts."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.server.answers.wait(20)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Not on the tests' own output."""


@pytest.fixture
def acme() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Acme) as server:
        server.status, server.asked, server.answers = 200, 0, Event()
        server.answers.set()
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(tmp_path: Path, acme: HTTPServer) -> dict[str, str]:
    """For a command in `tmp_path`, where a gateway.toml knows that provider."""
    url = f"http://127.0.0.1:{acme.server_port}"
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers" / "acme.toml").write_text(
        f"""
        name = "Acme"
        authorization_url = "{url}/authorize"
        token_url = "{url}/token"
        access_page = "{ACCESS_PAGE}"
        [revocation]
        url = "{url}/revoke"
        ends_all = true
        """
    )
    (tmp_path / "gateway.toml").write_text(
        '[catalogue]\nfolder = "providers"\n[providers.acme]\nclient_id = "our id"\nclient_secret = "our secret"\n'
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    environment |= {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ATP_GATEWAY_VAULT_USE_OS_KEYRING": "false",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT),
    }
    return environment


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run

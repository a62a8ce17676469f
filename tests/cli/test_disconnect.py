"""The receipt on the command line: what is so here, what is so at the provider, and what to do by hand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.warm import atp_gateway, python

ROOT = Path(__file__).parents[2]
ACCESS_PAGE = "https://acme.example/apps"
Run = Callable[..., subprocess.CompletedProcess[str]]


class Acme(BaseHTTPRequestHandler):
    """Answers everything with the server's `status`, and counts."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Not on the tests' own output."""


@pytest.fixture
def acme() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Acme) as server:
        server.status, server.asked = 200, 0
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def run(tmp_path: Path, acme: HTTPServer) -> Run:
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

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@contextmanager
def disconnected(run: Run, *accounts: str) -> Iterator[str]:
    """What is printed when the first of these connections is ended, which is gone then."""
    held = run(python(Path(__file__).with_name("holder.py"), *accounts))
    assert held.returncode == 0, held.stderr
    shown = run(atp_gateway("connections", "--config", "gateway.toml", "--disconnect", held.stdout.strip()))
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "✓ Acme is disconnected." in shown.stderr
    assert "canary" not in shown.stderr
    yield shown.stderr
    again = run(atp_gateway("connections", "--config", "gateway.toml", "--json"))
    assert again.stdout.strip() == "[]"


def test_a_provider_that_confirms_leaves_nothing_to_do(run: Run, acme: HTTPServer) -> None:
    with disconnected(run, "alice") as shown:
        assert "Acme  Has confirmed that it ended the access too." in shown
        assert ACCESS_PAGE not in shown
    assert acme.asked == 1


def test_a_provider_that_is_down_is_asked_again_and_the_person_need_not_wait(run: Run, acme: HTTPServer) -> None:
    acme.status = 503
    with disconnected(run, "alice") as shown:
        assert "Acme  Has not confirmed yet that it ended the access. It is asked again until " in shown
        assert f"you can remove the access at Acme yourself. {ACCESS_PAGE}" in shown
    assert acme.asked == 1


def test_an_access_that_others_use_too_is_left_and_the_person_is_told_where_it_ends(run: Run, acme: HTTPServer) -> None:
    with disconnected(run, "alice", "alice") as shown:
        assert "Acme  Was not asked: another connection here uses the same access." in shown
        assert f"remove the access at Acme yourself. {ACCESS_PAGE}" in shown
    assert acme.asked == 0

"""The receipt on the command line: what is so here, what is so at the provider, and what to do by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from pathlib import Path

from tests.cli.conftest import ACCESS_PAGE
from tests.warm import atp_gateway, python

Run = Callable[..., subprocess.CompletedProcess[str]]


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

"""The demo's lines fit the terminal, and are plain where colour is not wanted."""

from __future__ import annotations

import io
import sys

import pytest

from gateway.cli.narrator import Narrator

LONG = "a sentence that goes on for a good while, so that no terminal of forty columns can hold it on one line"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(monkeypatch: pytest.MonkeyPatch, columns: int, *, no_color: str = "") -> str:
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys, "stdout", screen)
    narrator = Narrator()
    narrator.title("A title", LONG)
    narrator.step("A step")
    narrator.says("agent", LONG)
    narrator.aside(LONG)
    narrator.good(LONG)
    narrator.verbatim("Host", "where", f"{LONG} {LONG}")
    return screen.getvalue()


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_lines_fit_the_terminal_but_for_what_is_to_be_copied(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = told(monkeypatch, columns, no_color="1").splitlines()

    assert max(len(line) for line in lines[:-1]) <= min(columns, 92)
    assert lines[-1] == f"    {LONG} {LONG}"


def test_a_terminal_gets_colour_and_no_color_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in told(monkeypatch, 80)
    assert "\x1b[" not in told(monkeypatch, 80, no_color="1")


def test_a_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    Narrator().says("agent", "hello")

    assert capsys.readouterr().out == "    agent    hello\n"

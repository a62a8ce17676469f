"""How the demo tells its story on a terminal: who says what, step by step.

Fits the terminal's width, down to a narrow one; colour only on a terminal, and never against NO_COLOR. Lines to copy
(`verbatim`) are never wrapped. Above: the demo.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

import click

_WIDEST, _NARROWEST = 92, 40
_SPEAKER = 9
_COLOURS = {"agent": "cyan", "gateway": "magenta", "person": "yellow", "CRM": "blue", "vendor": "blue"}


class Narrator:
    """Prints to stdout."""

    def __init__(self) -> None:
        self._width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns - 1))
        self._colour = False if os.environ.get("NO_COLOR") else None
        self._steps = 0
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode shows ? for an arrow

    def title(self, text: str, under: str) -> None:
        self._echo()
        self._echo(click.style(f"  {text}", bold=True))
        self.text(under)

    def gap(self) -> None:
        self._echo()

    def step(self, title: str) -> None:
        self._steps += 1
        self._echo()
        self._echo(f"  {click.style(f' {self._steps} ', reverse=True)} {click.style(title, bold=True)}")

    def says(self, who: str, text: str) -> None:
        """A line of one of the players, wrapped beside their name."""
        name = click.style(f"{who:<{_SPEAKER}}", fg=_COLOURS.get(who))
        self._wrapped(text, f"    {name}", 4 + _SPEAKER)

    def aside(self, text: str) -> None:
        """A detail for who wants it: one dim line."""
        self._echo(click.style(f"    {'':<{_SPEAKER}}{text}"[: self._width], dim=True))

    def good(self, text: str) -> None:
        self._wrapped(text, f"    {click.style('✓', fg='green')} ", 6)

    def text(self, text: str) -> None:
        self._wrapped(text, "  ", 2)

    def verbatim(self, heading: str, where: str, lines: str) -> None:
        """Something to copy, under its name and the place it goes to."""
        self._echo()
        self._echo(f"  {click.style(heading, bold=True)}  {click.style(where, dim=True)}")
        for line in lines.splitlines():
            self._echo(f"    {line}")

    def _wrapped(self, text: str, prefix: str, indent: int) -> None:
        room = max(20, self._width - indent)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        self._echo(prefix + lines[0])
        for line in lines[1:]:
            self._echo(" " * indent + line)

    def _echo(self, line: str = "") -> None:
        click.echo(line, color=self._colour)

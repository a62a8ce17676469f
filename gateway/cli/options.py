"""Options that several commands share, and how commands report: on the toolkits they loaded, and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gateway.errors import SettingsError
from gateway.settings import CONFIG_VARIABLE, Settings, forget_variables, load_settings
from gateway.toolkit.loader import LoadReport

config = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONFIG_VARIABLE,
    help="A gateway.toml.",
)
strict = click.option("--strict", is_flag=True, help="Stop when a toolkit is broken, instead of going on without it.")
toolkits = click.argument("toolkits", nargs=-1, metavar="TOOLKIT...")
isolation = click.option(
    "--isolation",
    type=click.Choice(["inline", "process"]),
    help="process: run each toolkit in worker processes of its own, apart from the gateway.",
)
with_toolkits = click.option(
    "-t", "--toolkit", "toolkits", multiple=True, metavar="TOOLKIT", help="A .py file, a folder or a dotted module."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def settings_for(config: Path | None, **changes: Any) -> Settings:
    """The settings, with what the command line says about a section put over them: `server={"port": 1}`.

    They are read once: what a tool starts does not find them in its environment.
    """
    from dataclasses import replace

    settings = load_settings(config)
    forget_variables()
    for section, values in changes.items():
        given = {name: value for name, value in values.items() if value is not None}
        settings = replace(settings, **{section: replace(getattr(settings, section), **given)})
    return settings


def for_toolkits(strict: bool, isolation: str | None) -> dict[str, Any]:
    """What the options of the same names say, for `settings_for(toolkits=…)`."""
    return {"strict": strict or None, "isolation": isolation and (isolation,)}


def named(toolkits: Sequence[str], settings: Settings) -> Sequence[str]:
    """The toolkits of the command line, or those of the settings. SettingsError when there are none."""
    chosen = toolkits or settings.toolkits.load
    if not chosen:
        raise SettingsError(
            "no toolkit was named. Name a .py file, a folder or a dotted module, or set [toolkits] load."
        )
    return chosen


def report(loaded: LoadReport) -> None:
    """Say on stderr which toolkits are broken, and why."""
    for error in loaded.errors:
        click.secho(f"✗ {error}", fg="red", err=True)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a bold head, in columns."""
    for number, line in enumerate(columns([head, *rows])):
        click.secho(line, bold=number == 0)

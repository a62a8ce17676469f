"""`atp-gateway doctor [URL]`: what breaks connectors, and what mends each.

Exit code 1 if something keeps clients out. Below: `gateway.doctor`.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options

if TYPE_CHECKING:
    from gateway.doctor.finding import Finding
    from gateway.settings import Settings

_MARKS = {"fine": ("✓", "green"), "doubtful": ("!", "yellow"), "broken": ("✗", "red"), "skipped": ("·", "bright_black")}
_INDENT = 18


@click.command("doctor")
@click.argument("url", required=False)
@options.config
@options.as_json
def command(url: str | None, config: Path | None, as_json: bool) -> int:
    """Find what keeps programs from a gateway, and say how to mend it.

    Looks from here, as a client would: port, certificate, challenge, the documents at every place where clients look,
    the issuer, registration, browsers, the clocks. Without URL, at the gateway of the settings. Nothing is changed, and
    nobody is logged in.
    """
    import anyio

    settings = options.settings_for(config)
    findings = anyio.run(_examined, url or _address(settings), settings if config else None, as_json)
    broken = [each for each in findings if each.state == "broken"]
    if as_json:
        listed = [
            {"topic": each.topic, "state": each.state.value, "text": each.text, "mend": each.mend} for each in findings
        ]
        click.echo(json.dumps({"healthy": not broken, "findings": listed}, indent=2, ensure_ascii=False))
    else:
        _sum_up(findings)
    return 1 if broken else 0


def _address(settings: Settings) -> str:
    return settings.server.public_url or f"http://127.0.0.1:{settings.server.port}"


async def _examined(url: str, known: Settings | None, quiet: bool) -> list[Finding]:
    from gateway.doctor.examine import examine
    from gateway.doctor.place import Place

    if not quiet:
        click.echo(f"\n  {click.style('ATP Gateway doctor', bold=True)}  {Place.of(url).origin}\n")
    findings = []
    said = (known.server.public_url, known.exposed) if known else (None, None)
    async for finding in examine(url, *said):
        findings.append(finding)
        if not quiet:
            _show(finding)
    return findings


def _show(finding: Finding) -> None:
    mark, color = _MARKS[finding.state]
    width = min(shutil.get_terminal_size().columns, 110) - _INDENT - 1
    first, *more = textwrap.wrap(finding.text, width, break_long_words=False, break_on_hyphens=False)
    click.echo(f"  {click.style(mark, fg=color, bold=True)} {finding.topic:<{_INDENT - 4}}{first}")
    for line in more:
        click.echo(" " * _INDENT + line)
    for number, line in enumerate(
        textwrap.wrap(finding.mend, width - 2, break_long_words=False, break_on_hyphens=False)
    ):
        click.secho(f"{' ' * _INDENT}{'  ' if number else '→ '}{line}", fg=color)


def _sum_up(findings: list[Finding]) -> None:
    broken, doubtful = (sum(each.state == state for each in findings) for state in ("broken", "doubtful"))
    if broken:
        things = "One thing keeps" if broken == 1 else f"{broken} things keep"
        click.secho(f"\n  {things} clients out. Mend the first, and look again.\n", fg="red", bold=True)
    elif doubtful:
        things = "One thing" if doubtful == 1 else f"{doubtful} things"
        click.secho(f"\n  Clients can come in. {things} may keep some of them out.\n", fg="yellow", bold=True)
    else:
        click.secho("\n  All is well.\n", fg="green", bold=True)

"""The record of what was done, and whether it is whole, as people read it in a terminal. Above: `gateway.cli.audit`.

Names of programs, tools and accounts are strangers' choices: what could deceive the eye, or command a terminal, is
replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway.audit.verification import Chain
from gateway.cli import options
from gateway.store.audit_chain import Entry
from gateway.surfaces.browser.plain_text import name, visible
from gateway.surfaces.web.event_words import took, words_for

_COLOURS = {"well": "green", "waiting": "yellow", "badly": "red"}
_MOST_UNFINISHED = 10
_NONE = "-"
_WIDEST = 40


def show(entries: Sequence[Entry]) -> None:
    """A table, the end of each event in its colour. Whose it was is said where it is not all one person's."""
    several = len({entry.event.principal for entry in entries}) > 1
    who = ("WHO",) if several else ()
    rows, looks = [("WHEN (UTC)", *who, "WHAT", "ACCOUNT", "ASKED BY", "TOOK", "HOW IT ENDED")], [""]
    for entry in entries:
        event, words = entry.event, words_for(entry.event)
        is_call = event.action in ("tool.called", "tool.begun")
        what = event.tool if is_call and event.tool else words.action
        account = " ".join(part for part in (event.provider, event.account) if part)
        told, known = event.client or "", event.client_id or ""
        by = f"{told} ({known})" if told and known and known != told else told or known
        cells = (*((event.principal.subject,) if several else ()), what, account, by)
        shown = (visible(cell, _WIDEST) or _NONE for cell in cells)
        end = visible(words.outcome, _WIDEST)
        rows.append((f"{event.at:%Y-%m-%d %H:%M:%S}", *shown, took(event.duration_ms) or _NONE, end))
        looks.append(words.look)
    for line, row, look in zip(options.columns(rows), rows, looks, strict=True):
        if not look:
            click.secho(line, bold=True)
        else:
            click.echo(line.removesuffix(row[-1]) + click.style(row[-1], fg=_COLOURS[look]))


def report(chains: Sequence[Chain]) -> None:
    for chain in chains:
        if chain.broken is None:
            period = f"{chain.since:%Y-%m-%d} to {chain.until:%Y-%m-%d}" if chain.since and chain.until else "empty"
            click.secho(f"✓ {name(chain.tenant)}: {chain.rows:,} rows, whole", fg="green", nl=False)
            click.echo(f"  {period}")
            click.secho(f"  head {chain.head}", dim=True)
        else:
            click.secho(f"✗ {name(chain.tenant)}: row {chain.broken.seq} {chain.broken.what}", fg="red")
            if chain.broken.event_id:
                click.echo(f"  its id is {name(chain.broken.event_id)}")
            click.echo(f"  {chain.rows:,} rows before it are right")
        if chain.pruned_to is not None:
            click.echo(f"  rows up to {chain.pruned_to.seq:,} were removed by [audit] keep_days")
        if chain.anchors:
            click.echo(f"  goes through {chain.anchors} anchor{'s' * (chain.anchors > 1)}")
        _report_unfinished(chain)
    if not chains:
        click.echo("There is nothing on record yet.", err=True)


def _report_unfinished(chain: Chain) -> None:
    if not chain.unfinished:
        return
    count = len(chain.unfinished)
    click.secho(
        f"  {count} call{'s' * (count > 1)} begun and without an end: under way, or cut off when a gateway was killed",
        fg="yellow",
    )
    for event in list(chain.unfinished.values())[-_MOST_UNFINISHED:]:
        click.echo(f"    {event.at:%Y-%m-%d %H:%M:%S}  {name(event.tool or '')}  {name(event.principal.subject)}")


def described(chain: Chain) -> dict[str, Any]:
    broken = chain.broken
    return {
        "tenant": chain.tenant,
        "rows": chain.rows,
        "head": str(chain.head),
        "pruned_to": str(chain.pruned_to) if chain.pruned_to else None,
        "anchors": chain.anchors,
        "unfinished": list(chain.unfinished),
        "broken": {"seq": broken.seq, "id": broken.event_id, "what": broken.what} if broken else None,
    }

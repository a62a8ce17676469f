"""`atp-gateway audit list|verify|export`: the record of what was done, for whoever runs the gateway.

They need the database and nothing else, and may be run while gateways are serving; `--arguments` needs the vault too.
Below: `audit_show` and `audit_export`, which say what was found.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import options
from gateway.cli.opened_store import with_store

if TYPE_CHECKING:
    from gateway.audit.verification import Chain
    from gateway.settings import Settings
    from gateway.store.audit_chain import Entry, Link
    from gateway.store.store import Store
    from gateway.store.trail_rows import Wanted

Command = Callable[..., None]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """A day, a time, or how long ago: 2026-09-28, 2026-09-28T10:30, 7d, 12h."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if ago := re.fullmatch(r"(\d{1,5})([mhdw])", str(value)):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time. Write 2026-09-28, 2026-09-28T10:30 (UTC), or 7d, 12h, 30m.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Anchor(click.ParamType[tuple[str, "Link"]]):
    """A link of a chain, as `verify --json` prints it: 1204:9f3c…, or TENANT=1204:9f3c…."""

    name = "anchor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Link]:
        from gateway.store.audit_chain import Link

        tenant, _, link = str(value).rpartition("=")
        try:
            return tenant or "default", Link.parse(link)
        except ValueError:
            self.fail(f"{value!r} is no anchor. Write it as `audit verify --json` prints a chain's head.", param, ctx)


def _which(function: Command) -> Command:
    """The options that say which rows are wanted."""
    for option in reversed(
        (
            click.option("--since", type=Moment(), help="From then on: 2026-09-28, or 7d ago. UTC."),
            click.option("--until", type=Moment(), help="Up to then."),
            click.option("--person", metavar="SUBJECT", help="What was done in this person's name."),
            click.option("--tool", metavar="NAME", help="Calls of this tool."),
            click.option("--tenant", metavar="NAME", help="This tenant's rows."),
            click.option("--arguments", metavar="JSON", help="Calls with exactly these arguments. Needs the vault."),
        )
    ):
        function = option(function)
    return function


@click.group("audit")
def command() -> None:
    """Look at the record of what was done, verify that nothing in it was changed, take it elsewhere."""


@command.command("list", short_help="The latest rows, in plain words.")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@_which
@options.config
@options.as_json
def list_rows(count: int, config: Path | None, as_json: bool, **which: Any) -> None:
    """The latest of what was done, the newest first. A call that has ended is there once."""
    from gateway.cli import audit_show
    from gateway.cli.audit_export import as_object

    settings = options.settings_for(config)

    async def find(store: Store) -> list[Entry]:
        return await store.trail.latest(await _wanted(settings, store, **which), count)

    found = with_store(settings, find)
    if as_json:
        click.echo(json.dumps([as_object(entry) for entry in found], indent=2))
    elif not found:
        click.echo("There is nothing on record to show.", err=True)
    else:
        audit_show.show(found)


@command.command("verify", short_help="Whether the record is whole: exit code 1 where it is not.")
@click.option("--anchor", "anchors", type=Anchor(), multiple=True, help="A head of a former day. May be repeated.")
@options.config
@options.as_json
def verify(anchors: Sequence[tuple[str, Link]], config: Path | None, as_json: bool) -> None:
    """Read every chain from its beginning to its end, and name the first row that was altered, moved or removed.

    Keep a chain's head, as --json prints it, where nobody who can write to the database can reach it. With --anchor, a
    chain that was made anew is found too.
    """
    from gateway.cli import audit_show

    by_tenant: dict[str, list[Link]] = {}
    for tenant, link in anchors:
        by_tenant.setdefault(tenant, []).append(link)

    async def look(store: Store) -> list[Chain]:
        from gateway.audit.verification import verify as verify_chains

        return await verify_chains(store.trail, by_tenant)

    chains = with_store(options.settings_for(config), look)
    whole = all(chain.broken is None for chain in chains)
    if as_json:
        click.echo(json.dumps({"whole": whole, "chains": [audit_show.described(chain) for chain in chains]}, indent=2))
    else:
        audit_show.report(chains)
    raise click.exceptions.Exit(0 if whole else 1)


@command.command("export", short_help="Write rows to stdout, for another system or a spreadsheet.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@_which
@options.config
def export(form: str, config: Path | None, **which: Any) -> None:
    """Write the rows that are wanted, by tenant and number, one a line. See docs/audit.md for what stands in them."""
    from gateway.cli.audit_export import FORMATS, pages

    settings = options.settings_for(config)

    async def write(store: Store) -> None:
        written = FORMATS[form]
        sys.stdout.write(written.head)
        async for page, unfinished in pages(store.trail, await _wanted(settings, store, **which)):
            sys.stdout.write("".join(written.line(entry, entry.event.id in unfinished) for entry in page))
        sys.stdout.flush()

    try:
        with_store(settings, write)
    except BrokenPipeError:  # `| head`: whoever reads has had enough, and nothing is to be flushed there at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _wanted(
    settings: Settings, store: Store, arguments: str | None, **which: Any
) -> Wanted:  # fmt: skip
    from gateway.store.trail_rows import Wanted

    hashes = None if arguments is None else await _hashes(settings, store, _object(arguments))
    return Wanted(**which, arguments=hashes)


def _object(text: str) -> Mapping[str, Any]:
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise click.UsageError("--arguments takes a JSON object, such as '{\"id\": 7}'.")
    return arguments


async def _hashes(settings: Settings, store: Store, arguments: Mapping[str, Any]) -> frozenset[str]:
    """What stands in the rows of calls with these arguments: a hash for each tenant, and each key of the ring."""
    from gateway.at_rest import open_vault
    from gateway.audit.arguments import PURPOSE, digest_of, keyed
    from gateway.clock import SystemClock

    digest = digest_of(arguments)
    opened, vault = await open_vault(settings, SystemClock())
    await opened.close()
    if digest is None:
        return frozenset()
    return frozenset(
        keyed(digest, tenant, key) for tenant in await store.trail.heads() for key in vault.derive(PURPOSE)
    )

"""`atp-gateway db`: how far the database's tables are, and bringing them to this version.

A gateway does so itself when it starts, unless `[database] upgrade = false`. Below: the store's address and schema.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store.engine import Engines
    from gateway.store.schema import Standing


@click.group("db")
def command() -> None:
    """The database: see how far it is, and bring it to this version of atp-gateway."""


@command.command("upgrade", short_help="Bring the database to this version. Make a backup first.")
@click.option(
    "--wait", type=click.IntRange(1), default=30, show_default=True, help="Seconds to wait for other processes."
)
@options.config
def upgrade(wait: int, config: Path | None) -> None:
    """Bring the database's tables to this version, all of it or nothing; make it where there is none.

    One process does it, and others wait for it. Nothing leads back but a backup: make one first.
    """
    from gateway.store.schema import REVISIONS, about, bring_up_to_date

    before = _at_the_database(options.settings_for(config), partial(bring_up_to_date, patience=wait))
    newest = REVISIONS[-1]
    if not before.missing:
        click.secho(f"✓ Nothing to do: the database is at revision {newest}, this version's.", fg="green", err=True)
        return
    was = f"from revision {before.revision} " if before.revision else "from nothing "
    click.secho(f"✓ The database was brought {was}to {newest}:", fg="green", err=True)
    for revision in before.missing:
        click.echo(f"    {revision}  {about(revision)}", err=True)


@command.command("status", short_help="How far the database is. Exit code 1 if it has to be upgraded.")
@options.config
@options.as_json
def status(config: Path | None, as_json: bool) -> int:
    """Say which revision the database is at, and what an upgrade would do to it. Changes nothing.

    The exit code is 0 if it is at this version, 1 if not: for a script that waits until it is.
    """
    from gateway.at_rest import database_url, may_hold_accounts
    from gateway.store.address import shown
    from gateway.store.schema import REVISIONS, Standing, about, standing

    settings = options.settings_for(config)
    exists = may_hold_accounts(settings)  # looking at a file that is not there would make it
    found = _at_the_database(settings, standing) if exists else Standing(None, REVISIONS)
    if as_json:
        facts = {
            "database": shown(database_url(settings)),
            "revision": found.revision,
            "newest": REVISIONS[-1],
            "missing": list(found.missing),
        }
        click.echo(json.dumps(facts, indent=2))
        return int(bool(found.missing))
    click.echo(f"database  {shown(database_url(settings))}")
    click.echo(f"revision  {found.revision or 'none: it has no tables yet'}")
    for revision in found.missing:
        click.echo(f"missing   {revision}  {about(revision)}")
    if found.missing:
        click.secho("✗ It has to be upgraded: make a backup, then run atp-gateway db upgrade", fg="yellow", err=True)
    else:
        click.secho("✓ It is at this version.", fg="green", err=True)
    return int(bool(found.missing))


def _at_the_database(settings: Settings, act: Callable[[Engines], Awaitable[Standing]]) -> Standing:
    import anyio

    from gateway.at_rest import database_url
    from gateway.store.address import reached

    log_to_stderr("CRITICAL")  # what goes wrong is said once, in a sentence

    async def run() -> Standing:
        engines, found = await reached(database_url(settings), act)
        await engines.dispose()
        return found

    return anyio.run(run)

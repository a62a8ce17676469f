"""`atp-gateway clients`: the programs that people let in through the built-in authorization server.

A new program's secret goes to stdout, alone, so that a script can catch it; what there is to say goes to stderr.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.access.authenticator import local_principal
from gateway.authorization_types import ClientSource, RegisteredClient
from gateway.cli import options
from gateway.cli.opened_store import opened_store

if TYPE_CHECKING:
    from gateway.authorization.roster import Listed, Roster
    from gateway.secret import Secret
    from gateway.settings import Settings

Answer = TypeVar("Answer")

_FROM = {
    ClientSource.SETTINGS: "the settings",
    ClientSource.OPERATOR: "clients add",
    ClientSource.REGISTRATION: "itself",
    ClientSource.DOCUMENT: "its document",
}
_AGAIN = {
    ClientSource.SETTINGS: "It is in the settings, and may ask again: take [access.clients.{id}] out of them.",
    ClientSource.REGISTRATION: "It may register again, and ask people again. See [access] registration.",
    ClientSource.DOCUMENT: "It may ask people again. See [access] client_documents and document_hosts.",
}


@click.group("clients")
def command() -> None:
    """The programs that people let in through the gateway's own authorization server ([access] builtin)."""


@command.command("list", short_help="Which programs there are, and when each was last used.")
@click.option("--all", "every", is_flag=True, help="Also those that registered and that nobody has let in.")
@options.config
@options.as_json
def list_clients(every: bool, config: Path | None, as_json: bool) -> None:
    """List the programs: where each is from, how many people let it in, when one of them last did, or it asked anew."""
    found = _with_roster(options.settings_for(config), lambda roster: roster.list_all())
    shown = [each for each in found if every or not _waits(each)]
    if as_json:
        click.echo(json.dumps([_described(each) for each in shown], indent=2, ensure_ascii=False))
        return
    if not shown:
        click.echo("There are no programs yet. They come by themselves, or: atp-gateway clients add ID", err=True)
    else:
        first, *lines = options.columns([("ID", "NAME", "FROM", "GRANTS", "LAST USED"), *map(_cells, shown)])
        click.secho(first, bold=True)
        for each, line in zip(shown, lines, strict=True):
            click.echo(line)
            click.echo("".join(f"    {uri}\n" for uri in each.client.redirect_uris), nl=False)
    if hidden := len(found) - len(shown):
        click.echo(f"{hidden} more registered, and nobody has let them in: see them with --all.", err=True)


@command.command("add", short_help="Register a program, which need not register itself then.")
@click.argument("client_id", metavar="ID")
@click.option("--name", default="", help="What people read when they are asked about it; by default its id.")
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, metavar="URI",
    help="Where people are sent back to. May be repeated. None: with --secret or --keys it acts in its own name.",
)  # fmt: skip
@click.option("--secret", "with_secret", is_flag=True, help="Make a secret that it proves itself with.")
@click.option(
    "--keys",
    metavar="FILE|URL",
    help="Its public keys, a JWK set, by which it proves itself instead.",
)
@options.config
@options.as_json
def add(
    client_id: str,
    name: str,
    redirect_uris: tuple[str, ...],
    with_secret: bool,
    keys: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Register a program under ID, as [access.clients.ID] in the settings would. Gateways that serve know it at once.

    With --secret its secret is printed: once, and never again.
    """
    settings, given = options.settings_for(config), _keys(keys) if keys else None

    async def act(roster: Roster) -> tuple[RegisteredClient, Secret | None]:
        return await roster.add(
            client_id, name, redirect_uris, with_secret=with_secret, keys=given, by=local_principal()
        )

    client, secret = _with_roster(settings, act)
    if as_json:
        shown = {"client_secret": secret.reveal()} if secret else {}
        click.echo(json.dumps({"client_id": client.id, **shown, **_plain(client)}, indent=2, ensure_ascii=False))
    else:
        once = " Its secret is shown this once: keep it where you keep secrets.\n" if secret else ""
        may = "may ask people for access" if client.redirect_uris else "comes in its own name"
        click.secho(f"✓ {client.name} {may}, as client_id {client.id}.{once}", fg="green", err=True)
        if secret:
            click.secho(secret.reveal(), bold=True)
        click.echo(f"    ends with: atp-gateway clients revoke {client.id}", err=True)
    if not settings.access.builtin:
        click.secho("! Nobody can come in like that yet: set [access] builtin = true.", fg="yellow", err=True)


@command.command("revoke", short_help="End a program, and all that people let it have.")
@click.argument("client_id", metavar="ID")
@options.config
def revoke(client_id: str, config: Path | None) -> None:
    """End a program: its tokens open nothing within two seconds, and people are asked anew if it ever comes back."""

    async def act(roster: Roster) -> Listed:
        return await roster.end(client_id, by=local_principal())

    ended = _with_roster(options.settings_for(config), act)
    count = f"{ended.grants} grant{'s' * (ended.grants != 1)}"
    click.secho(f"✓ {ended.client.name or client_id} is let in no more: {count} ended.", fg="green", err=True)
    if again := _AGAIN.get(ended.client.source):
        click.secho(f"! {again.format(id=client_id)}", fg="yellow", err=True)


def _waits(listed: Listed) -> bool:
    """Whether it registered, and nobody has let it in."""
    return listed.client.source is ClientSource.REGISTRATION and listed.used_at is None


def _cells(listed: Listed) -> tuple[str, ...]:
    client, used = listed.client, f"{listed.used_at:%Y-%m-%d %H:%M}" if listed.used_at else "never"
    return client.id, client.name, _FROM[client.source], str(listed.grants), used


def _plain(client: RegisteredClient) -> dict[str, Any]:
    return {
        "name": client.name,
        "source": client.source.value,
        "redirect_uris": list(client.redirect_uris),
        "auth_method": client.auth_method,
        "has_secret": client.secret_digest is not None,
        "created_at": client.created_at.isoformat() if client.created_at else None,
    }


def _described(listed: Listed) -> dict[str, Any]:
    used = listed.used_at.isoformat() if listed.used_at else None
    return {"client_id": listed.client.id, **_plain(listed.client), "grants": listed.grants, "last_used_at": used}


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Roster]:
    """The programs of the settings and the database; what was done to them is on record when the block ends."""
    from gateway.audit import AuditLog
    from gateway.authorization.roster import Roster
    from gateway.authorization.server import configured_client
    from gateway.clock import SystemClock

    described, clock = settings.access.clients.items(), SystemClock()
    configured = [configured_client(name, c.name, c.redirect_uris, c.secret) for name, c in described]
    async with opened_store(settings) as store:
        audit = AuditLog(store.audit.append, clock)
        yield Roster(configured, store.roster, audit, clock)
        await audit.close()


def _with_roster(settings: Settings, act: Callable[[Roster], Awaitable[Answer]]) -> Answer:
    import anyio

    async def run() -> Answer:
        async with _opened(settings) as roster:
            return await act(roster)

    return anyio.run(run)


def _keys(given: str) -> str:
    """An address as it is; what is in a file."""
    if given.startswith(("https://", "http://")):
        return given
    try:
        return Path(given).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise click.BadParameter(f"{given} cannot be read: {why}.", param_hint="--keys") from None

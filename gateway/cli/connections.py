"""`atp-gateway connections`: which accounts are connected, the default among them, and ending one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.oauth.overview import Entry


@click.command("connections")
@options.config
@options.as_json
@click.option(
    "--disconnect", metavar="ID", help="End the connection with this id: revoked at the provider, deleted here."
)
@click.option("--default", metavar="ID", help="Have tools use this account unless they are told of another.")
def command(config: Path | None, as_json: bool, disconnect: str | None, default: str | None) -> None:
    """List your connections: provider, account, status, scopes."""
    import anyio

    from gateway import app

    settings = options.settings_for(config)
    log_to_stderr("WARNING")
    gateway = app.build(settings)
    if disconnect:
        raise click.exceptions.Exit(anyio.run(_disconnect, gateway, disconnect))
    if default:
        raise click.exceptions.Exit(anyio.run(_make_default, gateway, default))
    found = anyio.run(_list, gateway)
    if as_json:
        click.echo(json.dumps([described(entry) for entry in found], indent=2, ensure_ascii=False))
    elif not found:
        click.echo(
            "No account is connected. A tool that needs one will ask; or: atp-gateway connect PROVIDER", err=True
        )
    for entry in [] if as_json else found:
        _print(entry)


def _print(entry: Entry) -> None:
    connection = entry.connection
    default = "  default" if entry.is_choice and connection.is_default else ""
    click.echo(
        f"{click.style(connection.provider, bold=True)}  {entry.name}  {connection.status}{default}  {connection.id}"
    )
    if connection.scopes:
        click.echo(f"    {' '.join(sorted(connection.scopes))}")
    if connection.ends_at and connection.status == "active":
        soon = connection.warned_at is not None
        again = f": connect it again before, with atp-gateway connect {connection.provider}" if soon else ""
        click.secho(f"    ends on {connection.ends_at:%Y-%m-%d}{again}", fg="yellow" if soon else None)
    if entry.withheld:
        click.echo(f"    asked for, and not granted: {' '.join(entry.withheld)}")


async def _list(gateway: Gateway) -> list[Entry]:
    from gateway.app import listening

    async with listening(gateway):
        return await (await gateway.accounts.open()).overview.entries(gateway.principal)


async def _make_default(gateway: Gateway, connection_id: str) -> int:
    from gateway.app import listening

    async with listening(gateway):
        chosen = await (await gateway.accounts.open()).overview.make_default(gateway.principal, connection_id)
    if chosen is None:
        click.secho(f"You have no connection {connection_id}. See: atp-gateway connections", fg="red", err=True)
        return 1
    account = chosen.account_name
    click.secho(f"✓ {account} is your default at {chosen.provider}.", fg="green", err=True)
    return 0


async def _disconnect(gateway: Gateway, connection_id: str) -> int:
    from gateway.app import listening
    from gateway.surfaces.web.receipt import receipt_for

    async with listening(gateway):
        opened = await gateway.accounts.open()
        ended = await opened.connections.disconnect(gateway.principal, connection_id)
    if not ended:
        click.secho(f"You have no connection {connection_id}. See: atp-gateway connections", fg="red", err=True)
        return 1
    name = opened.apps.display_name(ended.connection.provider)
    receipt = receipt_for(ended, name)
    click.secho(f"✓ {name} is disconnected.", fg="green", err=True)
    click.echo(f"  This gateway  {receipt.here}", err=True)
    click.secho(f"  {name}  {receipt.there}", fg=None if receipt.state == "ended" else "yellow", err=True)
    if receipt.advice:
        click.echo(f"  {receipt.advice} {receipt.access_page or ''}".rstrip(), err=True)
    return 0


def described(entry: Entry) -> dict[str, Any]:
    """A connection as JSON: what a script may want to know. Never its tokens."""
    connection = entry.connection
    return {
        "id": connection.id,
        "provider": connection.provider,
        "kind": connection.kind.value,
        "account": entry.name,
        "is_default": connection.is_default,
        "status": connection.status.value,
        "status_reason": connection.status_reason,
        "scopes": sorted(connection.scopes),
        "withheld": list(entry.withheld),
        "created_at": connection.created_at.isoformat(),
        "expires_at": connection.expires_at.isoformat() if connection.expires_at else None,
        "ends_at": connection.ends_at.isoformat() if connection.ends_at else None,
    }

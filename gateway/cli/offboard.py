"""`atp-gateway people offboard`: somebody leaves. They are let in no more, and all that they connected is ended.

It may be said again: what is done is done, and what is left is tried once more. Below: people, the app.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.deferred import Accounts
    from gateway.oauth.connections import Disconnected
    from gateway.types import Principal


@click.command("offboard", short_help="Let somebody in no more, and end all that they connected.")
@click.argument("person", metavar="EMAIL_OR_ID")
@options.config
@options.as_json
def command(person: str, config: Path | None, as_json: bool) -> None:
    """Let somebody in no more, as `disable` does, and end every connection of theirs: deleted here, revoked at the
    provider. What a provider does not confirm is said, with the page where the person can end it by hand.
    """
    import anyio

    from gateway import app

    settings = options.settings_for(config)
    log_to_stderr("WARNING")
    called, ended = anyio.run(_offboard, app.build(settings), person, not as_json)
    if as_json:
        shown = {"person": called, "connections": [_described(each) for each in ended]}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


async def _offboard(gateway: Gateway, called: str, tells: bool) -> tuple[str, list[Disconnected]]:
    """What the person is called, and what became of each connection. That is told at once:
    a provider may be slow, and whoever waits may leave."""
    from gateway.app import listening

    async with listening(gateway):
        opened, ended = await gateway.accounts.open(), []
        name, principal = await _let_in_no_more(gateway, opened, called)
        if tells:
            click.secho(f"✓ {name} cannot sign in any more, and is signed out everywhere.", fg="green", err=True)
        for connection in await opened.connections.list(principal) if principal else ():
            one = await opened.connections.disconnect(connection.principal, connection.id)
            if one is not None:
                ended.append(one)
                if tells:
                    _print(one, opened.apps.display_name(connection.provider))
        if tells and not ended:
            click.echo("  They have no account connected.", err=True)
        return name, ended


async def _let_in_no_more(gateway: Gateway, opened: Accounts, called: str) -> tuple[str, Principal | None]:
    """What the person is called, and who they are; None for somebody who was invited and has never signed in."""
    from gateway.access.people import People
    from gateway.cli.people import Directory, set_disabled
    from gateway.errors import AccountError
    from gateway.people_entry import base_url_of, local_accounts

    base_url = base_url_of(gateway.settings.server)
    people = People(opened.store, gateway.audit, opened.clock, base_url)
    accounts = local_accounts(opened.store, opened.vault, opened.clock, gateway.audit, base_url)
    name = await set_disabled(Directory(people, accounts, base_url), called, disabled=True)
    try:
        return name, (await people.called(called)).principal
    except AccountError:
        return name, None


def _print(ended: Disconnected, provider: str) -> None:
    from gateway.surfaces.web.receipt import receipt_for

    receipt = receipt_for(ended, provider)
    is_over = receipt.state == "ended"
    click.secho(
        f"{'✓' if is_over else '!'} {provider}, {ended.connection.account_name}: deleted here. {receipt.there}",
        fg="green" if is_over else "yellow",
        err=True,
    )
    if not is_over and ended.access_page:
        click.echo(f"  They can remove the access themselves: {ended.access_page}", err=True)


def _described(ended: Disconnected) -> dict[str, Any]:
    connection = ended.connection
    return {
        "id": connection.id,
        "provider": connection.provider,
        "account": connection.account_name,
        "revoked_at_provider": ended.revoked_at_provider,
        "access_page": ended.access_page,
        "retried_until": ended.retried_until.isoformat() if ended.retried_until else None,
    }

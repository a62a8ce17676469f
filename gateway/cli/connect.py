"""`atp-gateway connect PROVIDER`: connect an account before any tool asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.types import FlowStatus, Requirement


@click.command("connect")
@click.argument("provider")
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for, besides the usual ones. May be repeated.")
@click.option("--api-key", is_flag=True, help="The provider takes an API key: it is asked for on the page.")
@click.option("--no-browser", is_flag=True, help="Print the link only.")
@click.option("--wait", default=600, show_default=True, metavar="SECONDS", help="How long to wait for the consent.")
@options.config
def command(
    provider: str, scopes: tuple[str, ...], api_key: bool, no_browser: bool, wait: int, config: Path | None
) -> None:
    """Connect your account at PROVIDER. Opens the page in your browser and waits until it is done."""
    import anyio

    from gateway import app
    from gateway.types import CredentialKind, Requirement

    settings = options.settings_for(config)
    log_to_stderr("WARNING")
    kind = CredentialKind.API_KEY if api_key else CredentialKind.OAUTH2
    requirement = Requirement(provider, kind, frozenset(scopes))
    status = anyio.run(_connect, app.build(settings), requirement, not no_browser, wait)
    raise click.exceptions.Exit(_say(status, provider))


async def _connect(gateway: Gateway, requirement: Requirement, browser: bool, wait: int) -> FlowStatus:
    import webbrowser

    from gateway.app import listening

    async with listening(gateway):
        opened = await gateway.accounts.open()
        flow = await opened.flows.begin(gateway.principal, "atp-gateway connect", requirement, None)
        url = await opened.flows.url(flow)
        click.echo(f"Connect {requirement.provider} here:\n\n    {click.style(url, bold=True)}\n", err=True)
        if browser:
            webbrowser.open(url)
        click.echo("Waiting for you to finish in the browser …", err=True)
        return await opened.flows.wait(flow.id, gateway.principal, wait)


def _say(status: FlowStatus, provider: str) -> int:
    from gateway.types import FlowStatus

    match status:
        case FlowStatus.CONNECTED:
            click.secho(f"✓ {provider} is connected.", fg="green", err=True)
            return 0
        case FlowStatus.PENDING:
            click.secho("Nobody finished in time. Run the command again for a new link.", fg="yellow", err=True)
            return 3
        case FlowStatus.DECLINED:
            click.secho("Not connected: you declined.", fg="yellow", err=True)
            return 1
        case FlowStatus.FAILED:
            click.secho("Not connected: the page in your browser says why.", fg="red", err=True)
            return 1

"""`atp-gateway connect PROVIDER`: connect an account before any tool asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.app import Gateway
    from gateway.oauth.device import Prompt
    from gateway.types import FlowStatus, Requirement


@click.command("connect")
@click.argument("provider")
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for, besides the usual ones. May be repeated.")
@click.option("--api-key", is_flag=True, help="The provider takes an API key: it is asked for on the page.")
@click.option("--basic", is_flag=True, help="The provider takes a user name and password: asked for on the page.")
@click.option("--another", is_flag=True, help="Choose an account at the provider that is not connected yet.")
@click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE", help="Fill in a field of the page, such as subdomain=acme."
)
@click.option("--device", is_flag=True, help="No browser here: print a code to enter on another device.")
@click.option("--no-browser", is_flag=True, help="Print the link only.")
@click.option("--wait", default=600, show_default=True, metavar="SECONDS", help="How long to wait for the consent.")
@options.config
def command(
    provider: str,
    scopes: tuple[str, ...],
    api_key: bool,
    basic: bool,
    another: bool,
    given: tuple[str, ...],
    device: bool,
    no_browser: bool,
    wait: int,
    config: Path | None,
) -> None:
    """Connect your account at PROVIDER. Opens the page in your browser and waits until it is done."""
    import anyio

    from gateway import app
    from gateway.types import CredentialKind, Requirement

    if api_key + basic + device > 1:
        raise click.UsageError("--api-key, --basic and --device exclude one another.")
    variables = _variables(given)
    settings = options.settings_for(config)
    log_to_stderr("WARNING")
    kind = CredentialKind.API_KEY if api_key else CredentialKind.BASIC if basic else CredentialKind.OAUTH2
    requirement = Requirement(provider.lower(), kind, frozenset(scopes))
    gateway = app.build(settings)
    if device:
        account = anyio.run(_connect_device, gateway, requirement, variables)
        click.secho(f"✓ {provider} is connected: {account}.", fg="green", err=True)
        return
    status = anyio.run(_connect, gateway, requirement, variables, another, not no_browser, wait)
    raise click.exceptions.Exit(_say(status, provider))


def _variables(given: Iterable[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for name, equals, value in pairs:
        if not name or not equals or not value:
            raise click.UsageError("--set takes NAME=VALUE, such as --set subdomain=acme.")
    return {name.strip(): value.strip() for name, _, value in pairs}


async def _connect(
    gateway: Gateway, requirement: Requirement, variables: Mapping[str, str], another: bool, browser: bool, wait: int
) -> FlowStatus:
    import webbrowser

    from gateway.app import listening

    async with listening(gateway):
        opened = await gateway.accounts.open()
        flow = await opened.flows.begin(
            gateway.principal, "atp-gateway connect", requirement, None, another=another, variables=variables
        )
        url = await opened.flows.url(flow)
        click.echo(f"Connect {requirement.provider} here:\n\n    {click.style(url, bold=True)}\n", err=True)
        if browser:
            webbrowser.open(url)
        click.echo("Waiting for you to finish in the browser …", err=True)
        return await opened.flows.wait(flow.id, gateway.principal, wait)


async def _connect_device(gateway: Gateway, requirement: Requirement, variables: Mapping[str, str]) -> str:
    from gateway.app import listening

    async with listening(gateway):
        opened = await gateway.accounts.open()
        waiting = await opened.device.begin(gateway.principal, requirement, variables)
        _show(waiting.prompt)
        connection = await opened.device.finish(waiting)
        return connection.account_name


def _show(prompt: Prompt) -> None:
    """Where to go, and the code to enter there. The code is worth an account: it belongs on this screen alone."""
    minutes = max(1, round(prompt.lives.total_seconds() / 60))
    click.echo(
        f"On any device, open\n\n    {click.style(prompt.address, bold=True)}\n\nand enter the code\n\n"
        f"    {click.style(prompt.code, bold=True)}\n\nwithin {minutes} minutes. Give the code to nobody: whoever "
        "enters it connects their own account here.\n",
        err=True,
    )
    click.echo("Waiting for you to finish there …", err=True)


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

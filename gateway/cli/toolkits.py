"""`atp-gateway toolkits …`: what toolkits from afar have registered, and what of it waits for an administrator.

Works on the database alone, while gateways are serving or not; they notice within seconds. What is approved is exactly
what was shown: if the toolkit has said something else meanwhile, nothing is decided.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.access.authenticator import local_principal
from gateway.cli import options
from gateway.cli.opened_store import opened_store

if TYPE_CHECKING:
    from gateway.remote.review import Review, Reviewed
    from gateway.settings import Settings
    from gateway.toolkit.remote_tool import RemoteTool

_STANDING = {
    "live": "served",
    "waits": "waits for review; the former definition is served",
    "hidden": "waits for review; hidden",
    "rejected": "a change was rejected",
    "removed": "no longer in the toolkit",
}
_DONE = {"approve": "approved", "reject": "rejected"}
_tenant = click.option("--tenant", default="default", show_default=True, help="Whose toolkit it is.")
_toolkit = click.argument("toolkit", metavar="TOOLKIT")
_tool = click.argument("tool", required=False, metavar="[TOOL]")


@click.group("toolkits")
def command() -> None:
    """Toolkits from afar: list their tools, and decide about what they say anew of them.

    With [toolkits] review = true, changes wait here. Without it they take effect, and are on record.
    """


@command.command("list", short_help="Which tools each toolkit has registered.")
@options.config
@options.as_json
def list_tools(config: Path | None, as_json: bool) -> None:
    """List the tools of all toolkits that have connected with a key, and where each stands."""
    import anyio

    found = anyio.run(_list, options.settings_for(config))
    if as_json:
        click.echo(json.dumps([_described(one) for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        click.echo("No toolkit has registered. Make a key for one: atp-gateway keys create toolkit NAME", err=True)
        return
    rows = [
        (one.tool.toolkit, one.tool.name, one.tool.tenant, _STANDING[one.standing], ", ".join(one.changes))
        for one in found
    ]
    options.table(("TOOLKIT", "TOOL", "TENANT", "STANDING", "CHANGES"), rows)


@command.command("review", short_help="What exactly waits.")
@_toolkit
@_tool
@_tenant
@options.config
@options.as_json
def review(toolkit: str, tool: str | None, tenant: str, config: Path | None, as_json: bool) -> None:
    """Show what waits in a toolkit, against what is pinned."""
    import anyio

    waiting = anyio.run(_waiting, options.settings_for(config), tenant, toolkit, tool)
    if as_json:
        click.echo(json.dumps([_compared(one) for one in waiting], indent=2))  # a stranger's words, so in ASCII
    else:
        _show(waiting)


@command.command("approve", short_help="Let what waits take effect.")
@_toolkit
@_tool
@_tenant
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.config
@options.as_json
def approve(toolkit: str, tool: str | None, tenant: str, yes: bool, config: Path | None, as_json: bool) -> None:
    """Let what waits in a toolkit take effect: of one tool, or of all. It is shown first."""
    _decide("approve", (tenant, toolkit, tool), options.settings_for(config), ask=not (yes or as_json), as_json=as_json)


@command.command("reject", short_help="Turn down what waits.")
@_toolkit
@_tool
@_tenant
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.config
@options.as_json
def reject(toolkit: str, tool: str | None, tenant: str, yes: bool, config: Path | None, as_json: bool) -> None:
    """Turn down what waits in a toolkit: of one tool, or of all. What was pinned stays as it was."""
    _decide("reject", (tenant, toolkit, tool), options.settings_for(config), ask=not (yes or as_json), as_json=as_json)


def _decide(how: str, which: tuple[str, str, str | None], settings: Settings, *, ask: bool, as_json: bool) -> None:
    import anyio

    waiting = anyio.run(_waiting, settings, *which)
    if not as_json:
        _show(waiting)
    if ask:
        click.confirm(f"{how.capitalize()} {'this' if len(waiting) == 1 else f'these {len(waiting)}'}?", abort=True)
    decided = anyio.run(_decided, settings, how, waiting)
    if as_json:
        click.echo(json.dumps([{"tool": tool.name, _DONE[how]: done} for tool, done in decided], indent=2))
    for tool, done in decided:
        if not done:
            click.secho(f"✗ {tool.name} has changed again meanwhile. Look once more.", fg="red", err=True)
        elif not as_json:
            click.secho(f"✓ {tool.name}: {_DONE[how]}.", fg="green", err=True)
    raise click.exceptions.Exit(0 if all(done for _, done in decided) else 1)


def _show(waiting: Sequence[RemoteTool]) -> None:
    from gateway.remote.review import difference

    colours: dict[str, Any] = {"+": "green", "-": "red"}
    for tool in waiting:
        click.secho(f"{tool.toolkit} {tool.name}", bold=True)
        for line in difference(tool).splitlines():
            click.secho(f"  {line}", fg=colours.get(line[:1]))


def _described(one: Reviewed) -> dict[str, Any]:
    tool = one.tool
    return {
        "tenant": tool.tenant,
        "toolkit": tool.toolkit,
        "tool": tool.name,
        "standing": one.standing,
        "changes": list(one.changes),
        "changed_at": tool.changed_at.isoformat(),
        "removed_at": tool.removed_at.isoformat() if tool.removed_at else None,
    }


def _compared(tool: RemoteTool) -> dict[str, Any]:
    return {
        "toolkit": tool.toolkit,
        "tool": tool.name,
        "pinned": json.loads(tool.definition) if tool.definition else None,
        "proposed": json.loads(tool.proposed),
    }


async def _list(settings: Settings) -> list[Reviewed]:
    async with _opened(settings) as opened:
        return await opened.list_all()


async def _waiting(settings: Settings, tenant: str, toolkit: str, name: str | None) -> list[RemoteTool]:
    async with _opened(settings) as opened:
        return await opened.waiting(tenant, toolkit, name)


async def _decided(settings: Settings, how: str, waiting: Sequence[RemoteTool]) -> list[tuple[RemoteTool, bool]]:
    async with _opened(settings) as opened:
        act: Callable[..., Any] = opened.approve if how == "approve" else opened.reject
        return [(tool, await act(tool, by=local_principal())) for tool in waiting]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Review]:
    """The database alone, and the record of what is done."""
    from gateway.audit import AuditLog
    from gateway.clock import SystemClock
    from gateway.remote.review import Review

    async with opened_store(settings) as store:
        audit = AuditLog(store.audit.append, SystemClock())
        try:
            yield Review(store.remote, audit, SystemClock())
        finally:
            await audit.close()

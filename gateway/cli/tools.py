"""`atp-gateway tools`: what the toolkits offer."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.cli import options
from gateway.toolkit.tool import Tool


@click.command("tools")
@options.toolkits
@options.config
@options.as_json
def command(toolkits: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """List the tools of toolkits: names, arguments, and the account each one needs."""
    from gateway import app

    settings = options.settings_for(config)
    gateway = app.build(settings)
    loaded = gateway.load(options.named(toolkits, settings))
    options.report(loaded)
    tools = gateway.registry.tools()
    if as_json:
        click.echo(json.dumps([described(tool) for tool in tools], indent=2, ensure_ascii=False))
    else:
        for tool in tools:
            show(tool)
    if loaded.errors:
        raise click.exceptions.Exit(1)


def described(tool: Tool) -> dict[str, object]:
    """A tool as JSON: what a script may want to know."""
    needs = tool.requirement
    return {
        "name": tool.name,
        "toolkit": tool.toolkit,
        "description": tool.description,
        "inputSchema": dict(tool.input_schema),
        "provider": needs.provider if needs else None,
        "credential": needs.kind.value if needs else None,
        "scopes": sorted(needs.scopes) if needs else [],
    }


def show(tool: Tool) -> None:
    required = tool.input_schema.get("required", [])
    arguments = [name if name in required else f"[{name}]" for name in tool.input_schema.get("properties", {})]
    needs = tool.requirement
    account = f"  ({needs.provider} account)" if needs else ""
    line = " ".join([click.style(tool.name, bold=True), *arguments])
    click.echo(f"{line}{click.style(account, fg='cyan')}")
    if tool.description:
        click.echo(f"    {tool.description.splitlines()[0]}")

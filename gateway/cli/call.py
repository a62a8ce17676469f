"""`atp-gateway call TOOL k=v…`: one call from the command line, through the same five steps as any other."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.toolkit.content import Content, ToolResult
    from gateway.toolkit.tool import Tool
    from gateway.types import Outcome


@click.command("call")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE...]")
@options.with_toolkits
@options.config
@options.as_json
@click.option("--wait", default=300, show_default=True, metavar="SECONDS", help="How long to wait for a consent.")
def command(
    tool: str, arguments: tuple[str, ...], toolkits: tuple[str, ...], config: Path | None, as_json: bool, wait: int
) -> None:
    """Call TOOL with NAME=VALUE arguments. A value that is JSON is taken as JSON, anything else as text.

    When the tool needs an account, the link to connect it is printed and the call waits for it.
    """
    import anyio

    settings = options.settings_for(config)
    log_to_stderr("WARNING")
    from gateway import app

    with contextlib.redirect_stdout(sys.stderr):  # stdout is for the result; toolkits print where they like
        gateway = app.build(settings)
        options.report(gateway.load(options.named(toolkits, settings)))
        outcome = anyio.run(_call, gateway, tool, arguments, wait)
    raise click.exceptions.Exit(_print(outcome, as_json))


async def _call(gateway: Gateway, name: str, pairs: tuple[str, ...], wait: int) -> Outcome:
    from gateway.app import listening
    from gateway.toolkit.context import NullChannel
    from gateway.types import Call, Client, FlowStatus, NeedsConnection

    found = gateway.registry.find(name)
    arguments = parse_arguments(pairs, found)
    call = Call(gateway.principal, Client("atp-gateway call"), name, arguments, secrets.token_hex(8), NullChannel())
    async with listening(gateway):
        outcome = await gateway.executor.call(call)
        if isinstance(outcome, NeedsConnection) and wait > 0:
            click.secho(f"{outcome.message}\n", err=True)
            click.echo(f"    {click.style(outcome.url, bold=True)}\n\nWaiting for you to connect …", err=True)
            if await gateway.accounts.wait(outcome.flow_id, gateway.principal, wait) is FlowStatus.CONNECTED:
                outcome = await gateway.executor.call(call)
        return outcome


def parse_arguments(pairs: tuple[str, ...], tool: Tool | None) -> dict[str, Any]:
    """`limit=3 name=Ada` as a dict. A parameter whose schema says text is never read as JSON."""
    parsed: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"{pair!r} is not NAME=VALUE")
        schema = (tool.input_schema.get("properties", {}) if tool else {}).get(name, {})
        parsed[name] = value if schema.get("type") == "string" else _value(value)
    return parsed


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print(outcome: Outcome, as_json: bool) -> int:
    """Show the outcome; give the exit code."""
    from gateway.types import Done, Failed, NeedsConnection, NeedsInput

    match outcome:
        case Done(result):
            click.echo(_as_json(result) if as_json else _as_text(result))
            return 1 if result.is_error else 0
        case Failed(error):
            click.secho(str(error), fg="red", err=True)
            return 1
        case NeedsConnection(url=url, message=message):
            click.secho(f"{message}\n{url}", fg="yellow", err=True)
            return 3
        case NeedsInput():
            click.secho("The tool asks questions, which the command line cannot answer. Use an MCP host.", err=True)
            return 1


def _as_json(result: ToolResult) -> str:
    if result.has_structured:
        return json.dumps(result.structured, indent=2, ensure_ascii=False)
    return json.dumps([_described(block) for block in result.content], indent=2, ensure_ascii=False)


def _as_text(result: ToolResult) -> str:
    from gateway.toolkit.content import Text

    if result.has_structured and not isinstance(result.structured, str):
        return _as_json(result)
    return "\n".join(b.text if isinstance(b, Text) else json.dumps(_described(b)) for b in result.content)


def _described(block: Content) -> dict[str, Any]:
    from dataclasses import asdict

    values = {name: value for name, value in asdict(block).items() if value is not None}
    data = values.get("data")
    return {"kind": type(block).__name__, **values, **({"data": base64.b64encode(data).decode()} if data else {})}

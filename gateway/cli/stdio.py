"""`atp-gateway stdio TOOLKIT…`: one person, one host, on a laptop."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr
from gateway.cli.privacy import keep_memory_private


@click.command("stdio")
@options.toolkits
@options.config
@options.strict
@options.isolation
def command(toolkits: tuple[str, ...], config: Path | None, strict: bool, isolation: str | None) -> None:
    """Serve toolkits to the MCP host that started this command.

    TOOLKIT is a path to a .py file, a folder, or a dotted module. stdout carries the protocol only; everything else
    goes to stderr. When a tool needs an account, a page on this machine asks for it.
    """
    import anyio

    keep_memory_private()
    settings = options.settings_for(config, toolkits=options.for_toolkits(strict, isolation))
    log_to_stderr(settings.log.level)
    from gateway import app

    gateway = app.build(settings)
    options.report(gateway.load(options.named(toolkits, settings)))
    anyio.run(app.over_stdio, gateway)

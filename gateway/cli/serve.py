"""`atp-gateway serve [TOOLKIT…]`: over HTTP, for several hosts on this machine, or for a team."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import click

from gateway.cli import options
from gateway.cli.leaving import leave_soon
from gateway.cli.logs import log_to_stderr
from gateway.cli.privacy import keep_memory_private
from gateway.settings import AccessSettings


@click.command("serve")
@options.toolkits
@options.config
@options.strict
@options.isolation
@click.option("--host", help="The address to listen on. Only a loopback address until access is configured.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one.")
def command(
    toolkits: tuple[str, ...],
    config: Path | None,
    strict: bool,
    isolation: str | None,
    host: str | None,
    port: int | None,
) -> None:
    """Serve toolkits over HTTP: Streamable HTTP at /mcp, HTTP+SSE at /sse, and the pages for people.

    TOOLKIT is a path to a .py file, a folder, or a dotted module; without any, those of [toolkits] load. Toolkits from
    afar connect with a key of their own: atp-gateway keys create toolkit NAME
    """
    import anyio

    keep_memory_private()
    chosen = options.for_toolkits(strict, isolation)
    settings = options.settings_for(config, toolkits=chosen, server={"host": host, "port": port})
    log_to_stderr(settings.log.level)
    from gateway import app

    async def run() -> threading.Timer:
        async with app.serving(settings, toolkits or settings.toolkits.load, handle_signals=True) as gateway:
            options.report(gateway.loaded)
            count = len(gateway.registry.tools())
            click.secho(f"{count} tool{'s' * (count != 1)} at {gateway.base_url}/mcp", fg="green", err=True)
            click.echo(f"  open to   {_who(settings.access)}", err=True)
            click.echo(f"  accounts  {gateway.base_url}/connections", err=True)
            click.echo(f"  old hosts {gateway.base_url}/sse", err=True)
            _look_less_for_garbage()
            await gateway.stopped()
        return leave_soon()  # the event loop waits for its threads

    anyio.run(run, backend_options={"use_uvloop": sys.platform != "win32"}).cancel()  # where there is no uvloop


def _who(access: AccessSettings) -> str:
    """Who may come in."""
    ways = ["people who sign in here"] if access.builtin else []
    ways += [f"people with a token of {access.issuer}"] if access.issuer else []
    ways += ["people with a key of their own"] if access.keys else []
    return ", ".join(ways) or "you, on this machine"


def _look_less_for_garbage() -> None:
    """What is loaded by now stays. Searching it for garbage again and again would cost calls a tenth of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000)

"""`atp-gateway run SCRIPT`: an ATP script, unmodified, against a gateway of its own on this machine.

The script has the main thread and the gateway another one, so that Ctrl-C, signals and input belong to the script as
they would under `python`. Both of its clients are ours: what its ToolKitClient registers can be called at once, and
its LLMClient talks to this gateway, whatever key and address the script names. When the script has ended and left
tools behind, they go on being served.

It is one person's machine: the app's users are all that person, and raw tokens are handed out to the script.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr
from gateway.secret import Secret

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.settings import Settings


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT...]")
@options.config
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one.")
@click.option("--exit", "ends", is_flag=True, help="End with the script, instead of serving the tools it registered.")
def command(script: Path, arguments: tuple[str, ...], config: Path | None, port: int | None, ends: bool) -> None:
    """Run SCRIPT, as python would, with its ATP clients bound to a gateway on this machine.

    Options for this command stand before SCRIPT; what follows it is the script's. When the script needs an account,
    open the link that it prints.
    """
    settings = options.settings_for(config, server={"port": port})
    log_to_stderr("WARNING")  # the terminal is the script's
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run_script(script, arguments, settings, serves_on=not ends))


def run_script(script: Path, arguments: Sequence[str], settings: Settings, *, serves_on: bool) -> int:
    """Run the script to its end, and serve its tools until Ctrl-C if `serves_on`. The exit code."""
    from anyio.from_thread import start_blocking_portal

    from gateway import app
    from gateway.cli.script import as_main, execute
    from gateway.toolkit.llm_client import BoundGateway, bound_to
    from gateway.toolkit.loader import Intake
    from gateway.toolkit.pool import Pool
    from gateway.toolkit.shim import sdk_importable
    from gateway.toolkit.sink import loading_into

    key = Secret(secrets.token_urlsafe(32))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.serving(on_this_machine(settings, key), ())) as gateway,
        as_main(script, arguments) as module,
        bound_to(BoundGateway(gateway.base_url, key, _tell)),
        sdk_importable(),
    ):
        tools = Intake(gateway.registry, Pool(), script.stem, None)
        tools.commit()  # nothing yet: from here on each tool can be called as soon as the script registers it
        with loading_into(tools):
            code = execute(module)
        if code == 0 and serves_on and gateway.registry.tools():
            _serve_on(gateway)
        return code


def on_this_machine(settings: Settings, app_key: Secret) -> Settings:
    """The settings for a script's own gateway: on loopback only, and open to the script alone."""
    return replace(
        settings,
        server=replace(settings.server, host="127.0.0.1", public_url=None),
        atp=replace(settings.atp, app_key=app_key, hand_out_tokens=True),
    )


def _serve_on(gateway: Gateway) -> None:
    count = len(gateway.registry.tools())
    click.secho(f"{count} tool{'s' * (count != 1)} at {gateway.base_url}/mcp", fg="green", err=True)
    click.echo("Ctrl-C ends.", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _tell(sentence: str) -> None:
    click.secho(sentence, fg="cyan", err=True)

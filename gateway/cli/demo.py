"""`atp-gateway demo`: the whole product in a minute, with nothing to register anywhere.

On this machine, in this process: a CRM with its own OAuth server and API, a gateway that knows it by configuration
alone, and a real MCP client as the agent. The play goes through the real pages over HTTP; the person in it is
`gateway.testing.browser`. Everything that is written lives in a folder that is removed at the end.

This module is the stage; the story told on it is `gateway.cli.demo_play`. With `--provider` the stage is another
(`demo_twin`), and so is the story (`demo_life`). Above: the command line.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.demo_twin import PROVIDERS
from gateway.cli.narrator import Narrator
from gateway.surfaces.hosts import HOSTS, Http, Stdio, snippet

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.cli.demo_twin import TwinWorld
    from gateway.testing.clocks import RunningClock
    from gateway.testing.crm import Crm

PROVIDER = "demo-crm"
SCOPES = ("crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.companies.write")
USUAL_PORT = 8787


@click.command("demo")
@click.option("--once", is_flag=True, help="Play it through and end, instead of staying up.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="The whole life of a connection, at a provider's twin.")
@click.option("--port", type=click.IntRange(0, 65535), help="The gateway's port; 0 takes a free one. Usually 8787.")
def command(once: bool, provider: str | None, port: int | None) -> None:
    """See the whole product in a minute: an agent, a person, a CRM and the gateway, all on this machine."""
    import anyio

    from gateway.cli.logs import log_to_stderr

    log_to_stderr("ERROR" if provider else "WARNING")  # with a provider, refusals are part of the story
    if failure := anyio.run(_demo, once, provider, _free_port(port, once)):
        raise click.ClickException(failure)


async def _demo(once: bool, provider: str | None, port: int) -> str | None:
    """Set the stage, play, and stay up for the real person. A sentence when it failed."""
    from gateway.cli.demo_life import play_life
    from gateway.cli.demo_play import play
    from gateway.cli.demo_twin import twin_stage

    narrator = Narrator()
    with tempfile.TemporaryDirectory(prefix="atp-gateway-demo-") as name:
        folder, signals = Path(name), not once
        if provider is None:
            async with stage(folder, port, handle_signals=signals) as world:
                return await _show(world, play(world, narrator), narrator, once)
        async with twin_stage(provider, _toolkit(provider), folder, port, handle_signals=signals) as twin_world:
            return await _show(twin_world, play_life(twin_world, narrator), narrator, once)


async def _show(world: World | TwinWorld, story: Awaitable[str | None], narrator: Narrator, once: bool) -> str | None:
    failure = await story
    if failure is None and not once:
        _your_turn(world, narrator)
        await world.gateway.stopped()
    return failure


@dataclass(slots=True)
class World:
    """What is on stage."""

    crm: Crm
    crm_url: str
    gateway: Gateway
    clock: RunningClock
    config: Path
    toolkit: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the toolkit needs to find the CRM, in a process of its own."""
        return {"DEMO_CRM_URL": self.crm_url}

    @property
    def mcp_url(self) -> str:
        return f"{self.gateway.base_url}/mcp"


@asynccontextmanager
async def stage(folder: Path, port: int, *, handle_signals: bool = False) -> AsyncIterator[World]:
    """CRM and gateway, answering on loopback."""
    from gateway import app
    from gateway.settings import load_settings
    from gateway.testing.authorization_server import AuthorizationServer
    from gateway.testing.clocks import RunningClock
    from gateway.testing.crm import Crm
    from gateway.testing.grants import RegisteredClient
    from gateway.testing.serving import serving

    clock = RunningClock()
    client = RegisteredClient(
        "atp-gateway", secrets.token_urlsafe(24), (f"http://127.0.0.1/oauth/callback/{PROVIDER}",)
    )
    crm = Crm(AuthorizationServer(client, clock=clock), clock)
    async with serving(crm) as crm_url:
        os.environ["DEMO_CRM_URL"] = crm_url
        config = _write_config(folder, crm_url, client, port)
        toolkit = _toolkit("demo")
        settings = load_settings(config, environ={})
        async with app.serving(settings, [str(toolkit)], clock=clock, handle_signals=handle_signals) as gateway:
            yield World(crm, crm_url, gateway, clock, config, toolkit)


def _write_config(folder: Path, crm_url: str, client: Any, port: int) -> Path:
    """The gateway's whole configuration, as a person would write it."""
    from gateway.vault.key_sources import new_key

    for name, value in (("vault.key", new_key().reveal()), ("client.secret", client.secret)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(value)
    config = folder / "gateway.toml"
    config.write_text(
        f"""\
[server]
port = {port}

[database]
url = "sqlite:///{(folder / "gateway.db").as_posix()}"

[vault]
key_file = "vault.key"

[toolkits]
strict = true

[providers.{PROVIDER}]
name = "Demo CRM"
issuer = "{crm_url}"
client_id = "{client.id}"
client_secret_file = "client.secret"
scopes = ["{'", "'.join(SCOPES)}"]
"""
    )
    return config


def _free_port(wanted: int | None, once: bool) -> int:
    """The port that was asked for. Else the usual one, where nothing else has it; 0 for a play that ends at once."""
    from gateway.testing.serving import listen

    port = wanted if wanted is not None else 0 if once else USUAL_PORT
    try:
        listen(port).close()
    except OSError:
        if wanted is not None:
            raise click.ClickException(f"Port {port} is in use. Choose another, or leave out --port.") from None
        return 0
    return port


def _toolkit(name: str) -> Path:
    """A toolkit that we ship: inside the installed package, or beside it in a clone."""
    package = Path(__file__).parents[1]
    installed = package / "bundled" / name
    return installed if installed.exists() else package.parent / "toolkits" / name


def stdio_server(world: World | TwinWorld) -> Stdio:
    """The same gateway as a program that a host starts itself: it shares the demo's database and configuration."""
    arguments = ("stdio", "--config", str(world.config), str(world.toolkit))
    return Stdio(_program(), arguments, world.environment)


def _program() -> str:
    """This command's absolute path: a host with a window has no PATH to find it on."""
    beside_python = shutil.which("atp-gateway", path=sysconfig.get_path("scripts"))
    return beside_python or shutil.which("atp-gateway") or "atp-gateway"


def _your_turn(world: World | TwinWorld, narrator: Narrator) -> None:
    narrator.title(
        "Now you",
        "Add the gateway to your own host and ask it for what is in your account. Where it asks you to connect, be "
        f"alice or bob; the connections are at {world.gateway.base_url}/connections.",
    )
    for host in HOSTS.values():
        if host.place:
            server = stdio_server(world) if host.from_afar else Http(world.mcp_url)
            narrator.verbatim(host.name, host.place, snippet(host, "demo", server))
    narrator.gap()
    narrator.text(f"The configuration is {world.config}; it and everything else is removed when you press Ctrl+C.")

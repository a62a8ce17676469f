"""`atp-gateway demo --provider NAME`: a provider's twin, and a gateway that knows it by the shipped catalogue entry.

This module is the stage; the story told on it is `gateway.cli.demo_life`. Everything that is written lies in a folder
that the demo removes. Above: `gateway.cli.demo`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.testing.clocks import RunningClock
    from gateway.testing.twins.twin import Twin

PROVIDERS = ("hubspot", "google", "salesforce", "microsoft")


@dataclass(slots=True)
class TwinWorld:
    """What is on stage."""

    twin: Twin
    gateway: Gateway
    clock: RunningClock
    config: Path
    toolkit: Path
    environment: dict[str, str]

    @property
    def mcp_url(self) -> str:
        return f"{self.gateway.base_url}/mcp"


@asynccontextmanager
async def twin_stage(
    provider: str, toolkit: Path, folder: Path, port: int, *, handle_signals: bool = False
) -> AsyncIterator[TwinWorld]:
    """Twin and gateway, answering on loopback."""
    from gateway import app
    from gateway.settings import load_settings
    from gateway.testing.clocks import RunningClock
    from gateway.testing.twins.twin import make_twin

    clock = RunningClock()
    twin = make_twin(provider, clock)
    async with twin.served() as url:
        environment = {f"{provider.upper()}_API_URL": url, "NO_PROXY": "127.0.0.1"}
        os.environ.update(environment)
        config = _write_config(folder, twin, port)
        settings = load_settings(config, environ={})
        async with app.serving(settings, [str(toolkit)], clock=clock, handle_signals=handle_signals) as gateway:
            yield TwinWorld(twin, gateway, clock, config, toolkit, environment)


def _write_config(folder: Path, twin: Twin, port: int) -> Path:
    """The gateway's whole configuration. The provider's file is the shipped one, with the twin's addresses."""
    from gateway.vault.key_sources import new_key

    for name, value in (("vault.key", new_key().reveal()), ("client.secret", twin.client.secret or "")):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(value)
    (folder / "providers").mkdir()
    twin.write_provider(folder / "providers")
    scopes = '", "'.join(twin.vendor.scopes)
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

[catalogue]
folder = "{(folder / "providers").as_posix()}"

[providers.{twin.id}]
client_id = "{twin.client.id}"
client_secret_file = "client.secret"
scopes = [{f'"{scopes}"' if scopes else ""}]
"""
    )
    return config

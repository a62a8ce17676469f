"""`atp-gateway keys …`: API keys, which programs show to be let in, and the vault's keys, which seal what is stored.

The two have little in common but the word; `list` shows both. Below: `api_keys`, `vault_keys`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import api_keys, options, vault_keys


@click.group("keys")
def command() -> None:
    """Make, list and revoke API keys; list and turn the keys that seal people's tokens.

    Each may be run while gateways are serving.
    """


command.add_command(api_keys.create)
command.add_command(api_keys.revoke)
command.add_command(api_keys.allow)
command.add_command(api_keys.deny)
command.add_command(vault_keys.rotate)
command.add_command(vault_keys.verify)


@command.command("list", short_help="The API keys and what each may do; the data keys.")
@options.config
@options.as_json
def list_keys(config: Path | None, as_json: bool) -> None:
    """List the API keys and what each may do; then the data keys, what wraps them, and what they have sealed."""
    import anyio

    settings = options.settings_for(config)
    sealing = anyio.run(vault_keys.data_keys, settings)
    keys = api_keys.every(settings)
    if as_json:
        described = {"keys": [api_keys.described(key) for key in keys], **sealing}
        click.echo(json.dumps(described, indent=2, ensure_ascii=False))
        return
    api_keys.show(keys)
    if keys:
        click.echo()
    _show_data_keys(sealing)


def _show_data_keys(found: Mapping[str, Any]) -> None:
    rows = [
        (key["id"], key["tenant"], key["state"], str(key["values"]), key["wrapped_by"], key["created_at"][:16])
        for key in found["data_keys"]
    ]
    options.table(("DATA KEY", "TENANT", "STATE", "VALUES", "WRAPPED BY", "MADE AT"), rows)
    for former in found["sealed_by_ring_keys"]:
        click.echo(
            f"{former['values']} values are sealed by ring key {former['id']} itself. Run: atp-gateway keys rotate"
        )

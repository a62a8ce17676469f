"""A team's gateway as it is composed, without a socket: what is in front of its routes, and what it stands on."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from gateway import app
from gateway.deferred import Accounts
from gateway.entry import Entry, entry_of
from gateway.settings import load_settings
from gateway.surfaces.edge import Edge
from gateway.web_app import team_app

URL = "http://127.0.0.1:8787"
REPLICA_URL = "http://10.0.0.3:8787"
"""Where other gateways of its database reach it."""


class Composed(NamedTuple):
    edge: Edge
    accounts: Accounts
    entry: Entry


@asynccontextmanager
async def composed(folder: Path, **access: str) -> AsyncIterator[Composed]:
    """With the built-in authorization server, accounts that are kept here, and what `access` sets besides."""
    opened = {"builtin": "true", "local_accounts": "true"} | access
    environ = {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "ATP_GATEWAY_SERVER_REPLICA_URL": REPLICA_URL,
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        **{f"ATP_GATEWAY_ACCESS_{name.upper()}": value for name, value in opened.items()},
    }
    gateway = app.build(load_settings(None, environ))
    gateway.base_url = URL
    async with app.listening(gateway):
        accounts = await gateway.accounts.open()
        entry = entry_of(gateway.settings.access, accounts, gateway.audit, URL, local=gateway.principal)
        edge = team_app(gateway, accounts, entry, "127.0.0.1", 8787)
        assert isinstance(edge, Edge)
        yield Composed(edge, accounts, entry)

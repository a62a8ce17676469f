"""A gateway that is an authorization server, served on a socket; who sits at a browser, a cookie says."""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway import app
from gateway.authorization.document_fetch import DocumentFetch
from gateway.entry import entry_of
from gateway.settings import load_settings
from gateway.store.store import Store
from gateway.web_app import bind, serve_until_left, team_app
from tests.surfaces.authorization.site import by_cookie

TOOLKIT = '''
from gateway import ToolKitClient

client = ToolKitClient(app_name="fixture")


@client.tool(read_only=True)
def greet() -> str:
    """Say hello."""
    return "hello"


@client.tool(destructive=True)
def wipe() -> str:
    """Destroy something."""
    return "wiped"
'''


@dataclass
class Served:
    url: str
    store: Store

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"


@asynccontextmanager
async def serving_team(folder: Path, config: str, trusting: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """The gateway of this gateway.toml, while the block lasts. `trusting` is what it fetches documents with."""
    (folder / "tools.py").write_text(TOOLKIT)
    (folder / "gateway.toml").write_text(config)
    (folder / "gateway.toml").chmod(0o600)
    environ = {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    gateway = app.build(load_settings(folder / "gateway.toml", environ))
    async with app.listening(gateway):
        gateway.load([str(folder / "tools.py")])
        with bind("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            gateway.base_url = f"http://127.0.0.1:{port}"
            accounts = await gateway.accounts.open()
            entry = entry_of(
                gateway.settings.access,
                accounts,
                gateway.audit,
                gateway.base_url,
                local=gateway.principal,
                browser=by_cookie,
            )
            if trusting is not None:
                assert entry.own
                assert isinstance(entry.own.admission.fetch, DocumentFetch)
                entry.own.admission.fetch._requests._ssl_context = trusting
            async with serve_until_left(team_app(gateway, accounts, entry, "127.0.0.1", port), listener):
                yield Served(gateway.base_url, accounts.store)

"""Twin: one vendor on loopback, with a clock to move, a log to ask and a script of what is to go wrong.

It is an ASGI app: the vendor's endpoints and API, and beside them `/twin/…` for its control (`admin`). How a gateway is
pointed at it: `tables` is the shipped catalogue entry at the twin's addresses, `settings` the registration there.

Below: `authorization_server`, a vendor's manners. Above: the demo, the pytest plugin, tests.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.clock import MovableClock
from gateway.oauth.apps import ProviderSettings
from gateway.secret import Secret
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.clocks import Movable
from gateway.testing.grants import RegisteredClient
from gateway.testing.log import Log
from gateway.testing.manners import Manners
from gateway.testing.script import Script
from gateway.testing.serving import serving
from gateway.testing.twins import description
from gateway.testing.twins.admin import Admin

NAMES = ("hubspot", "google", "salesforce", "microsoft", "hostile")
CLIENT_ID = "atp-gateway"


@dataclass(frozen=True, slots=True)
class Vendor:
    """What makes a twin that vendor's. `describe` gives its description at an origin, as a catalogue file has it.

    `scopes` are what an app usually asks for beside the catalogue's own, for its toolkits.
    """

    id: str
    manners: Manners
    describe: Callable[[str], dict[str, Any]]
    scopes: tuple[str, ...] = ()


class Twin:
    """One vendor's twin. `url` is its origin while it is served; its client may redirect to any loopback address.

    Its clock stands still unless another is given; a gateway beside it is given the same.
    """

    def __init__(self, vendor: Vendor, clock: Movable | None = None) -> None:
        self.vendor = vendor
        self.clock: Movable = clock or MovableClock()
        self.client = RegisteredClient(
            CLIENT_ID, secrets.token_urlsafe(24), (f"http://127.0.0.1/oauth/callback/{vendor.id}",)
        )
        self.server = AuthorizationServer(self.client, clock=self.clock, manners=vendor.manners)
        self.url = ""
        self._admin = Admin(self.server, self.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith("/twin/")
        await (self._admin if ours else self.server)(scope, receive, send)

    @asynccontextmanager
    async def served(self, port: int = 0) -> AsyncIterator[str]:
        """Serve it on loopback for as long as the block lasts; gives its origin. Port 0 takes a free one."""
        async with serving(self, port=port) as url:
            self.url = url
            yield url

    @property
    def id(self) -> str:
        return self.vendor.id

    @property
    def log(self) -> Log:
        """What it was asked: the oracle."""
        return self.server.log

    @property
    def script(self) -> Script:
        """What is to go wrong."""
        return self.server.script

    def table(self) -> dict[str, Any]:
        """The provider's description, as a catalogue file has it, at the twin's addresses. For `Catalogue.load`."""
        return self.vendor.describe(self.url)

    def tables(self) -> dict[str, dict[str, Any]]:
        """The description under its provider's name."""
        return {self.id: self.table()}

    def write_provider(self, folder: Path) -> Path:
        """Write the description as a file of the operator's own providers, for a gateway in another process."""
        return description.write(self.table(), folder / f"{self.id}.toml")

    def settings(self, *scopes: str) -> ProviderSettings:
        """Our registration there: what `[providers.NAME]` holds. Without scopes, the vendor's usual ones."""
        secret = Secret(self.client.secret) if self.client.secret else None
        wanted = frozenset(scopes or self.vendor.scopes)
        return ProviderSettings(client_id=self.client.id, client_secret=secret, scopes=wanted)

    def environment(self, *scopes: str) -> dict[str, str]:
        """The same as environment variables, for a gateway in another process."""
        start = f"ATP_GATEWAY_PROVIDERS__{self.id.upper().replace('-', '_')}__"
        values: Mapping[str, str] = {
            "CLIENT_ID": self.client.id,
            "CLIENT_SECRET": self.client.secret or "",
            "SCOPES": ",".join(scopes or self.vendor.scopes),
        }
        return {f"{start}{name}": value for name, value in values.items()}


def make_twin(name: str, clock: Movable | None = None) -> Twin:
    """The twin of that name out of NAMES. ValueError for another."""
    if name not in NAMES:
        raise ValueError(f"There is no twin of {name!r}; there are {', '.join(NAMES)}.")
    vendor: Vendor = import_module(f"gateway.testing.twins.{name}").VENDOR
    return Twin(vendor, clock)

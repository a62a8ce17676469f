"""Who may enter, put together: `[access]` and what the gateway has opened become an authenticator and its challenges.

`check` refuses, before anything is opened, settings that cannot be safe. Wiring only; beside `gateway.app` and
`gateway.web_app`, which use it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.access.authenticator import Authenticator, OnePerson
from gateway.access.person_keys import PersonKeys
from gateway.access.programs import Programs, Way
from gateway.access.scopes import TOOLS
from gateway.deferred import Accounts
from gateway.errors import SettingsError
from gateway.settings import AccessSettings, Settings
from gateway.surfaces.bearer import Bearer
from gateway.surfaces.protected_resource import ProtectedResource
from gateway.types import Principal


@dataclass(frozen=True, slots=True)
class Entry:
    """How people and programs come in. `resource` is None where nobody gives out tokens for the gateway."""

    authenticator: Authenticator
    bearer: Bearer = field(default_factory=Bearer)
    resource: ProtectedResource | None = None


def is_configured(access: AccessSettings) -> bool:
    """Whether anybody but the local person is meant to come in."""
    return access.keys


def check(settings: Settings) -> None:
    """SettingsError, with the sentence that mends it, where these settings cannot be served safely."""
    server = settings.server
    if not is_configured(settings.access):
        if not is_loopback(server.host):
            raise SettingsError(
                f"[server] host is {server.host!r}, but everyone who can reach the gateway there would act with "
                "your accounts. Until access is configured it listens on 127.0.0.1 only."
            )
    elif server.public_url is not None:
        _check_public_url(server.public_url)
    elif not is_loopback(server.host):
        raise SettingsError(
            f"[server] host is {server.host!r}, so people come from elsewhere: set [server] public_url to the https "
            "address they use, such as https://gateway.example.com."
        )


def _check_public_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host:
        raise SettingsError(f"[server] public_url is {url!r}: write it in full, such as https://gateway.example.com.")
    if parts.scheme != "https" and not is_loopback(host):
        raise SettingsError(
            f"[server] public_url is {url}, without https: everybody between here and there could read people's "
            "tokens. Put a proxy with a certificate in front, and write https://."
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(
            f"[server] public_url is {url}: clients look for what they need at the root of a host. Give the gateway a "
            "host name of its own, and write it without a path."
        )


def entry_of(settings: Settings, accounts: Accounts, base_url: str, local: Principal) -> Entry:
    """The ways in that the settings open."""
    access = settings.access
    if not is_configured(access):
        return Entry(OnePerson(local))
    ways: list[Way] = []
    if access.keys:
        ways.append(PersonKeys(accounts.keys.find))
    servers: list[str] = []
    if not servers:
        return Entry(Programs(ways, accounts.clock))
    resource = ProtectedResource(base_url, servers, TOOLS)
    return Entry(Programs(ways, accounts.clock), Bearer(resource.metadata), resource)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

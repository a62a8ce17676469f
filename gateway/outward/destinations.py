"""Reads a URL that somebody outside chose, and says where it may lead.

    destinations = Destinations(["hooks.internal", "127.0.0.1:9000"], setting="[atp] webhook_hosts")
    destination = destinations.read("https://app.example.com/hooks")      DestinationError where it is not to be asked
    await destinations.addresses(destination.host, destination.port)      its addresses, each looked at

https at port 443 of a public address, and besides that the hosts that the operator allowed. Several programs read one
URL differently, and such differences are how a check is walked round. So what is not written in the plainest way is
refused, and what is kept is put together from the parts that were checked.

Not here: connecting (`guarded`). Below: names, public_addresses.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

from gateway.errors import DestinationError, SettingsError
from gateway.outward.names import Names
from gateway.outward.public_addresses import is_public

Resolve = Callable[[str, int], Awaitable[list[str]]]

LONGEST_URL = 1000  # characters
_PLAIN = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL, read. `host` is lower case, an IPv6 address without its brackets; `target` is the path and the query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        """The URL, written anew from its parts."""
        return f"{self.scheme}://{self.netloc}{self.target}"

    @property
    def netloc(self) -> str:
        """The host, and the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class NoPublicAddressError(OSError):
    """The name leads nowhere, or to where it must not lead: told apart for nobody, for that would map our network."""


class Destinations:
    """`allowed` are the operator's: `host` with the usual ports, or `host:port`, over http too and at any address.

    `setting` is where they stand, for what errors say. `resolve` is for tests; None is the system's resolver.
    """

    def __init__(self, allowed: Iterable[str] = (), *, setting: str, resolve: Resolve | None = None) -> None:
        self._allowed = frozenset(place for entry in allowed for place in _places(entry, setting))
        self._setting = setting
        self._resolve = resolve or Names().look_up

    def read(self, url: str) -> Destination:
        """Where this URL leads. DestinationError where nobody may have us ask that. Looks no name up."""
        destination = _read(url)
        if destination is None:
            raise DestinationError(
                f"The URL cannot be used. Write https://, a host name and a path, in at most {LONGEST_URL} plain ASCII "
                "characters and without a user name, like https://app.example.com/hooks."
            )
        if (destination.host, destination.port) in self._allowed:
            return destination
        if destination.scheme == "https" and destination.port == _PORTS["https"] and _may_be_public(destination.host):
            return destination
        raise DestinationError(
            "The URL does not lead to port 443 of a public address over https. Use one that does, or have the "
            f"gateway's operator add its host, and its port if that is another, to {self._setting}."
        )

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to. NoPublicAddressError where one of the name's is not public."""
        try:
            found = await self._resolve(host, port)
        except OSError:
            found = []
        if (host, port) not in self._allowed and not all(is_public(address) for address in found):
            found = []
        if not found:
            raise NoPublicAddressError("no public address")
        return found


def _read(url: str) -> Destination | None:
    if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url) or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = _host(parts)
    if parts.scheme not in _PORTS or host is None or port == 0:
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, host, port or _PORTS[parts.scheme], target)


def _host(parts: SplitResult) -> str | None:
    """The host, if it is written as everybody writes it."""
    netloc, host = parts.netloc, parts.hostname or ""
    if "@" in netloc or "%" in netloc or netloc.endswith(":"):
        return None
    if netloc.startswith("["):
        try:
            return str(IPv6Address(host))
        except ValueError:
            return None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # an IPv4 address to whoever resolves it, in whichever base
        try:
            return str(IPv4Address(host))
        except ValueError:
            return None
    is_name = len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return host if is_name else None


def _may_be_public(host: str) -> bool:
    """Whether it is a public address, or a name that may have one. A name of one label is a neighbour's."""
    if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return is_public(host)
    return "." in host


def _places(entry: str, setting: str) -> list[tuple[str, int]]:
    """The hosts and ports that an entry of the setting allows."""
    read = _read(f"http://{entry}/") if "/" not in entry else None
    if read is None:
        raise SettingsError(f"{setting}: {entry!r} is no host. Write a host name or an address, and perhaps :port.")
    named = urlsplit(f"http://{entry}/").port
    return [(read.host, port) for port in ([named] if named else _PORTS.values())]

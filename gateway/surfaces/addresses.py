"""Under which names this gateway may be reached, and from which origins a page may call it.

The answer to DNS rebinding: a page of evil.example that resolves to our address still says `Host: evil.example`. The
lists are built from the public URL and the bind address and are never empty. Loopback names come with the port that
is served. As *origins* they count only where we are bound to loopback ourselves: elsewhere, what runs on the visitor's
own machine is not us.

Source: MCP 2025-11-25, Transports, "Security Warning"; RFC 9110 section 7.4 (421), RFC 6454 (origins).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.errors import SettingsError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Addresses:
    """`hosts` as the Host header spells them, `origins` as the Origin header does; both lower-case.

    `replica_hosts` are what other gateways of the same database call this one, and nobody else does.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    replica_hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, public_url: str, bind_host: str, port: int, replica_url: str | None = None) -> Addresses:
        """What is allowed for a gateway known as `public_url` that listens on `bind_host`:`port`."""
        scheme, name, public_port = _parts(public_url)
        hosts = _spellings(scheme, name, public_port)
        origins = {f"{scheme}://{_spelled(scheme, name, public_port)}"}
        for loopback in _LOOPBACK_NAMES:
            hosts |= _spellings("http", loopback, port)
        if _is_loopback(bind_host):
            origins |= {f"http://{_spelled('http', loopback, port)}" for loopback in _LOOPBACK_NAMES}
        elif not _is_every_address(bind_host):
            hosts |= _spellings("http", _bracketed(bind_host), port)
        by_replicas = _spellings(*_parts(replica_url)) if replica_url else ()
        return cls(frozenset(hosts), frozenset(origins), frozenset(by_replicas))


def _parts(url: str) -> tuple[str, str, int]:
    wrong = SettingsError(f"public_url is {url!r}: write it in full, such as https://gateway.example.com.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        raise wrong
    return parts.scheme, _bracketed(parts.hostname), port or _DEFAULT_PORTS[parts.scheme]


def _spelled(scheme: str, name: str, port: int) -> str:
    return name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}"


def _spellings(scheme: str, name: str, port: int) -> set[str]:
    return {_spelled(scheme, name, port), f"{name}:{port}"}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host.lower()


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_every_address(host: str) -> bool:
    return not host or (_is_address(host) and ipaddress.ip_address(host).is_unspecified)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

"""Redirect URIs: which may be registered, which of them a request may name, and where one leads, for a person to read.

Compared as text, character by character, and never after decoding. The one exception are loopback addresses over http:
a program on the person's own machine takes whatever port is free (RFC 8252 section 7.3; `localhost` with it, for that
is what they register).

An app's own scheme has to be its domain turned round (RFC 8252 section 7.1), or one of a known program: any other would
let a stranger's registration start whatever the person's machine has a handler for.

Pure. Above: clients, registration, requests. Source: RFC 9700 section 4.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

LONGEST = 2000  # characters

_VISIBLE = re.compile(r"[!-\[\]-~]+")  # ASCII without the backslash, which browsers take for a slash
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)")
_AUTHORITY = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*(?::[1-9][0-9]*)?"
)
_OWN_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):/")
_TURNED_DOMAIN = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)+")

KNOWN_SCHEMES = {
    "antigravity": "Google Antigravity",
    "claude": "Claude",
    "cursor": "Cursor",
    "goose": "Goose",
    "jetbrains": "a JetBrains IDE",
    "kiro": "Kiro",
    "raycast": "Raycast",
    "trae": "Trae",
    "vscode": "VS Code",
    "vscode-insiders": "VS Code Insiders",
    "vscodium": "VSCodium",
    "warp": "Warp",
    "windsurf": "Windsurf",
    "zed": "Zed",
}
"""Schemes of programs that speak MCP, with the program that a machine hands such an address to."""


class PlaceKind(StrEnum):
    """Where an answer goes: to a web site, to a program on this very machine, to an app by its own scheme."""

    SITE = "site"
    DEVICE = "device"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Place:
    """`name` is a site's host, or what is known of the program."""

    kind: PlaceKind
    name: str


def may_be_registered(uri: object) -> bool:
    """Whether a client may have answers sent there."""
    if not isinstance(uri, str) or len(uri) > LONGEST or not _VISIBLE.fullmatch(uri) or "#" in uri:
        return False
    if uri.startswith("https://"):
        return _is_site(uri)
    if uri.startswith("http:"):
        return _on_loopback(uri) is not None
    own = _OWN_SCHEME.match(uri)
    return own is not None and (own[1] in KNOWN_SCHEMES or _TURNED_DOMAIN.fullmatch(own[1]) is not None)


def matches(registered: Iterable[str], sent: str) -> bool:
    """Whether the URI that a request names is one of those."""
    if sent in registered:
        return True
    loopback = _on_loopback(sent)
    return loopback is not None and any(_on_loopback(each) == loopback for each in registered)


def place_of(uri: str) -> Place:
    """Where a registered URI leads."""
    if uri.startswith("https://"):
        return Place(PlaceKind.SITE, urlsplit(uri).netloc)
    if _on_loopback(uri):
        return Place(PlaceKind.DEVICE, uri.split("/")[2])
    scheme = uri.partition(":")[0]
    return Place(PlaceKind.APP, KNOWN_SCHEMES.get(scheme, scheme))


def _is_site(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        has_port = parts.port is not None
    except ValueError:  # a port out of range, or brackets that do not close
        return False
    if parts.netloc.startswith("["):
        return parts.hostname is not None and "@" not in parts.netloc
    return _AUTHORITY.fullmatch(parts.netloc) is not None and has_port == (":" in parts.netloc)


def _on_loopback(uri: str) -> tuple[str, str] | None:
    """Host, and all that follows the port, of a loopback address over http."""
    found = _LOOPBACK.fullmatch(uri)
    if found is None or not _VISIBLE.fullmatch(uri) or (found[2] and int(found[2]) > 65535):
        return None
    return found[1], found[3]

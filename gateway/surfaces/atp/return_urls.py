"""Where the app of the settings may have people sent after a consent: an allow-list, against open redirects.

An entry is an origin and a path that ends in `/`: `https://app.example.com/oauth/` lets everything below it. A URL is
taken apart once, and what is kept is put together again from the parts, so that no browser reads it otherwise than we
did. What does not match is not an error: the consent then ends on the gateway's own page.

Above: `keys`. Not here: what is appended to the URL afterwards, `status` and the connection's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from gateway.errors import SettingsError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PLAIN = re.compile(r"[!-\[\]-~]{1,2000}")  # visible ASCII without the backslash
_PORTS = {"https": 443, "http": 80}


class ReturnUrls:
    """`loopback` also lets through the person's own machine, any port and path: for the laptop, not for a team."""

    def __init__(self, allowed: Iterable[str] = (), *, loopback: bool = False) -> None:
        self._allowed = [_entry(url) for url in allowed]
        self._loopback = loopback

    def find(self, url: str) -> str | None:
        """The URL as people may be sent to it, or None where they may not."""
        target = _parse(url)
        if target is None:
            return None
        if self._loopback and target.host in _LOOPBACK:
            return target.url
        return target.url if any(target.is_below(entry) for entry in self._allowed) else None


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str
    url: str

    def is_below(self, entry: _Target) -> bool:
        return self[:3] == entry[:3] and self.path.startswith(entry.path)


def _entry(url: str) -> _Target:
    entry = _parse(url)
    if entry is None or not entry.path.endswith("/") or "?" in url:
        raise SettingsError(
            f"{url!r} cannot be allowed as a return URL: write an https origin and a path that ends in /, "
            "like https://app.example.com/oauth/"
        )
    return entry


def _parse(url: str) -> _Target | None:
    """The URL's parts, if it is an https one, or an http one on loopback, with nothing in it to be misread."""
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    scheme, path = parts.scheme, parts.path or "/"
    if scheme != "https" and not (scheme == "http" and host in _LOOPBACK):
        return None
    if not host or "@" in parts.netloc or "%" in host or parts.fragment or _climbs(path):
        return None
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    rebuilt = urlunsplit((scheme, netloc, path, parts.query, ""))
    return _Target(scheme, host, port or _PORTS[scheme], path, rebuilt)


def _climbs(path: str) -> bool:
    return any(segment in (".", "..") for segment in unquote(path).replace("\\", "/").split("/"))

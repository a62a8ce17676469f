"""Which app a key belongs to. A key speaks for every user of its app, so it never belongs in a browser.

Above: `endpoint`. Settings bring the keys; they are compared by digest, in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from gateway.secret import Secret


class AppKeys(Protocol):
    async def app(self, key: str) -> str | None:
        """The name of the app whose key this is, or None."""
        ...


class FixedAppKeys:
    """The keys of the apps by name. An empty key opens nothing."""

    def __init__(self, keys: Mapping[str, Secret]) -> None:
        self._digests = [(app, _digest(key.reveal())) for app, key in keys.items() if key]

    async def app(self, key: str) -> str | None:
        offered = _digest(key)
        found = None
        for app, digest in self._digests:
            if hmac.compare_digest(offered, digest):
                found = app
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

"""Which app a key belongs to. A key speaks for every user of its app, so it never belongs in a browser.

The keys of the store, which an administrator makes for apps that have users of their own; and, before them, the one of
the settings, whose app is the local person's. Above: `endpoint`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import KeyRefusedError
from gateway.key_types import ApiKey, KeyKind
from gateway.secret import Secret
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.requests import RefusalError
from gateway.wire import wire

FindKey = Callable[[str, KeyKind], Awaitable[ApiKey | KeyRefusedError]]


class AppKeys(Protocol):
    async def app(self, key: str) -> App:
        """The app whose key this is. RefusalError where it is nobody's, revoked, or not an app's."""
        ...


@dataclass(frozen=True, slots=True)
class ExactUrls:
    """Return URLs that are compared to the letter (RFC 9700 section 4.1.3)."""

    urls: Sequence[str]

    def find(self, url: str) -> str | None:
        return url if url in self.urls else None


class StoredAppKeys:
    """The keys that administrators make."""

    def __init__(self, find: FindKey) -> None:
        self._find = find

    async def app(self, key: str) -> App:
        found = await self._find(key, KeyKind.APP)
        if isinstance(found, KeyRefusedError):
            raise RefusalError(wire(found).http, found.code, found.message)
        return App(
            name=found.name,
            return_urls=ExactUrls(found.return_urls),
            may=found.may,
            tenant=found.tenant,
            toolkits=found.toolkits,
            key_id=found.prefix,
        )


class SettingsAppKey:
    """The key that the settings name, and otherwise those of `rest`. An empty key opens nothing."""

    def __init__(self, key: Secret, app: App, rest: AppKeys) -> None:
        self._digest = _digest(key.reveal()) if key else None
        self._app = app
        self._rest = rest

    async def app(self, key: str) -> App:
        if self._digest is not None and hmac.compare_digest(_digest(key), self._digest):
            return self._app
        return await self._rest.app(key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

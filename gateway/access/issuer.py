"""The authorization server that is believed: where its endpoints are, and the keys that it signs with.

Read from its metadata, and kept. A key that it begins to use is found when the first token names it: then, and every
few minutes, the keys are read again, by one reader at a time, and never more often than every few seconds, whoever
sends what. While it does not answer, the keys that are known go on working for a day.

The metadata must name the very issuer that was configured, and keys and endpoints at its own site.

Below: `gateway.jose`, and one function that reads JSON at a URL. Above: signed_tokens, introspected_tokens.
Source: RFC 8414 section 3, OpenID Connect Discovery 1.0 section 4, RFC 7517.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import Key

from gateway.errors import IssuerUnavailableError, SettingsError
from gateway.jose.key_set import public_keys
from gateway.providers.addresses import check_url, is_loopback, same_site

log = logging.getLogger(__name__)

FRESH_FOR = 300.0  # seconds; a key that the issuer has withdrawn works no longer than this
USABLE_FOR = 86_400.0  # while the issuer does not answer
PAUSE = 10.0  # at least, between two readings

Fetch = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""The JSON object at a URL, or None where there is none to be had."""

Check = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""An issuer's metadata, if the issuer may have written it. IssuerUnavailableError."""


class Issuer:
    """`url` is the issuer's name, to the letter; `check` judges its metadata. `timer` counts
    seconds, as `time.monotonic` does."""

    def __init__(
        self, url: str, fetch: Fetch, *, check: Check | None = None, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.url = url
        self._fetch = fetch
        self._check = check or checked
        self._timer = timer
        self._metadata: Mapping[str, Any] = {}
        self._keys: Mapping[str, Key] = {}
        self._read_at = self._tried_at = float("-inf")
        self._has_failed = False
        self._reading: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> Key | None:
        """The key of that name, or None if the issuer has none. IssuerUnavailableError if that cannot be told."""
        found, age = self._keys.get(kid), self._age
        if found is not None and age < FRESH_FOR:
            return found
        if found is not None and age < USABLE_FOR:
            self._read_soon()
            return found
        await self._read()
        return self._keys.get(kid)

    async def endpoint(self, name: str) -> str:
        """The address that its metadata gives under `name`. IssuerUnavailableError where there is none."""
        if name not in self._metadata:
            await self._read()
        elif self._age >= FRESH_FOR:
            self._read_soon()
        if name not in self._metadata:
            raise IssuerUnavailableError(f"{self.url} names no {name} in its metadata.")
        return str(self._metadata[name])

    async def metadata(self) -> Mapping[str, Any]:
        """What it says of itself. IssuerUnavailableError where that is not known."""
        if not self._metadata:
            await self._read()
        elif self._age >= FRESH_FOR:
            self._read_soon()
        return self._metadata

    def prepare(self) -> None:
        """Begin to read, so that the first token need not wait, and what is set up wrongly is in the log."""
        self._read_soon()

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    @property
    def _age(self) -> float:
        return self._timer() - self._read_at

    async def _read(self) -> None:
        """Learn what it says now; if it was asked a moment ago, what it said then will do."""
        reading = self._read_soon()
        if reading is not None:
            await asyncio.shield(reading)
        elif self._has_failed:
            raise IssuerUnavailableError(f"{self.url} did not answer a moment ago. It is asked again in a few seconds.")

    def _read_soon(self) -> asyncio.Task[None] | None:
        """The reading that is under way, begun now if need be; None if the last one was a moment ago."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        if self._timer() - self._tried_at < PAUSE:
            return None
        self._tried_at, self._has_failed = self._timer(), True
        self._reading = asyncio.create_task(self._read_all())
        self._reading.add_done_callback(_say_if_it_failed)
        return self._reading

    async def _read_all(self) -> None:
        metadata = await self._read_metadata()
        found = await self._fetch(str(metadata["jwks_uri"])) if "jwks_uri" in metadata else {"keys": []}
        if found is None:
            raise IssuerUnavailableError(f"{self.url} does not give out its keys right now. Try again in a moment.")
        self._metadata, self._keys = metadata, _keys(found)
        self._read_at, self._has_failed = self._tried_at, False

    async def _read_metadata(self) -> Mapping[str, Any]:
        for place in places(self.url):
            if (found := await self._fetch(place)) is not None:
                return self._check(self.url, found)
        if not self._metadata:
            raise IssuerUnavailableError(f"{self.url} serves no metadata right now. Try again in a moment.")
        return self._metadata


def places(issuer: str) -> list[str]:
    """Where an issuer's metadata may be: as RFC 8414 says, then as OpenID Connect does."""
    parts = urlsplit(issuer)
    path, origin = parts.path.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
    found = [
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{origin}/.well-known/openid-configuration{path}",
    ]
    return list(dict.fromkeys(found))


def checked(issuer: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata, if this issuer may have written it. IssuerUnavailableError."""
    if found.get("issuer") != issuer:
        raise IssuerUnavailableError(
            f"[access] issuer is {issuer}, but the metadata there names another one. Set it to exactly what stands in "
            "the tokens' `iss`, to the last slash."
        )
    for name in ("jwks_uri", "introspection_endpoint"):
        if name not in found:
            continue
        try:
            check_url(str(found[name]), f"{name} of {issuer}")
        except SettingsError as error:
            raise IssuerUnavailableError(f"{error} It is not used.") from None
        elsewhere = not same_site(str(found[name]), issuer)
        if elsewhere or (_is_local(str(found[name])) and not _is_local(issuer)):
            raise IssuerUnavailableError(f"{name} of {issuer} is at another site, so it is not used.")
    return found


def _is_local(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def _keys(found: Mapping[str, Any]) -> Mapping[str, Key]:
    """The keys that have a name, by it; of several of one name the first."""
    return {key.kid: key for key in reversed(public_keys(found)) if key.kid is not None}


def _say_if_it_failed(reading: asyncio.Task[None]) -> None:
    if not reading.cancelled() and (error := reading.exception()):
        log.warning("the issuer could not be read: %s", error)

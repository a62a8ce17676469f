"""The public keys of clients that prove themselves by a signature: a JWK set of theirs, or the address of one.

An address is read by the `fetch` that reads clients' documents: public addresses only, no redirect, so many bytes and
seconds. It is read again every few minutes, and when a signature names a key that is not there, but never more often
than every few seconds, whoever sends what. While it does not answer, the keys that are known go on working for a day.

Below: `gateway.jose`, outward. Above: documents, registration and roster, which take keys in; client_assertion.
Source: RFC 7591 section 2 (`jwks`, `jwks_uri`), RFC 7517.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from joserfc.jwk import Key

from gateway.authorization_types import RegisteredClient
from gateway.errors import AuthorizationError
from gateway.jose.key_set import public_keys
from gateway.outward.guarded import Answer

LARGEST_SET = 16 << 10  # bytes
LONGEST_URL = 1000
FRESH_FOR = 300.0  # seconds; a key that its client has withdrawn works no longer than this
USABLE_FOR = 86_400.0  # while the address does not answer
PAUSE = 10.0  # at least, between two readings of one address

_MOST_PLACES = 500
_AT_A_TIME = 8
_MOST_TRIED = 10


class Fetch(Protocol):
    """Asks an address that somebody outside chose, and reads one byte more than `limit` at most; None where it does not
    answer, or is not to be asked."""

    def __call__(self, url: str, /, limit: int) -> Awaitable[Answer | None]: ...


def keys_in(metadata: Mapping[str, Any]) -> str | None:
    """The keys that a client's metadata names, as `RegisteredClient.keys` has them; None where none can be used."""
    found, url = metadata.get("jwks"), metadata.get("jwks_uri")
    if found is not None:
        text = json.dumps(found, separators=(",", ":"))
        return text if isinstance(found, dict) and len(text) <= LARGEST_SET and public_keys(found) else None
    is_address = isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= LONGEST_URL
    return str(url) if is_address else None


@dataclass(slots=True)
class _Place:
    """What is known of an address."""

    keys: list[Key] = field(default_factory=list)
    read_at: float = float("-inf")
    tried_at: float = float("-inf")
    reading: asyncio.Task[None] | None = None


class ClientKeys:
    """Without `fetch` no address is asked. `timer` counts seconds, as `time.monotonic` does."""

    def __init__(self, fetch: Fetch | None, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._timer = timer
        self._places: dict[str, _Place] = {}

    async def candidates(self, client: RegisteredClient, kid: object, algorithm: str) -> list[Key]:
        """The client's keys that may have made a signature. AuthorizationError where its keys cannot be read now."""
        kept = client.keys or '{"keys": []}'
        keys = public_keys(json.loads(kept)) if kept.startswith("{") else await self._published(kept, kid)
        fitting = [key for key in keys if kid in (None, key.kid) and key.get("alg", algorithm) == algorithm]
        return fitting[:_MOST_TRIED]

    async def _published(self, url: str, kid: object) -> list[Key]:
        place, now = self._place(url), self._timer()
        is_known = kid is None or any(key.kid == kid for key in place.keys)
        if is_known and now - place.read_at < FRESH_FOR:
            return place.keys
        if place.reading is None and now - place.tried_at >= PAUSE:
            self._begin(url, place, now)
        if place.reading is not None:
            await asyncio.shield(place.reading)
        if self._timer() - place.read_at >= USABLE_FOR:
            raise AuthorizationError(
                "temporarily_unavailable", "The client's keys cannot be read at its jwks_uri. Try again.", 503
            )
        return place.keys

    def _place(self, url: str) -> _Place:
        if url not in self._places:
            if len(self._places) >= _MOST_PLACES:
                del self._places[next(iter(self._places))]
            self._places[url] = _Place()
        return self._places[url]

    def _begin(self, url: str, place: _Place, now: float) -> None:
        if sum(each.reading is not None for each in self._places.values()) >= _AT_A_TIME:
            raise AuthorizationError("temporarily_unavailable", "Too many clients are new at once. Try again.", 503)
        place.tried_at = now
        place.reading = asyncio.create_task(self._read(url, place))

    async def _read(self, url: str, place: _Place) -> None:
        try:
            fetched = await self._fetch(url, limit=LARGEST_SET) if self._fetch else None
            if fetched is None or fetched.status != 200 or len(fetched.body) > LARGEST_SET:
                return
            try:
                found = json.loads(fetched.body)
            except (ValueError, RecursionError):
                return
            if isinstance(found, dict):
                place.keys, place.read_at = public_keys(found), self._timer()
        finally:
            place.reading = None

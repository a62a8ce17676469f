"""Access tokens that only their issuer can read: it is asked about each (RFC 7662), once every few seconds.

What it says is remembered for a moment, by the token's digest, so a token that it has revoked stops working within five
seconds, also for what is being served. Several who bring one token at the same time wait for one answer.

Below: claims, and one function that asks. Above: programs. Source: RFC 7662 sections 2 and 4.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.access.authenticator import Refused
from gateway.access.claims import Expected
from gateway.access.recent import Recent
from gateway.clock import Clock
from gateway.types import Access

KEPT_FOR = 3.0  # seconds; a stream is asked about every two

Ask = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""What the issuer says about a token; None: that it is none, or good no more. IssuerUnavailableError."""

_INACTIVE = Refused.invalid("The issuer of this token does not know it, or has ended it. Get a new one.")


class IntrospectedTokens:
    """The way in for tokens that are not signed."""

    def __init__(
        self, ask: Ask, expected: Expected, clock: Clock, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._expected = expected
        self._clock = clock
        self._recent: Recent[Access | Refused] = Recent(KEPT_FOR, timer)
        self._asking: dict[bytes, asyncio.Task[Access | Refused]] = {}

    def takes(self, token: str) -> bool:
        return True

    async def find(self, token: str) -> Access | Refused:
        """As of Way. IssuerUnavailableError where the issuer does not answer."""
        digest = hashlib.sha256(token.encode()).digest()
        kept = self._recent.find(digest)
        if kept is not None:
            return kept
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._read(token, digest))
            asking.add_done_callback(lambda done: self._answered(digest, done))
        return await asyncio.shield(asking)

    async def stands(self, token: str, access: Access) -> bool:
        """As of Way. One that has come to its end is not asked about: the issuer would call it inactive too."""
        if access.expires_at is not None and self._clock.now() >= access.expires_at:
            return True
        return isinstance(await self.find(token), Access)

    async def _read(self, token: str, digest: bytes) -> Access | Refused:
        claims = await self._ask(token)
        found = _INACTIVE if claims is None else self._expected.access(self._vouched(claims), self._clock.now())
        self._recent.keep(digest, found)
        return found

    def _vouched(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """Naming itself is left to the issuer (RFC 7662 section 2.2); we know whom we asked."""
        return {"iss": self._expected.issuer, **claims}

    def _answered(self, digest: bytes, asking: asyncio.Task[Access | Refused]) -> None:
        self._asking.pop(digest, None)
        if not asking.cancelled():
            asking.exception()  # those who wait are told; where nobody waits any more, nobody need be

"""Access tokens that the issuer has signed: JWTs, checked against the keys that it publishes.

The key is the issuer's own that the token names by `kid`; how a signature is checked stands in `gateway.jose`. What was
found good is remembered for a few seconds, by digest.

Below: issuer, claims, `gateway.jose`. Above: programs. Source: RFC 9068 section 4; RFC 8725 sections 3.1 to 3.11.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from gateway.access.authenticator import Refused
from gateway.access.claims import Expected
from gateway.access.issuer import Issuer
from gateway.access.recent import Recent
from gateway.clock import Clock
from gateway.jose.signature import is_acceptable, signed_claims
from gateway.jose.token_parts import header_of
from gateway.types import Access

KEPT_FOR = 5.0  # seconds
_UNREADABLE = Refused.invalid("This is no signed token that can be read.")
_UNSIGNED = Refused.invalid("The token is not signed in a way that this gateway accepts.")
_FORGED = Refused.invalid("The token's signature is not that of its issuer.")


class SignedTokens:
    """The way in for JWTs of one issuer."""

    def __init__(
        self, issuer: Issuer, expected: Expected, clock: Clock, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._expected = expected
        self._clock = clock
        self._recent: Recent[Access] = Recent(KEPT_FOR, timer)

    def takes(self, token: str) -> bool:
        return token.count(".") == 2

    async def find(self, token: str) -> Access | Refused:
        """As of Way. IssuerUnavailableError while its keys are not known."""
        digest = hashlib.sha256(token.encode()).digest()
        kept = self._recent.find(digest)
        if kept is not None and kept.expires_at is not None and self._clock.now() < kept.expires_at:
            return kept
        found = await self._read(token)
        if isinstance(found, Access):
            self._recent.keep(digest, found)
        return found

    async def stands(self, token: str, access: Access) -> bool:
        """An issuer that is not asked cannot take anything back."""
        return True

    async def _read(self, token: str) -> Access | Refused:
        header = header_of(token)
        if header is None:
            return _UNREADABLE
        if (refused := self._objection(header)) is not None:
            return refused
        key = await self._issuer.key(header["kid"])
        claims = None if key is None else signed_claims(token, key)
        return _FORGED if claims is None else self._expected.access(claims, self._clock.now())

    def _objection(self, header: dict[str, Any]) -> Refused | None:
        """What can be told from the header alone."""
        if not is_acceptable(header) or not isinstance(header.get("kid"), str):
            return _UNSIGNED
        written = header.get("typ", "")
        if (
            not isinstance(written, str)
            or written.lower().removeprefix("application/") not in self._expected.preset.types
        ):
            return Refused.invalid("This is no access token of the kind that its issuer gives out for this gateway.")
        return None

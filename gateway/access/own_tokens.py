"""Access tokens of the built-in authorization server, as a way in.

They are looked up where they were made (`gateway.authorization`), with the state of the consent behind them: what a
person takes back works no longer, two seconds later at most. Such a token names this gateway as its issuer; that is how
it is told from another issuer's, before anything is known about its signature.

Below: one object that reads tokens, and one function that knows consents. Above: programs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.access.authenticator import Refused
from gateway.clock import Clock
from gateway.jose.token_parts import claims_of
from gateway.types import Access

_NO_GOOD = Refused.invalid("This token has ended, was revoked, or is none of this gateway's. Get a new one.")

IsLive = Callable[[str], Awaitable[bool]]
"""Whether the grant of this id still stands."""


class Tokens(Protocol):
    async def find(self, text: str) -> Access | None:
        """What the token lets its bearer do; None if it is none of ours, or no good any more."""
        ...


class OwnTokens:
    """`issuer` is the gateway's own name as an authorization server."""

    def __init__(self, issuer: str, tokens: Tokens, is_live: IsLive, clock: Clock) -> None:
        self._issuer = issuer
        self._tokens = tokens
        self._is_live = is_live
        self._clock = clock

    def takes(self, token: str) -> bool:
        claims = claims_of(token)
        return claims is not None and claims.get("iss") == self._issuer

    async def find(self, token: str) -> Access | Refused:
        return await self._tokens.find(token) or _NO_GOOD

    async def stands(self, token: str, access: Access) -> bool:
        """As of Way. Of a token that has merely come to its end, the grant is asked about."""
        if access.grant_id is not None and access.expires_at is not None and self._clock.now() >= access.expires_at:
            return await self._is_live(access.grant_id)
        return await self._tokens.find(token) is not None

"""A program's credential: a bearer token in the Authorization header, and nowhere else.

Several ways in can be open at once; each knows its own tokens by their looks, and what no way takes is refused. Which
way that is decides nothing about whether the token is good.

Below: the ways. Above: the edge, by way of the app. Source: RFC 6750 section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from gateway.access.authenticator import Refused
from gateway.clock import Clock
from gateway.types import Access, Principal

LONGEST = 16_384
"""Characters of a token. Microsoft's, with two hundred groups, have five thousand."""

OVERTIME = timedelta(hours=1)
"""How long a request that is being served, such as an event stream, may outlive its token."""

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_MALFORMED = Refused.invalid(
    "The Authorization header holds no bearer token. Send it as: Authorization: Bearer <token>"
)
_UNKNOWN = Refused.invalid("This is no token of a kind that this gateway takes.")

_DISABLED = Refused.invalid("This person may not come in any more. Ask whoever runs this gateway.")

MayEnter = Callable[[Principal], Awaitable[bool]]
"""Whether a person, who has proved who they are, may come in at all."""
Browser = Callable[[Mapping[str, str]], Awaitable[Access | None]]


class Way(Protocol):
    """One sort of token."""

    def takes(self, token: str) -> bool:
        """Whether it looks like one of this sort. No I/O; says nothing about whether it is good."""
        ...

    async def find(self, token: str) -> Access | Refused:
        """What it lets one do. Raises where that cannot be told."""
        ...

    async def stands(self, token: str, access: Access) -> bool:
        """Whether `access`, which this token gave, was not taken back since. That it came to its end is no matter."""
        ...


async def everybody(_: Principal) -> bool:
    """Of whom none is disabled."""
    return True


async def nobody(headers: Mapping[str, str]) -> None:
    """The browser of whom nobody is logged in."""


class Programs:
    """The authenticator of a gateway for several people: programs by their tokens, browsers by `browser`.

    `may_enter` has the last word: a good token of somebody who may not come in any more opens nothing.
    """

    def __init__(
        self, ways: Sequence[Way], clock: Clock, browser: Browser = nobody, may_enter: MayEnter = everybody
    ) -> None:
        self._ways = ways
        self._clock = clock
        self._browser = browser
        self._may_enter = may_enter

    async def program(self, headers: Mapping[str, str]) -> Access | Refused | None:
        """As of Authenticator. Another scheme than Bearer counts as no credential (RFC 6750 section 3.1)."""
        token = _token(headers)
        if token is None or isinstance(token, Refused):
            return token
        way = self._way(token)
        found = _UNKNOWN if way is None else await way.find(token)
        return found if isinstance(found, Refused) or await self._may_enter(found.principal) else _DISABLED

    async def browser(self, headers: Mapping[str, str]) -> Access | None:
        return await self._browser(headers)

    async def stands(self, headers: Mapping[str, str], access: Access) -> bool:
        """As of Authenticator."""
        if access.expires_at is not None and self._clock.now() > access.expires_at + OVERTIME:
            return False
        token = _token(headers)
        way = self._way(token) if isinstance(token, str) else None
        stands = way is not None and isinstance(token, str) and await way.stands(token, access)
        return stands and await self._may_enter(access.principal)

    def _way(self, token: str) -> Way | None:
        return next((way for way in self._ways if way.takes(token)), None)


def _token(headers: Mapping[str, str]) -> str | Refused | None:
    header = headers.get("authorization")
    if header is None or not header.lower().startswith("bearer"):
        return None
    found = _BEARER.fullmatch(header)
    return found[1] if found and len(found[1]) <= LONGEST else _MALFORMED

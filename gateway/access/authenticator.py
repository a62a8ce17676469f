"""Who is at the other end of a request. One authenticator for each way to log in.

A surface hands in the request's headers (lower-case names) and gets a Principal, or None for "nobody we know". A
failure of the authenticator itself is an exception, never None and never somebody.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Protocol

from gateway.types import Principal


def local_principal() -> Principal:
    """The person whose laptop this is."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry in passwd
        name = "me"
    return Principal(issuer="local", subject=name)


class Authenticator(Protocol):
    async def program(self, headers: Mapping[str, str]) -> Principal | None:
        """For whom the calling program speaks (MCP and ATP requests)."""
        ...

    async def browser(self, headers: Mapping[str, str]) -> Principal | None:
        """Who sits at the browser (the connect page, my connections)."""
        ...


class OnePerson:
    """Single-user mode: whoever reaches the loopback address is the local user. Refused on any other address."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def program(self, headers: Mapping[str, str]) -> Principal | None:
        return self._principal

    async def browser(self, headers: Mapping[str, str]) -> Principal | None:
        return self._principal

"""Who is at the other end of a request. One authenticator for each way to log in.

A surface hands in the request's headers (lower-case names) and gets an Access, None for "no credential at all", or
Refused for one that is no good. A failure of the authenticator itself is an exception, never None and never somebody:
whoever cannot tell lets nobody in.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.access.scopes import EVERY
from gateway.types import Access, Principal


def local_principal() -> Principal:
    """The person whose laptop this is."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry in passwd
        name = "me"
    return Principal(issuer="local", subject=name)


@dataclass(frozen=True, slots=True)
class Refused:
    """A credential was sent, and it lets nobody in. `error` is one of RFC 6750's words, `description` a sentence."""

    error: str
    description: str

    @classmethod
    def invalid(cls, description: str) -> Refused:
        return cls("invalid_token", description)


class Authenticator(Protocol):
    async def program(self, headers: Mapping[str, str]) -> Access | Refused | None:
        """For whom the calling program speaks (MCP and ATP requests)."""
        ...

    async def browser(self, headers: Mapping[str, str]) -> Access | None:
        """Who sits at the browser (the connect page, my connections)."""
        ...

    async def stands(self, headers: Mapping[str, str], access: Access) -> bool:
        """Whether a program's `access`, which these headers gave, holds on: asked while a long request is served.

        Not so when it was taken back. A token that merely comes to its end cuts nobody off in the middle of an answer;
        but a request may not outlive its token for ever.
        """
        ...


class OnePerson:
    """Single-user mode: whoever reaches the loopback address is the local user. Refused on any other address."""

    def __init__(self, principal: Principal) -> None:
        self._access = Access(principal, scopes=EVERY)

    async def program(self, headers: Mapping[str, str]) -> Access:
        return self._access

    async def browser(self, headers: Mapping[str, str]) -> Access:
        return self._access

    async def stands(self, headers: Mapping[str, str], access: Access) -> bool:
        return True

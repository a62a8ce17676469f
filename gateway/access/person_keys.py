"""A person's API key as a way in, for scripts and CI. Whoever shows it acts as that person.

Below: `keys`. Above: `programs`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.access.authenticator import Refused
from gateway.access.scopes import EVERY
from gateway.errors import KeyRefusedError
from gateway.key_types import ApiKey, KeyKind
from gateway.types import Access, AccessKind, Principal

_PREFIX = "atpg_"  # of a key for whatever; one of another kind is told so

FindKey = Callable[[str, KeyKind], Awaitable[ApiKey | KeyRefusedError]]


class PersonKeys:
    """`find` looks a key up: `Keys.find`, whose answers are never older than two seconds."""

    def __init__(self, find: FindKey) -> None:
        self._find = find

    def takes(self, token: str) -> bool:
        return token.startswith(_PREFIX)

    async def find(self, token: str) -> Access | Refused:
        key = await self._find(token, KeyKind.PERSON)
        if isinstance(key, KeyRefusedError):
            return Refused.invalid(key.message)
        if not (key.subject and key.issuer):
            return Refused.invalid(
                "This key speaks for nobody. Make a new one with: atp-gateway keys create person NAME"
            )
        person = Principal(key.issuer, key.subject, key.tenant, key.groups)
        return Access(person, client=key.name, scopes=EVERY, kind=AccessKind.KEY)

    async def stands(self, token: str, access: Access) -> bool:
        return isinstance(await self.find(token), Access)

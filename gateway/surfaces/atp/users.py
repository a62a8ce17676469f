"""Who an app's users are to us: from an app and the id it has for a person, to a Principal.

An app says for whom it speaks and is believed: that is what its key is worth. Two readings of that. Above: `consents`
and `tasks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.types import Principal

ListConnected = Callable[[str], Awaitable[Sequence[Principal]]]


class AppUsers(Protocol):
    def app(self, app: str) -> Principal:
        """The app itself, for what it does in nobody's name."""
        ...

    def user(self, app: str, external_user_id: str) -> Principal:
        """The person whom the app knows under that id."""
        ...

    async def list_connected(self, app: str) -> Sequence[Principal]:
        """The app's users who have a connection; two are enough to know that there is not just one."""
        ...


class OwnUsers:
    """Each app has users of its own: the same id under two apps is two Principals.

    `list_connected` gives the Principals with at least one connection under an issuer.
    """

    def __init__(self, list_connected: ListConnected) -> None:
        self._list_connected = list_connected

    def app(self, app: str) -> Principal:
        return Principal("app", app)

    def user(self, app: str, external_user_id: str) -> Principal:
        return Principal(_issuer(app), external_user_id)

    async def list_connected(self, app: str) -> Sequence[Principal]:
        return await self._list_connected(_issuer(app))


class OnlyMe:
    """Single-user mode: whatever ids an app makes up, they are all the person whose machine this is.

    So the person at the browser may confirm each of them, and what an app connected, an MCP host can use.
    """

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def app(self, app: str) -> Principal:
        return self._principal

    def user(self, app: str, external_user_id: str) -> Principal:
        return self._principal

    async def list_connected(self, app: str) -> Sequence[Principal]:
        return [self._principal]


def _issuer(app: str) -> str:
    return f"app:{app}"

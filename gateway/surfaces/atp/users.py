"""Who an app's users are to us: from an app and the id it has for a person, to a Principal.

An app says for whom it speaks and is believed: that is what its key is worth. So each app has users of its own, in the
tenant of its key: the same id under two apps is two Principals. But on one person's machine, whatever ids the app of
the settings makes up, they are all that person: they may confirm each of them in their browser, and what the app
connected, an MCP host can use. Above: `consents` and `tasks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gateway.surfaces.atp.app import App
from gateway.types import APP_ISSUER, Principal

ListConnected = Callable[[str, str], Awaitable[Sequence[Principal]]]


class AppUsers:
    """`list_connected` gives, of a tenant and an issuer, the people with a connection; two will do."""

    def __init__(self, list_connected: ListConnected) -> None:
        self._list_connected = list_connected

    def app(self, app: App) -> Principal:
        """The app itself, for what it does in nobody's name."""
        return app.person or Principal("app", app.name, app.tenant)

    def user(self, app: App, external_user_id: str) -> Principal:
        """The person whom the app knows under that id."""
        return app.person or Principal(f"{APP_ISSUER}{app.name}", external_user_id, app.tenant)

    async def list_connected(self, app: App) -> Sequence[Principal]:
        """The app's users who have a connection; two are enough to know that there is not just one."""
        if app.person:
            return [app.person]
        return await self._list_connected(app.tenant, f"{APP_ISSUER}{app.name}")

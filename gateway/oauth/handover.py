"""A person's grant with its raw tokens, for the one place that hands them out: the ATP SDK's `get_user_tokens`.

The broker gives tools an access token for one call; this gives an app everything, refresh token included, and is
reached only where the operator switched that on. Below: grants, refresher. Above: the app's wiring.
"""

from __future__ import annotations

from gateway.clock import Clock
from gateway.oauth.grants import Grants
from gateway.oauth.refresher import Refresher
from gateway.store.connection_rows import ConnectionRows
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal, TokenSet


class Handover:
    def __init__(self, rows: ConnectionRows, grants: Grants, refresher: Refresher, clock: Clock) -> None:
        self._rows = rows
        self._grants = grants
        self._refresher = refresher
        self._clock = clock

    async def find_connection(self, principal: Principal, provider: str) -> Connection | None:
        """The person's default connection there if it can be used, OAuth before API key; its tokens stay sealed."""
        for kind in (CredentialKind.OAUTH2, CredentialKind.API_KEY, CredentialKind.BASIC):
            found = await self._rows.find(principal, provider, kind)
            if found is not None and found.status is ConnectionStatus.ACTIVE:
                return found
        return None

    async def grant(self, principal: Principal, provider: str) -> tuple[Connection, TokenSet] | None:
        """The same with its tokens, refreshed first where they have expired. GatewayError when that failed."""
        found = await self.find_connection(principal, provider)
        if found is not None and found.expires_at is not None and found.expires_at <= self._clock.now():
            found = await self._refresher.refreshed(found)
        if found is None or found.status is not ConnectionStatus.ACTIVE:
            return None
        return found, await self._grants.open(found)

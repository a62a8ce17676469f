"""What a person has connected, and taking it back.

Disconnecting drops our copy first: from then on no call can use it, whatever the provider answers. Then the provider
is asked to end the grant as well, where it can be asked, and the person is told what came of it.

Below: grants, client, store. Above: the pages, the command line.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Literal

from gateway.audit import AuditLog
from gateway.errors import GatewayError
from gateway.oauth.apps import Apps
from gateway.oauth.client import OAuthClient
from gateway.oauth.detached import Detached
from gateway.oauth.grants import Grants
from gateway.store.connection_rows import ConnectionRows
from gateway.types import Connection, CredentialKind, Principal, TokenSet

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds that a person waits for the provider


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection that is no more. `unsupported`: the provider has no way to ask, see `access_page`."""

    connection: Connection
    revoked_at_provider: Literal["yes", "no", "unsupported"]
    access_page: str | None = None
    """Where the person can remove the access at the provider by hand."""


class Connections:
    """A person's connections. Tokens, also sealed ones, are never in what is returned."""

    def __init__(
        self, rows: ConnectionRows, grants: Grants, *, apps: Apps, client: OAuthClient, audit: AuditLog
    ) -> None:
        self._rows = rows
        self._grants = grants
        self._apps = apps
        self._client = client
        self._audit = audit
        self._detached = Detached()

    async def list(self, principal: Principal) -> list[Connection]:
        """The person's connections, by provider."""
        return [replace(connection, sealed=b"") for connection in await self._rows.list_all(principal)]

    async def disconnect(self, principal: Principal, connection_id: str) -> Disconnected | None:
        """Forget a connection and have the provider end its grant. None where the person has no such connection."""
        connection = await self._rows.find_by_id(principal, connection_id)
        if connection is None:
            return None
        return await self._detached.run(self._disconnect(connection))

    async def close(self, seconds: float = _PATIENCE) -> None:
        """Wait for disconnects under way."""
        await self._detached.close(seconds)

    async def _disconnect(self, connection: Connection) -> Disconnected | None:
        tokens = await self._tokens(connection)
        if not await self._grants.drop(connection):
            return None
        revoked = await self._revoke(connection, tokens)
        self._audit.record(
            connection.principal,
            "connection.dropped",
            f"revoked_at_provider={revoked}",
            provider=connection.provider,
            account=connection.account_id,
        )
        provider = self._apps.find(connection.provider)
        return Disconnected(replace(connection, sealed=b""), revoked, provider.access_page if provider else None)

    async def _tokens(self, connection: Connection) -> TokenSet | None:
        """None where they do not open any more: that must not keep a person from disconnecting."""
        try:
            return await self._grants.open(connection)
        except GatewayError as error:
            log.warning("connection %s is dropped without asking the provider: %s", connection.id, error)
            return None

    async def _revoke(self, connection: Connection, tokens: TokenSet | None) -> Literal["yes", "no", "unsupported"]:
        if connection.kind is not CredentialKind.OAUTH2:
            return "unsupported"
        try:
            app = await self._apps.get(
                connection.provider, tenant=connection.principal.tenant, variables=connection.variables
            )
        except GatewayError:
            return "no"
        if app.provider.revocation is None:
            return "unsupported"
        try:
            async with asyncio.timeout(_PATIENCE):
                return "yes" if tokens and await self._client.revoke(app, tokens) else "no"
        except TimeoutError:
            return "no"

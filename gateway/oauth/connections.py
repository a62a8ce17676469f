"""What a person has connected, and taking it back.

Disconnecting drops our copy first: from then on no call can use it, whatever the provider answers. The same transaction
puts the tokens into the outbox (`gateway.oauth.revocations`), from where the provider is asked to end the grant as
well, now and, if need be, for a day. The person gets a receipt that says what came of it. That it was dropped goes on
record in that transaction too; what the provider said, in `connection.revoked` or `connection.not_revoked`.

Below: grants, revocations, unstored, store. Above: the pages, the command line.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from gateway.audit import AuditLog
from gateway.errors import GatewayError, KeyUnavailableError, StoreUnavailableError
from gateway.oauth.apps import Apps
from gateway.oauth.detached import Detached
from gateway.oauth.facts import of_connection
from gateway.oauth.grants import Grants
from gateway.oauth.revocations import Ended, Revocations
from gateway.oauth.unstored import Unstored
from gateway.store.connection_rows import ConnectionRows, Fact
from gateway.types import Connection, CredentialKind, Principal, Revocation, TokenSet

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds that a person waits for the provider
_ATTEMPTS = 5

Told = Literal["yes", "retrying", "shared", "unsupported", "no"]
_TOLD: dict[Ended, Told] = {
    Ended.CONFIRMED: "yes",
    Ended.WANTED: "shared",
    Ended.NOWHERE: "unsupported",
    Ended.UNREADABLE: "no",
    Ended.GIVEN_UP: "no",
    Ended.NOT_YET: "retrying",
}


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The receipt for a connection that is no more.

    `revoked_at_provider`: "yes", the provider confirmed that it ended the grant too; "retrying", it did not answer so
    yet and is asked again until `retried_until`; "shared", it was not asked because another connection stands on the
    same grant; "unsupported", it cannot be asked; "no", our copy was damaged, so that there was nothing to ask with.
    """

    connection: Connection
    revoked_at_provider: Told
    access_page: str | None = None
    """Where the person can remove the access at the provider by hand."""
    retried_until: datetime | None = None


class Connections:
    """A person's connections. Tokens, also sealed ones, are never in what is returned."""

    def __init__(
        self,
        rows: ConnectionRows,
        grants: Grants,
        unstored: Unstored,
        *,
        apps: Apps,
        revocations: Revocations,
        audit: AuditLog,
    ) -> None:
        self._rows = rows
        self._unstored = unstored
        self._grants = grants
        self._apps = apps
        self._revocations = revocations
        self._audit = audit
        self._detached = Detached()

    async def list(self, principal: Principal) -> list[Connection]:
        """The person's connections, by provider."""
        return [replace(connection, sealed=b"") for connection in await self._rows.list_all(principal)]

    async def disconnect(self, principal: Principal, connection_id: str) -> Disconnected | None:
        """Forget a connection and have the provider end its grant. None where the person has no such connection."""
        return await self._detached.run(self._disconnect(principal, connection_id))

    async def close(self, seconds: float = _PATIENCE) -> None:
        """Wait for disconnects under way."""
        await self._detached.close(seconds)

    async def _disconnect(self, principal: Principal, connection_id: str) -> Disconnected | None:
        dropped = await self._drop(principal, connection_id)
        if dropped is None:
            return None
        connection, revocation, told = dropped
        if revocation is not None:
            told = _TOLD[await self._revocations.attempt(revocation, _PATIENCE)]
        provider = self._apps.find(connection.provider, connection.principal.tenant)
        return Disconnected(
            replace(connection, sealed=b""),
            told,
            provider.access_page if provider else None,
            revocation.until if revocation and told == "retrying" else None,
        )

    async def _drop(
        self, principal: Principal, connection_id: str
    ) -> tuple[Connection, Revocation | None, Told] | None:
        """Drop the row in the version that was read, so that no token of a refresh in between is forgotten."""
        for _ in range(_ATTEMPTS):
            connection = await self._newest(principal, connection_id)
            if connection is None:
                return None
            revocation, told = await self._prepared(connection)
            fact = self._dropped("asked" if revocation else told)
            if await self._grants.drop(connection, revocation, fact):
                return connection, revocation, told
        raise StoreUnavailableError("This connection is being changed all the time. Try again in a moment.")

    async def _newest(self, principal: Principal, connection_id: str) -> Connection | None:
        """The row with renewed tokens that waited to be stored, if any: those are what the provider is to end."""
        connection = await self._rows.find_by_id(principal, connection_id)
        if connection is None:
            return None
        try:
            if not await self._unstored.settle_for(connection):
                return connection
        except KeyUnavailableError:
            return connection  # that must not keep a person from disconnecting
        return await self._rows.find_by_id(principal, connection_id)

    def _dropped(self, how: str) -> Fact:
        return lambda row: of_connection(self._audit, row, "connection.dropped", f"revoked_at_provider={how}")

    async def _prepared(self, connection: Connection) -> tuple[Revocation | None, Told]:
        """What to leave in the outbox; or, where there is nothing to ask the provider, why."""
        provider = self._apps.find(connection.provider, connection.principal.tenant)
        can_ask = provider is not None and (provider.revocation is not None or provider.needs_discovery)
        if connection.kind is not CredentialKind.OAUTH2 or not can_ask:
            return None, "unsupported"
        tokens = await self._tokens(connection)
        if tokens is None:
            return None, "no"
        if await self._revocations.is_shared(connection):
            return None, "shared"
        return await self._revocations.draft(connection, tokens), "retrying"

    async def _tokens(self, connection: Connection) -> TokenSet | None:
        """None where they do not open any more: that must not keep a person from disconnecting."""
        try:
            return await self._grants.open(connection)
        except GatewayError as error:
            log.warning("connection %s is dropped without asking the provider: %s", connection.id, error)
            return None

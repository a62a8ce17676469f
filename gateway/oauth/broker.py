"""Answers "a live token for this person and this need". The only thing that hands one out.

On the path of every call: a credential that was good a moment ago is returned without a lock and without I/O. Else
the row is read and checked; a token that is about to end is still handed out while its successor is fetched; one that
has ended is waited for. What cannot be had comes back as a value: a link to connect, or the error.

Below: live_tokens, grants, refresher, flows. Above: the executor.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.errors import GatewayError, ProviderUnavailableError, TokenRefusedError
from gateway.oauth.apps import Apps
from gateway.oauth.flows import Flows
from gateway.oauth.grants import Grants
from gateway.oauth.refresher import Refresher
from gateway.oauth.shared_reads import SharedReads
from gateway.providers.provider import Provider
from gateway.store.connection_rows import ConnectionRows
from gateway.types import (
    Call,
    Connection,
    ConnectionStatus,
    Credential,
    CredentialKind,
    NeedsConnection,
    Requirement,
    TokenSet,
)

_WIDEST_MARGIN = timedelta(minutes=5)
_SHARE_OF_LIFE = 0.2
_JUST_NOW = timedelta(seconds=30)


class Broker:
    """Fulfils `gateway.credentials.Credentials`."""

    def __init__(
        self, rows: ConnectionRows, grants: Grants, *, flows: Flows, apps: Apps, refresher: Refresher, clock: Clock
    ) -> None:
        self._rows = rows
        self._reads = SharedReads(rows, grants.live)
        self._grants = grants
        self._live = grants.live
        self._flows = flows
        self._apps = apps
        self._refresher = refresher
        self._clock = clock

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        """A credential that covers the need, where to get one, or why there is none. Never raises a GatewayError.

        `refused` is one that the provider has just turned down: what comes instead has another version.
        """
        if refused is None and (live := self._live.find(call.principal, requirement)):
            return live
        try:
            if refused is not None:
                return await self._instead(call, requirement, refused)
            return await self._look_up(call, requirement)
        except GatewayError as error:
            return error

    def describe(self, provider: str) -> Provider | None:
        """What is known of a provider, without asking anybody; None where nothing is, or what is does not fit."""
        try:
            return self._apps.find(provider)
        except GatewayError:
            return None

    async def _look_up(self, call: Call, requirement: Requirement) -> Credential | NeedsConnection:
        seen = self._live.changes
        connection = await self._reads.find(call.principal, requirement.provider, requirement.kind)
        if problem := self._problem(connection, requirement):
            return await self._ask(call, requirement, connection, problem)
        assert connection is not None, "no connection is a problem"
        tokens = await self._grants.open(connection)
        now, due = self._clock.now(), self._due(connection, tokens)
        if due is None or now < due:
            return self._live.remember(connection, tokens, requirement.scopes, until=due, seen=seen)
        if connection.expires_at is not None and now < connection.expires_at:
            until = min(self._refresher.start_ahead(connection), connection.expires_at)
            return self._live.remember(connection, tokens, requirement.scopes, until=until, seen=seen)
        return await self._renew(call, requirement, connection)

    async def _instead(self, call: Call, requirement: Requirement, refused: Credential) -> Credential | NeedsConnection:
        """Another credential than one that the provider turned down: one refresh for each version, whoever asks."""
        row = await self._rows.find_by_id(call.principal, refused.connection_id)
        if row is None or row.version != refused.version or row.status is not ConnectionStatus.ACTIVE:
            return await self._look_up(call, requirement)
        name = self._apps.display_name(requirement.provider)
        if not self._refresher.can_renew(row, await self._grants.open(row)):
            what = "the access that it gave" if row.kind is CredentialKind.OAUTH2 else "what was entered"
            await self._refresher.give_up(row, f"{name} does not accept {what} any more.")
            return await self._look_up(call, requirement)
        if row.version > 1 and self._clock.now() - row.updated_at < _JUST_NOW:
            raise _refused_again(name)
        found = await self._renew(call, requirement, row)
        if isinstance(found, Credential) and (found.connection_id, found.version) == (row.id, row.version):
            raise _refused_again(name)
        return found

    async def _renew(self, call: Call, requirement: Requirement, expired: Connection) -> Credential | NeedsConnection:
        connection = await self._refresher.refreshed(expired)
        if problem := self._problem(connection, requirement):
            return await self._ask(call, requirement, connection, problem)
        assert connection is not None, "no connection is a problem"
        live = self._live.find(call.principal, requirement)
        if live is not None and live.version == connection.version:  # somebody who waited beside us was faster
            return live
        if connection.expires_at is not None and self._clock.now() >= connection.expires_at:
            raise ProviderUnavailableError(
                f"{self._apps.display_name(requirement.provider)} renewed the access, but only for a moment. Try again."
            )
        seen = self._live.changes
        tokens = await self._grants.open(connection)
        due = self._due(connection, tokens)
        return self._live.remember(connection, tokens, requirement.scopes, until=due, seen=seen)

    def _due(self, connection: Connection, tokens: TokenSet) -> datetime | None:
        return _due(connection, renewable=self._refresher.can_renew(connection, tokens))

    def _problem(self, connection: Connection | None, requirement: Requirement) -> str | None:
        """Why this connection does not do, as the beginning of what the person is told; None if it does."""
        name = self._apps.display_name(requirement.provider)
        if connection is None:
            return f"No {name} account is connected yet."
        if connection.status is not ConnectionStatus.ACTIVE:
            return connection.status_reason or f"The {name} connection has ended."
        if requirement.kind is CredentialKind.API_KEY:
            return None
        provider = self._apps.find(requirement.provider)
        missing = provider.scopes.missing(requirement.scopes, connection.scopes) if provider else frozenset()
        if missing:
            return f"The connected {name} account has not granted {', '.join(sorted(missing))}."
        return None

    async def _ask(
        self, call: Call, requirement: Requirement, connection: Connection | None, problem: str
    ) -> NeedsConnection:
        """A link to our own page. It asks for what was granted before as well, so that a yes loses nothing."""
        granted = connection.scopes if connection else frozenset()
        wanted = replace(requirement, scopes=requirement.scopes | granted)
        flow = await self._flows.begin(call.principal, call.client.name, wanted, call.tool)
        name = self._apps.display_name(requirement.provider)
        act = "enter your API key" if requirement.kind is CredentialKind.API_KEY else "connect it"
        return NeedsConnection(
            url=await self._flows.url(flow),
            flow_id=flow.id,
            provider=requirement.provider,
            provider_name=name,
            message=f"{problem} Open the link to {act}.",
        )


def _refused_again(name: str) -> TokenRefusedError:
    return TokenRefusedError(
        f"{name} has only just renewed the access, and its API does not accept that either. Whether the account may do "
        f"this can be seen at {name}; if it may, disconnect the account and connect it again."
    )


def _due(connection: Connection, *, renewable: bool) -> datetime | None:
    """When the token wants renewing: a margin before its end, spread a little so that not all fall due at once."""
    if connection.expires_at is None or not renewable:
        return connection.expires_at
    life = max(connection.expires_at - connection.updated_at, timedelta(0))
    spread = random.uniform(1.0, 1.2)  # noqa: S311 - spreads refreshes, hides nothing
    return connection.expires_at - min(_WIDEST_MARGIN, life * _SHARE_OF_LIFE) * spread

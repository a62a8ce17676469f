"""Answers "a live token for this person and this need". The only thing that hands one out.

On the path of every call: a credential that was good a moment ago is returned without a lock and without I/O. Else
the row is read and checked; a token that is about to end is still handed out while its successor is fetched; one that
has ended is waited for. What cannot be had comes back as a value: a link to connect, or the error.

Below: live_tokens, grants, refresher, flows. Above: the executor.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.errors import GatewayError, ProviderUnavailableError, ScopeMissingError, TokenRefusedError
from gateway.oauth.apps import Apps
from gateway.oauth.choice import Choice
from gateway.oauth.flows import Flows
from gateway.oauth.grants import Grants
from gateway.oauth.own_access import OWN_KINDS, OwnAccess
from gateway.oauth.refresher import Refresher
from gateway.oauth.shortfall import Shortfall, shortfall
from gateway.providers.provider import Provider
from gateway.types import (
    Call,
    Connection,
    ConnectionStatus,
    Credential,
    CredentialKind,
    NeedsConnection,
    Principal,
    Requirement,
    TokenSet,
)

_ACTS = {
    CredentialKind.API_KEY: "enter your API key",
    CredentialKind.BASIC: "enter your user name and password",
}
_WIDEST_MARGIN = timedelta(minutes=5)
_SHARE_OF_LIFE = 0.2
_JUST_NOW = timedelta(seconds=30)


class Broker:
    """Fulfils `gateway.credentials.Credentials`."""

    def __init__(
        self,
        choice: Choice,
        grants: Grants,
        *,
        own: OwnAccess,
        flows: Flows,
        apps: Apps,
        refresher: Refresher,
        clock: Clock,
    ) -> None:
        self._choice = choice
        self._own = own
        self._grants = grants
        self._live = grants.live
        self._flows = flows
        self._apps = apps
        self._refresher = refresher
        self._clock = clock
        self._ahead: dict[tuple[Principal, Requirement, str | None], asyncio.Event] = {}

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        """A credential that covers the need, where to get one, or why there is none. Never raises a GatewayError.

        `refused` is one that the provider has just turned down: what comes instead has another version.
        """
        if refused is None and (live := self._live.find(call.principal, requirement, call.account)):
            return live
        try:
            if requirement.kind in OWN_KINDS:
                return await self._own.credential(call.principal.tenant, requirement, refused)
            if refused is not None:
                return await self._instead(call, requirement, refused)
            return await self._look_up_once(call, requirement)
        except GatewayError as error:
            return error

    def describe(self, provider: str) -> Provider | None:
        """What is known of a provider, without asking anybody; None where nothing is, or what is does not fit."""
        try:
            return self._apps.find(provider)
        except GatewayError:
            return None

    async def _look_up_once(self, call: Call, requirement: Requirement) -> Credential | NeedsConnection:
        """One look-up for all calls that want the same in the same moment: those behind take what the first found.

        Where it found nothing to share, because it failed or something changed meanwhile, each looks for itself.
        """
        key = call.principal, requirement, call.account
        if (ahead := self._ahead.get(key)) is not None:
            await ahead.wait()
            return self._live.find(*key) or await self._look_up(call, requirement)
        self._ahead[key] = ahead = asyncio.Event()
        try:
            return await self._look_up(call, requirement)
        finally:
            del self._ahead[key]
            ahead.set()

    async def _look_up(self, call: Call, requirement: Requirement) -> Credential | NeedsConnection:
        seen = self._live.changes
        connection = await self._choice.pick(call.principal, requirement, call.account)
        if short := self._shortfall(connection, requirement):
            return await self._ask(call, requirement, connection, short)
        assert connection is not None, "no connection is a problem"
        tokens = await self._grants.open(connection)
        now, due = self._clock.now(), self._due(connection, tokens)
        if due is None or now < due:
            return self._live.remember(
                connection, tokens, requirement.scopes, until=due, seen=seen, account=call.account
            )
        if connection.expires_at is not None and now < connection.expires_at:
            until = min(self._refresher.start_ahead(connection), connection.expires_at)
            return self._live.remember(
                connection, tokens, requirement.scopes, until=until, seen=seen, account=call.account
            )
        return await self._renew(call, requirement, connection)

    async def _instead(self, call: Call, requirement: Requirement, refused: Credential) -> Credential | NeedsConnection:
        """Another credential than one that the provider turned down: one refresh for each version, whoever asks."""
        row = await self._grants.find(call.principal, refused.connection_id)
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
        if short := self._shortfall(connection, requirement):
            return await self._ask(call, requirement, connection, short)
        assert connection is not None, "no connection is a problem"
        if connection.expires_at is not None and self._clock.now() >= connection.expires_at:
            raise ProviderUnavailableError(
                f"{self._apps.display_name(requirement.provider)} renewed the access, but only for a moment. Try again."
            )
        seen = self._live.changes
        tokens = await self._grants.open(connection)
        due = self._due(connection, tokens)
        return self._live.remember(connection, tokens, requirement.scopes, until=due, seen=seen, account=call.account)

    def _due(self, connection: Connection, tokens: TokenSet) -> datetime | None:
        return _due(connection, renewable=self._refresher.can_renew(connection, tokens))

    def _shortfall(self, connection: Connection | None, requirement: Requirement) -> Shortfall | None:
        name = self._apps.display_name(requirement.provider)
        return shortfall(connection, requirement, name, self._apps.find(requirement.provider))

    async def _ask(
        self, call: Call, requirement: Requirement, connection: Connection | None, short: Shortfall
    ) -> NeedsConnection:
        """A link to our own page. It asks for what was granted before as well, so that a yes loses nothing.

        ScopeMissingError where asking is no use: the person may do so again, but no host is made to.
        """
        if short.withheld:
            where = await self._flows.connections_url()
            raise ScopeMissingError(f"{short.sentence} Once it has, the person can ask again at {where}")
        granted = connection.scopes if connection else frozenset()
        wanted = replace(requirement, scopes=requirement.scopes | granted)
        flow = await self._flows.begin(call.principal, call.client.name, wanted, call.tool, reconnects=connection)
        name = self._apps.display_name(requirement.provider)
        mistaken = await self._flows.mistaken(connection) if connection else ""
        return NeedsConnection(
            url=await self._flows.url(flow),
            flow_id=flow.id,
            provider=requirement.provider,
            provider_name=name,
            message=f"{short.sentence} {mistaken}Open the link to {_ACTS.get(requirement.kind, 'connect it')}.",
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

"""Ending grants at the provider, with patience: the outbox of revocations.

The transaction that drops a connection leaves its tokens here, sealed to a row of their own, and so a provider that is
down, a restart or a kill in the middle cannot make us forget to tell it. A row is tried at once, and then again and
again, ever more seldom, for a day; then its tokens are shredded, whatever the provider said.

Where a revocation ends the account's whole grant, and not just this token, it is left out as long as another connection
stands on that grant.

Below: client, apps, store, vault. Above: connections, and the composition's upkeep, which calls `settle`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from datetime import timedelta
from enum import StrEnum

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import GatewayError, VaultError
from gateway.oauth.apps import Apps, ProviderApp
from gateway.oauth.client import OAuthClient
from gateway.oauth.detached import Detached
from gateway.oauth.token_answer import ErrorKind, RevocationAnswer, TokenEndpointError
from gateway.store.connection_rows import ConnectionRows
from gateway.store.revocation_rows import RevocationRows
from gateway.types import Connection, Revocation, TokenSet
from gateway.vault.vault import Binding, Vault

log = logging.getLogger(__name__)

KEPT_TRYING = timedelta(hours=24)
_CLAIM = timedelta(seconds=60)  # longer than a try can last
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 7200.0  # seconds
_AT_A_TIME = 8
_A_ROUND = 200


class Ended(StrEnum):
    """How a try to end a grant ended."""

    CONFIRMED = "confirmed"  # the provider says that the grant is no more
    WANTED = "wanted"  # another connection stands on the same grant, so it is left alone
    NOWHERE = "nowhere"  # the provider has no way to ask
    UNREADABLE = "unreadable"  # our own copy does not open any more
    GIVEN_UP = "given_up"  # a day of tries has gone by
    NOT_YET = "not_yet"  # it will be tried again


class Revocations:
    """The outbox. `rows` are its own, `connections` tell who else stands on a grant."""

    def __init__(
        self,
        rows: RevocationRows,
        connections: ConnectionRows,
        vault: Vault,
        *,
        apps: Apps,
        client: OAuthClient,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._connections = connections
        self._vault = vault
        self._apps = apps
        self._client = client
        self._audit = audit
        self._clock = clock
        self._detached = Detached()

    async def draft(self, connection: Connection, tokens: TokenSet) -> Revocation:
        """A row for this connection's grant, due at once. It is the caller's to store."""
        now = self._clock.now()
        revocation_id = secrets.token_hex(16)
        binding = Binding("revocations", revocation_id, connection.principal, connection.provider, "tokens", 1)
        return Revocation(
            id=revocation_id,
            principal=connection.principal,
            provider=connection.provider,
            account_id=connection.account_id,
            account_label=connection.account_label,
            variables=connection.variables,
            sealed=await self._vault.seal_tokens(tokens, binding),
            created_at=now,
            next_try_at=now,
            until=now + KEPT_TRYING,
        )

    async def attempt(self, revocation: Revocation, seconds: float | None = None) -> Ended:
        """Try once, for so long at most. NOT_YET also where somebody else is trying. Never raises GatewayError."""
        try:
            return await self._detached.run(self._attempt(revocation, seconds))
        except GatewayError as error:
            log.warning("a revocation at %s is put off: %s", revocation.provider, error)
            return Ended.NOT_YET

    async def settle(self) -> int:
        """Try everything that is due; how many came to their end. Several processes may do so at once."""
        due = await self._rows.list_due(self._clock.now(), _A_ROUND)
        room = asyncio.Semaphore(_AT_A_TIME)

        async def in_room(revocation: Revocation) -> Ended:
            async with room:
                return await self.attempt(revocation)

        ends = await asyncio.gather(*(in_room(revocation) for revocation in due))
        return sum(end is not Ended.NOT_YET for end in ends)

    def settle_soon(self) -> None:
        """Settle what a former process left, without waiting for it."""
        self._detached.start(self.settle())

    async def is_shared(self, grant: Connection | Revocation) -> bool:
        """Whether a revocation would end another connection too: the same account, consented to the same client."""
        try:
            app = await self._app(grant)
            if app.provider.revocation is None or not app.provider.revocation.ends_all:
                return False
            for tenant in await self._connections.list_tenants_of(grant.provider, grant.account_id, but=grant.id):
                if tenant == grant.principal.tenant:
                    return True
                other = await self._apps.get(grant.provider, tenant=tenant, variables=grant.variables)
                if other.client_id == app.client_id:
                    return True
        except GatewayError:
            return False  # not configured any more: there is nothing to ask with, and the try will say so
        return False

    async def close(self, seconds: float = 5.0) -> None:
        """Wait for tries under way. What is not done by then is tried again after the next start."""
        await self._detached.close(seconds)

    async def _attempt(self, revocation: Revocation, seconds: float | None) -> Ended:
        now = self._clock.now()
        claimed = await self._rows.claim(revocation, now + _CLAIM)
        if claimed is None:
            return Ended.NOT_YET
        if claimed.until <= now:
            return await self._end(claimed, Ended.GIVEN_UP)
        try:
            async with asyncio.timeout(seconds):
                end: Ended | RevocationAnswer = await self._ask(claimed)
        except (GatewayError, TimeoutError) as error:
            log.warning("%s could not be asked to end a grant: %s", claimed.provider, error or "no answer in time")
            end = RevocationAnswer(ended=False)
        if isinstance(end, Ended):
            return await self._end(claimed, end)
        pause = max(_pause(claimed.attempts), end.retry_after or timedelta(0))
        await self._rows.put_off(claimed, min(self._clock.now() + pause, claimed.until))
        return Ended.NOT_YET

    async def _ask(self, revocation: Revocation) -> Ended | RevocationAnswer:
        """How it ended; or, where it has to be tried again, what the provider answered."""
        try:
            tokens = await self._vault.open_tokens(revocation.sealed, _binding(revocation))
        except VaultError as error:
            log.warning("a grant at %s cannot be ended there: %s", revocation.provider, error)
            return Ended.UNREADABLE
        app = await self._app(revocation)
        if app.provider.revocation is None:
            return Ended.NOWHERE
        if await self.is_shared(revocation):
            return Ended.WANTED
        living = await self._living(app, revocation, tokens)
        if living is None:
            return Ended.CONFIRMED
        answer = await self._client.revoke(app, living)
        return Ended.CONFIRMED if answer.ended else answer

    async def _living(self, app: ProviderApp, revocation: Revocation, tokens: TokenSet) -> TokenSet | None:
        """Tokens that can prove the request. None: the provider says that the grant has ended already.

        Some providers end a grant for its living access token only, and this one may have run out long ago.
        """
        about = app.provider.revocation
        needs_access = about is not None and (about.auth == "bearer" or about.token == "access_token")  # noqa: S105 - a kind
        lives = tokens.expires_at is None or tokens.expires_at > self._clock.now()
        if not needs_access or lives or tokens.refresh_token is None:
            return tokens
        try:
            answer = await self._client.refresh(app, tokens)
        except TokenEndpointError as error:
            return None if error.kind is ErrorKind.REFUSED else tokens
        fresh = answer.tokens(app.provider, tokens.scopes, tokens)
        await self._rows.reseal(revocation, await self._vault.seal_tokens(fresh, _binding(revocation)))
        return fresh

    async def _app(self, grant: Connection | Revocation) -> ProviderApp:
        return await self._apps.get(grant.provider, tenant=grant.principal.tenant, variables=grant.variables)

    async def _end(self, revocation: Revocation, end: Ended) -> Ended:
        event = self._audit.event(
            revocation.principal,
            "connection.revoked" if end is Ended.CONFIRMED else "connection.not_revoked",
            end.value,
            provider=revocation.provider,
            account=revocation.account_name,
        )
        await self._rows.drop(revocation.id, event)
        return end


def _pause(attempts: int) -> timedelta:
    """How long to wait after so many tries: ever longer, and for each row a little different."""
    seconds = min(_FIRST_PAUSE * 4 ** min(attempts - 1, 8), _LONGEST_PAUSE)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads tries, hides nothing


def _binding(revocation: Revocation) -> Binding:
    return Binding("revocations", revocation.id, revocation.principal, revocation.provider, "tokens", 1)

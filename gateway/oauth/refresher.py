"""One refresh at a time for each connection, in this process and among all that share the database.

In this process: one detached task for each connection, which all callers wait for and no caller can cancel. Among
processes: a lease in the row, taken by compare-and-set and longer than the request can last (`leases`). The request is
made outside any transaction, and the answer is committed under the row's version, so that a loser can never put an
older token in a newer one's place. What a failure means is decided in `setbacks`; only a definite no from the provider
changes the connection's status. An answer that the database does not take goes into a file as well (`unstored`), and
what lies there is stored before the provider is asked again.

Below: leases, setbacks, unstored, grants, client, store. Above: broker, keep_alive.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import ProviderUnavailableError
from gateway.oauth.apps import Apps, ProviderApp
from gateway.oauth.backoff import in_words
from gateway.oauth.client import OAuthClient
from gateway.oauth.detached import Detached
from gateway.oauth.facts import of_connection
from gateway.oauth.grant_life import Lifespan, of_renewed_grant
from gateway.oauth.grants import Grants
from gateway.oauth.leases import BusyError, Lease, Leases, TooLateError
from gateway.oauth.setbacks import Setbacks
from gateway.oauth.token_answer import ErrorKind, TokenAnswer, TokenEndpointError
from gateway.oauth.unstored import Unstored
from gateway.providers.grant_types import Refresh
from gateway.store.lease_rows import LeaseRows
from gateway.store.times_ahead import is_ahead
from gateway.types import Connection, CredentialKind, TokenSet

log = logging.getLogger(__name__)

_CALLERS_PATIENCE = 25.0  # seconds
_SOON = timedelta(seconds=1)
_WAKINGS = 3  # times that a process may find itself stopped over one refresh
_STORED_WITHIN = 1.0  # seconds, or it is written down elsewhere
_COMMIT_PAUSES = (0.1, 0.3, 1.0, 3.0, 6.0, 10.0, 15.0, 25.0)  # seconds: a minute in all


class Refresher:
    """Renews connections' tokens."""

    def __init__(
        self,
        rows: LeaseRows,
        grants: Grants,
        unstored: Unstored,
        *,
        apps: Apps,
        client: OAuthClient,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._unstored = unstored
        self._leases = Leases(rows, clock)
        self._setbacks = Setbacks(rows, audit, clock)
        self._grants = grants
        self._apps = apps
        self._client = client
        self._audit = audit
        self._clock = clock
        self._detached = Detached()
        self._running: dict[str, asyncio.Task[Connection | None]] = {}

    def start(self, connection: Connection) -> asyncio.Task[Connection | None]:
        """See to it that a refresh of this connection is under way."""
        task = self._running.get(connection.id)
        if task is None:
            task = self._detached.start(self._refresh(connection))
            self._running[connection.id] = task
            task.add_done_callback(lambda _: self._running.pop(connection.id, None))
        return task

    def start_ahead(self, connection: Connection) -> datetime:
        """The same for a token that still lives, so that nobody waits. When there may be news: look again then."""
        now = self._clock.now()
        if connection.refresh_not_before is not None and is_ahead(connection.refresh_not_before, now):
            return connection.refresh_not_before
        self.start(connection)
        return now + _SOON

    async def refreshed(self, connection: Connection) -> Connection | None:
        """The row as it is after a refresh, whoever made it: active, or in need of a new consent. None: it is gone.

        Raises ProviderUnavailableError or ProviderMisconfiguredError, and leaves the connection as it was.
        """
        try:
            async with asyncio.timeout(_CALLERS_PATIENCE) as deadline:
                return await asyncio.shield(self.start(connection))
        except TimeoutError:
            if not deadline.expired():
                raise
            raise self._unavailable(connection, _SOON) from None

    def can_renew(self, connection: Connection, tokens: TokenSet) -> bool:
        """Whether there is anything to renew these tokens with."""
        provider = self._apps.find(connection.provider)
        if connection.kind is not CredentialKind.OAUTH2 or provider is None or provider.refresh.grant == "none":
            return False
        return tokens.refresh_token is not None or provider.refresh.grant == "exchange"

    async def give_up(self, connection: Connection, reason: str) -> Connection | None:
        """The provider refused tokens that cannot be renewed: a new consent is needed. The row as it is then."""
        event = of_connection(self._audit, connection, "connection.needs_reauth", "token_refused")
        if await self._rows.give_up(connection, reason=reason, now=self._clock.now(), event=event):
            self._grants.live.forget(connection.principal, connection.provider)
        return await self._rows.read(connection)

    async def close(self, seconds: float = 15.0) -> None:
        """Wait for refreshes under way: an answer that nobody commits is a lost token."""
        await self._detached.close(seconds)

    async def _refresh(self, seen: Connection) -> Connection | None:
        app = await self._apps.get(seen.provider, tenant=seen.principal.tenant, variables=seen.variables)
        self._setbacks.raise_if_hopeless(app, seen)
        tokens = await self._grants.open(seen)
        for _ in range(_WAKINGS):
            lease = await self._claim(app, seen)
            if lease is None or await self._is_answered(lease):
                return await self._rows.read(seen)
            try:
                return await self._renew(app, lease, tokens)
            except TooLateError:
                log.warning("this process stood still; whether connection %s was refreshed meanwhile is seen", seen.id)
                await self._leases.give_back(lease)
        raise self._unavailable(seen, _SOON)

    async def _claim(self, app: ProviderApp, seen: Connection) -> Lease | None:
        try:
            lease = await self._leases.claim(seen)
        except BusyError as busy:
            raise self._unavailable(seen, busy.wait) from None
        if lease is not None and (wait := self._setbacks.enter(app)):
            await self._leases.give_back(lease)
            raise self._unavailable(seen, wait)
        return lease

    async def _is_answered(self, lease: Lease) -> bool:
        """Whether these tokens are used up: an earlier refresh's answer, which could not be stored then, now is."""
        if not await self._unstored.settle_for(lease.row, lease.row.lease_owner):
            return False
        row = await self._rows.read(lease.row)
        return row is None or row.version != lease.row.version

    async def _renew(self, app: ProviderApp, lease: Lease, tokens: TokenSet) -> Connection | None:
        """Ask the provider with the refresh token; after a definite no, perhaps once more with the one before it."""
        try:
            return await self._ask_and_commit(app, lease, tokens)
        except TokenEndpointError as error:
            refusal = error
        if refusal.kind is not ErrorKind.REFUSED:
            return await self._setbacks.endured(app, lease, refusal)
        row = await self._rows.read(lease.row)
        if row is None or row.version != lease.row.version:
            return row  # the no was about older tokens
        if (former := predecessor(app.provider.refresh, tokens, self._clock.now())) is not None:
            try:
                return await self._ask_and_commit(app, lease, former)
            except TokenEndpointError as error:
                if error.kind is not ErrorKind.REFUSED:
                    return await self._setbacks.endured(app, lease, error)
        await self._setbacks.refused(app, lease, refusal)
        self._grants.live.forget(lease.row.principal, lease.row.provider)
        return await self._rows.read(lease.row)

    async def _ask_and_commit(self, app: ProviderApp, lease: Lease, tokens: TokenSet) -> Connection | None:
        answer = await self._client.refresh(app, tokens, last_look=lease.look)
        self._setbacks.answered(app)
        return await self._commit(app, lease.row, answer, tokens)

    async def _commit(
        self, app: ProviderApp, held: Connection, answer: TokenAnswer, used: TokenSet
    ) -> Connection | None:
        """Store the answer. The provider may have made the former refresh token worthless: give up last."""
        now = self._clock.now()
        life = of_renewed_grant(app, held, now=now, told=answer.grant_ends_at)
        tokens = succession(answer.tokens(app.provider, used.scopes, used), used, now)
        renewed = await self._kept(held, tokens, life)
        self._grants.live.forget(held.principal, held.provider)
        if renewed is None:
            log.warning("connection %s changed while it was refreshed; the newer row stays", held.id)
            return await self._rows.read(held)
        # Afterwards, not in the same transaction: a record that cannot be written must not cost a rotated token.
        self._audit.note(of_connection(self._audit, held, "connection.refreshed", "done"))
        return renewed

    async def _kept(self, held: Connection, tokens: TokenSet, life: Lifespan) -> Connection | None:
        """As `_stored`. What is not stored in a moment is in a file as well until it is, or for whoever comes next."""
        storing = asyncio.ensure_future(self._stored(held, tokens, life))
        done, _ = await asyncio.wait({storing}, timeout=_STORED_WITHIN)
        if done:
            return storing.result()
        is_kept = await self._unstored.keep(held, tokens, life)
        renewed = await storing
        if is_kept:
            await self._unstored.drop(held)
        return renewed

    async def _stored(self, held: Connection, tokens: TokenSet, life: Lifespan) -> Connection | None:
        """Seal and store: sealing may ask the database, or a key service, for the key. None: the row has changed."""
        for pause in (*_COMMIT_PAUSES, None):
            try:
                renewed = life.on(await self._grants.renewed(held, tokens))
                return renewed if await self._rows.complete(renewed, expected_version=held.version) else None
            except Exception:  # whatever ails the database: this is the only copy of a token that may be rotated
                if pause is None:
                    raise
                log.exception("refreshed tokens of connection %s could not be stored yet; trying again", held.id)
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _unavailable(self, seen: Connection, wait: timedelta) -> ProviderUnavailableError:
        return ProviderUnavailableError(
            f"{self._apps.display_name(seen.provider)} does not renew the access right now. The connection is kept; "
            f"try again in {in_words(wait)}."
        )


def predecessor(refresh: Refresh, tokens: TokenSet, now: datetime) -> TokenSet | None:
    """The tokens with the refresh token before the present one, where the provider documents that it may still do."""
    if tokens.previous_refresh_token is None or tokens.replaced_at is None:
        return None
    in_grace = now - tokens.replaced_at < timedelta(seconds=refresh.grace)
    if not (refresh.grace_until_used or in_grace):
        return None
    return replace(tokens, refresh_token=tokens.previous_refresh_token)


def succession(new: TokenSet, used: TokenSet, now: datetime) -> TokenSet:
    """New tokens with the refresh token that they replace. The one before that is dropped: its successor was used."""
    if new.refresh_token is None or new.refresh_token == used.refresh_token:
        return new
    return replace(new, previous_refresh_token=used.refresh_token, replaced_at=now)

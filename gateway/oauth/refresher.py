"""One refresh at a time for each connection, in this process and among all that share the database.

In this process: one detached task for each connection, which all callers wait for and no caller can cancel. Among
processes: a lease in the row, taken by compare-and-set and longer than the request can last. The request is made
outside any transaction, and the answer is committed under the row's version, so that a loser can never put an older
token in a newer one's place. Of a failure only a definite no from the provider changes the connection's status.

Below: grants, client, store. Above: broker.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from datetime import datetime, timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import GatewayError, ProviderMisconfiguredError, ProviderUnavailableError
from gateway.oauth.apps import Apps, ProviderApp
from gateway.oauth.client import OAuthClient
from gateway.oauth.detached import Detached
from gateway.oauth.grants import Grants
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError
from gateway.store.connection_rows import ConnectionRows
from gateway.types import Connection, ConnectionStatus, TokenSet

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
_SENT_WITHIN = 15.0  # seconds of a lease after which a request is no longer begun: the rest is for the answer
_WAIT_FOR_OTHERS = 20.0  # seconds
_LONGEST_BACKOFF = 300.0  # seconds
_MISCONFIGURED_FOR = timedelta(seconds=60)
_COMMIT_PAUSES = (0.1, 0.3, 1.0, 3.0, 6.0, 10.0, 15.0, 25.0)  # seconds: a minute in all


class Refresher:
    """Renews connections' tokens."""

    def __init__(
        self, rows: ConnectionRows, grants: Grants, *, apps: Apps, client: OAuthClient, audit: AuditLog, clock: Clock
    ) -> None:
        self._rows = rows
        self._grants = grants
        self._apps = apps
        self._client = client
        self._audit = audit
        self._clock = clock
        self._detached = Detached()
        self._running: dict[str, asyncio.Task[Connection | None]] = {}
        self._failures: dict[str, int] = {}
        self._misconfigured: dict[str, tuple[datetime, str]] = {}

    def start(self, connection: Connection) -> asyncio.Task[Connection | None]:
        """See to it that a refresh of this connection is under way."""
        task = self._running.get(connection.id)
        if task is None:
            task = self._detached.start(self._refresh(connection))
            self._running[connection.id] = task
            task.add_done_callback(lambda _: self._running.pop(connection.id, None))
        return task

    async def refreshed(self, connection: Connection) -> Connection | None:
        """The row as it is after a refresh, whoever made it: active, or in need of a new consent. None: it is gone.

        Raises ProviderUnavailableError or ProviderMisconfiguredError, and leaves the connection as it was.
        """
        return await asyncio.shield(self.start(connection))

    async def close(self, seconds: float = 15.0) -> None:
        """Wait for refreshes under way: an answer that nobody commits is a lost token."""
        await self._detached.close(seconds)

    async def _refresh(self, seen: Connection) -> Connection | None:
        app = await self._apps.get(seen.provider, tenant=seen.principal.tenant, variables=seen.variables)
        self._raise_if_misconfigured(app)
        tokens = await self._grants.open(seen)
        owner, began = secrets.token_hex(8), time.monotonic()
        if not await self._claim(seen, owner, began):
            return await self._rows.find_by_id(seen.principal, seen.id)
        try:
            answer = await self._client.refresh(app, tokens)
        except TokenEndpointError as error:
            return await self._failed(app, seen, owner, error)
        self._failures.pop(seen.id, None)
        self._misconfigured.pop(seen.provider, None)
        return await self._commit(seen, owner, answer.tokens(app.provider, tokens.scopes, tokens))

    async def _claim(self, seen: Connection, owner: str, began: float) -> bool:
        """Take the lease. False once the row has changed instead, because somebody else refreshed it."""
        while True:
            now, asked = self._clock.now(), time.monotonic()
            claimed = await self._rows.claim_lease(
                seen.id, version=seen.version, owner=owner, now=now, until=now + LEASE
            )
            if claimed and time.monotonic() - asked < _SENT_WITHIN:
                return True
            row = await self._rows.find_by_id(seen.principal, seen.id)
            if row is None or row.version != seen.version or row.status is not ConnectionStatus.ACTIVE:
                return False
            if row.refresh_not_before and row.refresh_not_before > now:
                raise self._unavailable(seen, row.refresh_not_before - now)
            if time.monotonic() - began > _WAIT_FOR_OTHERS:
                raise self._unavailable(seen, LEASE)
            await asyncio.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - spreads waiters, hides nothing

    async def _commit(self, seen: Connection, owner: str, tokens: TokenSet) -> Connection | None:
        """Store the answer. The provider may have made the former refresh token worthless: give up last."""
        renewed = await self._grants.renewed(seen, tokens)
        for pause in (*_COMMIT_PAUSES, None):
            try:
                # Where the lease was taken over, the version still decides: an unmoved row has no newer tokens.
                stored = await self._rows.complete_refresh(
                    renewed, owner=owner, expected_version=seen.version
                ) or await self._rows.replace(renewed, expected_version=seen.version)
                break
            except Exception:  # whatever ails the database: this is the only copy of a token that may be rotated
                if pause is None:
                    raise
                log.exception("refreshed tokens of connection %s could not be stored yet; trying again", seen.id)
                await asyncio.sleep(pause)
        self._grants.live.forget(seen.principal, seen.provider)
        if not stored:
            log.warning("connection %s changed while it was refreshed; the newer row stays", seen.id)
            return await self._rows.find_by_id(seen.principal, seen.id)
        self._record(seen, "connection.refreshed", "done")
        return renewed

    async def _failed(
        self, app: ProviderApp, seen: Connection, owner: str, error: TokenEndpointError
    ) -> Connection | None:
        match error.kind:
            case ErrorKind.REFUSED:
                return await self._refused(app, seen, owner, error)
            case ErrorKind.MISCONFIGURED:
                await self._release(seen, owner, None)
                sentence = (
                    f"{app.provider.name} does not accept this gateway's own registration ({error.code}). "
                    f"The operator has to check client_id, client_secret and scopes under [providers.{seen.provider}]."
                )
                self._misconfigured[seen.provider] = (self._clock.now() + _MISCONFIGURED_FOR, sentence)
                raise ProviderMisconfiguredError(sentence) from None
            case ErrorKind.UNAVAILABLE:
                failures = self._failures[seen.id] = self._failures.get(seen.id, 0) + 1
                backoff = random.uniform(0.5, 1.0) * min(2.0**failures, _LONGEST_BACKOFF)  # noqa: S311 - as above
                wait = error.retry_after or timedelta(seconds=backoff)
                await self._release(seen, owner, self._clock.now() + wait)
                raise self._unavailable(seen, wait) from None

    async def _refused(
        self, app: ProviderApp, seen: Connection, owner: str, error: TokenEndpointError
    ) -> Connection | None:
        """A definite no ends the connection, unless its row has moved on: then the no was about an older token."""
        self._failures.pop(seen.id, None)
        ended = await self._rows.fail_refresh(
            seen.id,
            owner=owner,
            version=seen.version,
            status=ConnectionStatus.NEEDS_REAUTH,
            reason=_why(app, error),
            not_before=None,
            now=self._clock.now(),
        )
        self._grants.live.forget(seen.principal, seen.provider)
        if ended:
            self._record(seen, "connection.needs_reauth", error.code)
        return await self._rows.find_by_id(seen.principal, seen.id)

    async def _release(self, seen: Connection, owner: str, not_before: datetime | None) -> None:
        await self._rows.fail_refresh(
            seen.id,
            owner=owner,
            version=seen.version,
            status=ConnectionStatus.ACTIVE,
            reason=None,
            not_before=not_before,
            now=self._clock.now(),
        )

    def _raise_if_misconfigured(self, app: ProviderApp) -> None:
        until, sentence = self._misconfigured.get(app.provider.id, (None, ""))
        if until is not None and self._clock.now() < until:
            raise ProviderMisconfiguredError(sentence)

    def _unavailable(self, seen: Connection, wait: timedelta) -> GatewayError:
        return ProviderUnavailableError(
            f"{self._apps.display_name(seen.provider)} does not renew the access right now. The connection is kept; "
            f"try again in {max(1, round(wait.total_seconds()))} s."
        )

    def _record(self, seen: Connection, action: str, outcome: str) -> None:
        self._audit.record(seen.principal, action, outcome, provider=seen.provider, account=seen.account_id)


def _why(app: ProviderApp, error: TokenEndpointError) -> str:
    if error.code == "no_refresh_token":
        return f"{app.provider.name} gave access for a limited time only, and it has ended."
    return f"{app.provider.name} no longer accepts the connection ({error.code})."

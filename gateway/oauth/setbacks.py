"""What a failed refresh means, and what is done about it. Three kinds, that call for three different things.

    refused        the grant is gone: the connection needs a new consent. Its row stays
    misconfigured  our registration is wrong: the operator is told, people's connections stay as they are
    unavailable    an outage: the tokens stay; back-off in the row, where other processes see it, and a circuit

Outcomes that nobody saw (a request without an answer, a process that died) are kept apart: the same token is tried
again, and if the provider then refuses it, the person reads that this was the cause.

Below: store, circuit, backoff. Above: refresher.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import ProviderMisconfiguredError, ProviderUnavailableError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.backoff import in_words, pause
from gateway.oauth.circuit import Circuits
from gateway.oauth.facts import of_connection
from gateway.oauth.leases import Lease
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError
from gateway.store.lease_rows import LeaseRows
from gateway.store.times_ahead import is_ahead
from gateway.types import Connection

log = logging.getLogger(__name__)

MISCONFIGURED_FOR = timedelta(minutes=5)
_OURS = {"incorrect_client_credentials", "invalid_client", "invalid_client_id", "unauthorized_client"}
"""Errors about our registration itself, which all its connections share. The others may be about one connection."""
_EVERYBODY = ""
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class _Mark:
    """A registration that the provider does not accept."""

    app: ProviderApp
    until: datetime
    sentence: str


class Setbacks:
    """Remembers which registrations and endpoints do not work. In this process; what concerns one row is in it."""

    def __init__(self, rows: LeaseRows, audit: AuditLog, clock: Clock) -> None:
        self._rows = rows
        self._audit = audit
        self._clock = clock
        self._circuits = Circuits(clock)
        self._marks: dict[tuple[str, str, str], _Mark] = {}

    def raise_if_hopeless(self, app: ProviderApp, seen: Connection) -> None:
        """Raises where asking is known to be no use: a back-off, a bad registration, a circuit that is open."""
        now = self._clock.now()
        for whom in (_EVERYBODY, seen.id):
            mark = self._marks.get((seen.principal.tenant, seen.provider, whom))
            if mark is not None and mark.app == app and now < mark.until:
                raise ProviderMisconfiguredError(mark.sentence)
        if seen.refresh_not_before is not None and is_ahead(seen.refresh_not_before, now):
            raise _unavailable(app, seen.refresh_not_before - now)
        if wait := self._circuits.wait(_endpoint(app)):
            raise _unavailable(app, wait)

    def enter(self, app: ProviderApp) -> timedelta:
        """Somebody is about to ask. How long they have to wait instead, while another one finds out for them."""
        return self._circuits.enter(_endpoint(app))

    def answered(self, app: ProviderApp) -> None:
        """The provider gave tokens, or said why it does not."""
        self._circuits.answered(_endpoint(app))

    async def endured(self, app: ProviderApp, lease: Lease, error: TokenEndpointError) -> NoReturn:
        """Note a failure that leaves the connection as it is, and raise it."""
        if error.kind is ErrorKind.MISCONFIGURED:
            await self._misconfigured(app, lease, error)
        failures = lease.row.failures + 1
        wait = pause(failures, error.retry_after)
        self._circuits.failed(_endpoint(app), lease.row.id, wait)
        await self._rows.give_back(
            lease.row,
            failures=failures,
            not_before=self._clock.now() + wait,
            in_doubt=lease.is_in_doubt or error.status != _TOO_MANY_REQUESTS,
        )
        raise _unavailable(app, wait)

    async def refused(self, app: ProviderApp, lease: Lease, error: TokenEndpointError) -> None:
        """The connection has ended, unless its row has moved on: then the no was about older tokens."""
        self.answered(app)
        lost = lease.is_in_doubt and error.code != "no_refresh_token"
        outcome = "crash_or_timeout_during_refresh" if lost else error.code
        event = of_connection(self._audit, lease.row, "connection.needs_reauth", outcome)
        await self._rows.refuse(lease.row, reason=_why(app, error, lost=lost), now=self._clock.now(), event=event)

    async def _misconfigured(self, app: ProviderApp, lease: Lease, error: TokenEndpointError) -> NoReturn:
        self.answered(app)
        row, until = lease.row, self._clock.now() + MISCONFIGURED_FOR
        sentence = (
            f"{app.provider.name} does not accept this gateway's own registration ({error.code}). "
            f"The operator has to check client_id, client_secret and scopes under [providers.{app.provider.id}]."
        )
        is_ours = error.code in _OURS
        self._marks = {key: mark for key, mark in self._marks.items() if mark.until > self._clock.now()}
        self._marks[row.principal.tenant, row.provider, _EVERYBODY if is_ours else row.id] = _Mark(app, until, sentence)
        log.error("%s People's connections stay as they are.", sentence)
        self._audit.note(of_connection(self._audit, row, "provider.misconfigured", error.code))
        await self._rows.give_back(
            row, failures=row.failures, not_before=None if is_ours else until, in_doubt=lease.is_in_doubt
        )
        raise ProviderMisconfiguredError(sentence)


def _endpoint(app: ProviderApp) -> str:
    """What fails together: one server, whichever of its people asks it, for one registration of ours."""
    return f"{app.client_id}@{app.provider.refresh.url or app.provider.token_url}"


def _unavailable(app: ProviderApp, wait: timedelta) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        f"{app.provider.name} does not renew the access right now. The connection is kept; "
        f"try again in {in_words(wait)}."
    )


def _why(app: ProviderApp, error: TokenEndpointError, *, lost: bool) -> str:
    if error.code == "no_refresh_token":
        return f"{app.provider.name} gave access for a limited time only, and it has ended."
    reason = f"{app.provider.name} no longer accepts the connection ({error.code})."
    if lost:
        reason += " An earlier renewal broke off without a usable answer, and a new access may have been lost with it."
    return reason

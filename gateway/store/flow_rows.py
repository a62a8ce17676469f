"""Flows at rest: consents in progress. What makes a Flow single use is one UPDATE that finds it unused.

A row holds hashes of the state and of the browser's token, never the values, and the PKCE verifier sealed.
Not here: who may continue a Flow (`gateway.oauth.flows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from gateway.store.engine import Engines
from gateway.store.tables import FLOWS, belongs_to, from_row, to_columns
from gateway.types import Flow, FlowStatus, Principal

_columns = FLOWS.c
_PURPOSE = ("provider", "kind", "scopes", "tool", "return_url", "reconnects", "another")


class FlowRows:
    """Flows by id, by the hash of their state, and by person."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def put(self, flow: Flow) -> None:
        """Store a new Flow."""
        await self._engines.change(self._engines.insert(FLOWS).values(to_columns(flow)))

    async def find(self, flow_id: str) -> Flow | None:
        """The Flow, whosoever it is and however it stands: the caller compares the Principal."""
        rows = await self._engines.rows(select(FLOWS).where(_columns.id == flow_id))
        return from_row(Flow, rows[0]) if rows else None

    async def find_pending(self, wanted: Flow, now: datetime) -> Flow | None:
        """The person's newest Flow for the very same purpose that can still be completed."""
        rows = await self._engines.rows(
            select(FLOWS)
            .where(
                belongs_to(FLOWS, wanted.principal),
                *(_columns[name].is_not_distinct_from(getattr(wanted, name)) for name in _PURPOSE),
                _open(now),
            )
            .order_by(_columns.created_at.desc(), _columns.id)
            .limit(1)
        )
        return from_row(Flow, rows[0]) if rows else None

    async def find_last(self, principal: Principal, reconnects: str) -> Flow | None:
        """The person's newest Flow that was to renew this connection and came to an account."""
        rows = await self._engines.rows(
            select(FLOWS)
            .where(
                belongs_to(FLOWS, principal),
                _columns.reconnects == reconnects,
                _columns.status == FlowStatus.CONNECTED,
            )
            .order_by(_columns.created_at.desc(), _columns.id)
            .limit(1)
        )
        return from_row(Flow, rows[0]) if rows else None

    async def find_state(self, state_hash: str, provider: str, now: datetime) -> Flow | None:
        """The Flow that this state began at this provider, while it can still be completed."""
        rows = await self._engines.rows(select(FLOWS).where(_began(state_hash, provider), _open(now)))
        return from_row(Flow, rows[0]) if rows else None

    async def begin(
        self,
        flow_id: str,
        *,
        redirect_uri: str,
        state_hash: str,
        browser_hash: str,
        sealed_verifier: bytes,
        now: datetime,
        variables: Mapping[str, str] | None = None,
    ) -> bool:
        """Note that the person pressed Connect. Pressing again makes the former state worthless.

        False if the Flow is unknown, expired or used.
        """
        statement = (
            update(FLOWS)
            .where(_columns.id == flow_id, _open(now))
            .values(
                redirect_uri=redirect_uri,
                state_hash=state_hash,
                browser_hash=browser_hash,
                sealed_verifier=sealed_verifier,
                variables=variables or {},
            )
        )
        return await self._engines.change(statement) == 1

    async def bind(self, flow_id: str, browser_hash: str, now: datetime) -> bool:
        """Keep the Flow for this browser. False if another has it, or it is unknown, expired or used."""
        free = or_(_columns.browser_hash.is_(None), _columns.browser_hash == browser_hash)
        statement = update(FLOWS).where(_columns.id == flow_id, free, _open(now)).values(browser_hash=browser_hash)
        return await self._engines.change(statement) == 1

    async def consume_state(
        self, state_hash: str, provider: str, now: datetime, *, principal: Principal, browser_hash: str
    ) -> Flow | None:
        """Use up the Flow that this state began, in this person's browser: of any number of callers, one gets it.

        None if it is unknown, expired, used, somebody else's, was begun in another browser, or for another provider
        (RFC 9700, section 4.4.2). Then nothing is used up.
        """
        theirs = and_(belongs_to(FLOWS, principal), _columns.browser_hash == browser_hash)
        return await self._consume(and_(_began(state_hash, provider), theirs), now)

    async def consume(self, flow_id: str, now: datetime) -> Flow | None:
        """Use up a Flow by its id, for a credential that is typed in. None as for `consume_state`."""
        return await self._consume(_columns.id == flow_id, now)

    async def finish(
        self, flow_id: str, status: FlowStatus, *, failure: str | None = None, connection_id: str | None = None
    ) -> None:
        """Record how a pending Flow ended, and forget its verifier. One that has ended stays as it is."""
        await self._engines.change(
            update(FLOWS)
            .where(_columns.id == flow_id, _columns.status == FlowStatus.PENDING)
            .values(status=status, failure=failure, connection_id=connection_id, sealed_verifier=None)
        )

    async def prune(self, before: datetime) -> int:
        """Delete the Flows that expired before this time; how many they were."""
        return await self._engines.change(delete(FLOWS).where(_columns.expires_at < before))

    async def _consume(self, which: ColumnElement[bool], now: datetime) -> Flow | None:
        row = await self._engines.changed(
            update(FLOWS).where(which, _open(now)).values(consumed_at=now).returning(*_columns)
        )
        return from_row(Flow, row) if row else None


def _began(state_hash: str, provider: str) -> ColumnElement[bool]:
    return and_(_columns.state_hash == state_hash, _columns.provider == provider)


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(
        _columns.status == FlowStatus.PENDING,
        _columns.consumed_at.is_(None),
        _columns.expires_at > now,
    )

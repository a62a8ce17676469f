"""Authorization codes, grants and refresh tokens at rest. What makes a code or a token single use is one transaction.

The event of a change is recorded in that transaction, too. A row is found by the SHA-256 of what a client shows. Who
shows it, and whether it may, is not judged here (`gateway.authorization.grants`). Used codes and replaced tokens stay
until they expire: to know a replay for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Update, delete, select, update

from gateway.authorization_types import AccessGrant, AuthorizationCode, RefreshToken
from gateway.store.audit_rows import AuditRows
from gateway.store.authorization_tables import (
    ACCESS_GRANTS,
    AUTHORIZATION_CODES,
    GIVEN_CONSENTS,
    REFRESH_TOKENS,
    columns_of,
    record_of,
)
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import belongs_to
from gateway.types import AuditEvent, Principal

Reused = Callable[[str | None], AuditEvent]
"""The event of a grant's end, because something was used again. It is given the grant's id."""

_codes = AUTHORIZATION_CODES.c
_grants = ACCESS_GRANTS.c
_refresh = REFRESH_TOKENS.c


class Spent(StrEnum):
    """Why a code or refresh token gives nothing any more."""

    GONE = "gone"
    """Unknown, expired, or its grant was revoked."""
    REUSED = "reused"
    """It was used before. Its grant, until then alive, has been revoked just now."""


class GrantRows:
    """Codes and tokens by digest, grants by id and by person."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def put_code(self, code: AuthorizationCode, event: AuditEvent | None = None) -> None:
        await self._audit.change(self._engines.insert(AUTHORIZATION_CODES).values(columns_of(code)), event)

    async def find_code(self, digest: str) -> AuthorizationCode | None:
        """The code, used or not, expired or not."""
        rows = await self._engines.rows(select(AUTHORIZATION_CODES).where(_codes.id == digest))
        return record_of(AuthorizationCode, rows[0]) if rows else None

    async def redeem(
        self,
        code: AuthorizationCode,
        grant: AccessGrant,
        first: RefreshToken | None,
        *,
        event: AuditEvent | None = None,
        reused: Reused | None = None,
    ) -> Spent | None:
        """Use the code up for this grant, and its first refresh token. Of any number of callers, one does; None.

        For the others the grant that the code became is revoked (RFC 6749 section 4.1.2): REUSED.
        """

        def in_transaction(connection: Transaction) -> tuple[Spent | None, Sequence[AuditEvent | None]]:
            unused = update(AUTHORIZATION_CODES).where(_codes.id == code.id, _codes.used_at.is_(None))
            used = connection.execute(unused.values(used_at=grant.created_at, grant_id=grant.id))
            if used.rowcount != 1:
                became = select(_codes.grant_id).where(_codes.id == code.id)
                former = connection.execute(became).scalar_one_or_none()
                return _revoke_reused(connection, former, grant.created_at, reused)
            connection.execute(self._engines.insert(ACCESS_GRANTS).values(columns_of(grant)))
            if first is not None:
                connection.execute(self._engines.insert(REFRESH_TOKENS).values(columns_of(first)))
            return None, [event]

        return await self._audit.recorded(f"authorization code {code.id}", in_transaction)

    async def insert(self, grant: AccessGrant, event: AuditEvent | None = None) -> None:
        """Store a grant without a code: one that no person was asked for."""
        await self._audit.change(self._engines.insert(ACCESS_GRANTS).values(columns_of(grant)), event)

    async def find(self, grant_id: str) -> AccessGrant | None:
        """The grant, alive or not."""
        rows = await self._engines.rows(select(ACCESS_GRANTS).where(_grants.id == grant_id))
        return record_of(AccessGrant, rows[0]) if rows else None

    async def list_live(self, principal: Principal, now: datetime) -> list[AccessGrant]:
        """The person's grants that are alive, the newest first."""
        live = (belongs_to(ACCESS_GRANTS, principal), _grants.revoked_at.is_(None), _grants.expires_at > now)
        rows = await self._engines.rows(
            select(ACCESS_GRANTS).where(*live).order_by(_grants.created_at.desc(), _grants.id)
        )
        return [record_of(AccessGrant, row) for row in rows]

    async def revoke(self, grant_id: str, now: datetime, event: AuditEvent | None = None) -> bool:
        """End the grant. False if it is unknown, or was ended before."""
        return await self._audit.change(_revocation(grant_id, now), event)

    async def end(self, grant: AccessGrant, now: datetime, event: AuditEvent | None = None) -> bool:
        """As `revoke`, and forget what the person consented to with the client, so that they are asked again."""
        theirs = (belongs_to(GIVEN_CONSENTS, grant.principal), GIVEN_CONSENTS.c.client_id == grant.client_id)

        def in_transaction(connection: Transaction) -> tuple[bool, Sequence[AuditEvent | None]]:
            ended = connection.execute(_revocation(grant.id, now)).rowcount == 1
            forgotten = connection.execute(delete(GIVEN_CONSENTS).where(*theirs)).rowcount > 0
            return ended, [event] if ended or forgotten else []

        return await self._audit.recorded(None, in_transaction)

    async def find_refresh(self, digest: str) -> RefreshToken | None:
        """The refresh token, replaced or not, expired or not."""
        rows = await self._engines.rows(select(REFRESH_TOKENS).where(_refresh.id == digest))
        return record_of(RefreshToken, rows[0]) if rows else None

    async def rotate(
        self,
        token: RefreshToken,
        successor: RefreshToken,
        grace: timedelta | None,
        *,
        event: AuditEvent | None = None,
        reused: Reused | None = None,
    ) -> str | Spent:
        """Exchange a token for its successor; the digest of what it was exchanged for, now or before.

        `token` is what `find_refresh` gave. If it was unspent then, and has been exchanged since, two were under way at
        once: both get the same successor. If it was spent already, then with `grace` it is answered with the same
        successor until that has been used itself, and for as long as `grace` at least. Whatever else comes back is
        reused: the grant is revoked. `successor.created_at` is the time.
        """
        now = successor.created_at

        def in_transaction(connection: Transaction) -> tuple[str | Spent, Sequence[AuditEvent | None]]:
            row = connection.execute(select(REFRESH_TOKENS).where(_refresh.id == token.id)).mappings().first()
            if row is None:
                return Spent.GONE, []
            present = record_of(RefreshToken, row)
            if present.replaced_at is None:
                connection.execute(
                    update(REFRESH_TOKENS)
                    .where(_refresh.id == token.id)
                    .values(replaced_at=now, successor=successor.id)
                )
                connection.execute(self._engines.insert(REFRESH_TOKENS).values(columns_of(successor)))
                connection.execute(update(ACCESS_GRANTS).where(_grants.id == token.grant_id).values(used_at=now))
                return successor.id, [event]
            if present.successor is not None and token.replaced_at is None:
                return present.successor, [event]
            used = select(_refresh.replaced_at).where(_refresh.id == present.successor)
            is_used = connection.execute(used).scalar_one_or_none() is not None
            if grace is not None and present.successor and (not is_used or now <= present.replaced_at + grace):
                return present.successor, [event]
            return _revoke_reused(connection, token.grant_id, now, reused)

        return await self._audit.recorded(f"access grant {token.grant_id}", in_transaction)

    async def prune(self, before: datetime) -> int:
        """Delete the codes, grants and tokens that expired before this time; how many they were."""
        counts = [
            await self._engines.change(delete(table).where(table.c.expires_at < before))
            for table in (AUTHORIZATION_CODES, REFRESH_TOKENS, ACCESS_GRANTS)
        ]
        return sum(counts)


def _revocation(grant_id: str | None, now: datetime) -> Update:
    return update(ACCESS_GRANTS).where(_grants.id == grant_id, _grants.revoked_at.is_(None)).values(revoked_at=now)


def _revoke_reused(
    connection: Transaction, grant_id: str | None, now: datetime, reused: Reused | None
) -> tuple[Spent, Sequence[AuditEvent | None]]:
    if connection.execute(_revocation(grant_id, now)).rowcount != 1:
        return Spent.GONE, []
    return Spent.REUSED, [reused(grant_id)] if reused else []

"""Accounts that are kept here, and the invitations to them.

Of several who accept one invitation, or use one code of a second factor, at the same moment, one does. Not here:
passwords and codes themselves (`gateway.access`).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, or_, select, update

from gateway.people_types import Invitation, LocalAccount
from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.people_tables import INVITATIONS, LOCAL_ACCOUNTS
from gateway.types import AuditEvent

_accounts = LOCAL_ACCOUNTS.c
_invitations = INVITATIONS.c


class AccountRows:
    """Local accounts by id and by e-mail address; invitations by their digest.

    The event of a change is recorded in the transaction that makes it.
    """

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def insert(self, account: LocalAccount, event: AuditEvent | None = None) -> bool:
        """Store a new account. False if the address has one."""
        statement = self._engines.insert(LOCAL_ACCOUNTS).values(asdict(account)).on_conflict_do_nothing()
        return await self._audit.change(statement, event)

    async def find(self, account_id: str) -> LocalAccount | None:
        rows = await self._engines.rows(select(LOCAL_ACCOUNTS).where(_accounts.id == account_id))
        return LocalAccount(**rows[0]) if rows else None

    async def find_by_email(self, email: str) -> LocalAccount | None:
        """`email` in lower case."""
        rows = await self._engines.rows(select(LOCAL_ACCOUNTS).where(_accounts.email == email))
        return LocalAccount(**rows[0]) if rows else None

    async def list_all(self) -> list[LocalAccount]:
        """All accounts, the oldest first."""
        rows = await self._engines.rows(select(LOCAL_ACCOUNTS).order_by(_accounts.created_at, _accounts.id))
        return [LocalAccount(**row) for row in rows]

    async def set_disabled(self, account_id: str, at: datetime | None, event: AuditEvent | None = None) -> bool:
        """Let nobody in by this account, or, with None, its owner again. False where that is how it was."""
        differs = _accounts.disabled_at.is_(None) if at else _accounts.disabled_at.is_not(None)
        statement = update(LOCAL_ACCOUNTS).where(_accounts.id == account_id, differs).values(disabled_at=at)
        return await self._audit.change(statement, event)

    async def invite(self, invitation: Invitation, event: AuditEvent | None = None) -> None:
        """Store an invitation. Those to the same account that are still open work no longer."""

        def in_transaction(connection: Transaction) -> tuple[None, list[AuditEvent | None]]:
            still_open = update(INVITATIONS).where(
                _invitations.account_id == invitation.account_id, _invitations.used_at.is_(None)
            )
            connection.execute(still_open.values(used_at=invitation.created_at))
            connection.execute(self._engines.insert(INVITATIONS).values(asdict(invitation)))
            return None, [event]

        await self._audit.recorded(f"invitation {invitation.account_id}", in_transaction)

    async def find_invitation(self, invitation_id: str) -> Invitation | None:
        """The invitation, good or not."""
        rows = await self._engines.rows(select(INVITATIONS).where(_invitations.id == invitation_id))
        return Invitation(**rows[0]) if rows else None

    async def accept(
        self, invitation: Invitation, password_hash: str, now: datetime, event: AuditEvent | None = None
    ) -> bool:
        """Use the invitation up: the account has this password now, and no second factor. False if it is used up."""

        def in_transaction(connection: Transaction) -> tuple[bool, list[AuditEvent | None]]:
            unused = update(INVITATIONS).where(
                _invitations.id == invitation.id, _invitations.used_at.is_(None), _invitations.expires_at > now
            )
            if connection.execute(unused.values(used_at=now)).rowcount != 1:
                return False, []
            fresh = {"password_hash": password_hash, "sealed": None, "totp_step": None}
            connection.execute(update(LOCAL_ACCOUNTS).where(_accounts.id == invitation.account_id).values(fresh))
            return True, [event]

        return await self._audit.recorded(f"invitation {invitation.account_id}", in_transaction)

    async def prune_invitations(self, before: datetime) -> int:
        """Delete those that ended before this time; how many they were."""
        return await self._engines.change(delete(INVITATIONS).where(_invitations.expires_at < before))

    async def set_password_hash(self, account_id: str, former: str, anew: str) -> None:
        """Put a hash of the same password, made by today's rules, in the place of the former one."""
        same = (_accounts.id == account_id, _accounts.password_hash == former)
        await self._engines.change(update(LOCAL_ACCOUNTS).where(*same).values(password_hash=anew))

    async def add_totp(self, account_id: str, sealed: bytes, step: int, event: AuditEvent | None = None) -> bool:
        """Give the account a second factor, whose code of this step was just used. False if it has one."""
        without = update(LOCAL_ACCOUNTS).where(_accounts.id == account_id, _accounts.sealed.is_(None))
        return await self._audit.change(without.values(sealed=sealed, totp_step=step), event)

    async def use_step(self, account_id: str, step: int) -> bool:
        """Use up the code of this step. False if it, or a later one, was used before."""
        later = or_(_accounts.totp_step.is_(None), _accounts.totp_step < step)
        statement = update(LOCAL_ACCOUNTS).where(_accounts.id == account_id, later).values(totp_step=step)
        return await self._engines.change(statement) == 1

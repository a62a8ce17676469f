"""Accounts that this gateway keeps itself: by invitation, with a password and, if their owner wants it, a code.

What does not work is not told apart: no such account, not accepted yet, disabled, or the wrong password. Every attempt
is counted first. A code works once, of the present half minute or the one beside it. An account is recovered by a new
invitation: accepting it sets a password, takes the second factor away, and ends what was open.

Below: passwords, totp, throttle, vault, the store's rows. Above: sign_in, the command line.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.access.passwords import Passwords, check_new
from gateway.access.people import Arrival
from gateway.access.throttle import Throttle
from gateway.access.totp import step_of
from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import AccountError, FieldError, InvitationError
from gateway.people_types import Invitation, LocalAccount
from gateway.secret import Secret
from gateway.store.account_rows import AccountRows
from gateway.types import AuditEvent, Principal
from gateway.vault.vault import Binding, Vault, own_binding

INVITED_FOR = timedelta(days=7)
_CODE_BYTES = 32
_EMAIL = re.compile(r"[^\s@<>\"'(),:;\\\[\]]{1,64}@[^\s@<>\"'(),:;\\\[\]]{1,190}")
_GONE = "This invitation does not work (any more). It may have been used, or be too old. Ask for a new one."


@dataclass(frozen=True, slots=True)
class Invited:
    account: LocalAccount
    code: Secret
    expires_at: datetime
    is_new: bool


class LocalAccounts:
    """`issuer` is the name under which we vouch for these people: our own URL."""

    def __init__(
        self,
        rows: AccountRows,
        passwords: Passwords,
        throttle: Throttle,
        vault: Vault,
        clock: Clock,
        *,
        audit: AuditLog,
        issuer: str,
    ) -> None:
        self._rows = rows
        self._passwords = passwords
        self._throttle = throttle
        self._vault = vault
        self._clock = clock
        self._audit = audit
        self._issuer = issuer

    async def invite(
        self, email: str, name: str | None = None, groups: Iterable[str] = (), *, by: Principal
    ) -> Invited:
        """An invitation, whose code nobody can ever ask for again. To an account that is there already, it recovers it.

        AccountError for what is no e-mail address, or a disabled account.
        """
        address = email.strip().lower()
        if not _EMAIL.fullmatch(address) or not address.isprintable():
            raise AccountError(f"{email!r} is no e-mail address.")
        now = self._clock.now()
        fresh = LocalAccount(secrets.token_hex(16), address, name, frozenset(groups), now)
        is_new = await self._rows.insert(fresh, self._event(by, "account.made", fresh))
        account = fresh if is_new else await self._rows.find_by_email(address)
        if account is None or account.disabled_at is not None:
            raise AccountError("This account is disabled. First: atp-gateway people enable " + address)
        code = secrets.token_urlsafe(_CODE_BYTES)
        invitation = Invitation(_digest(code), account.id, now, now + INVITED_FOR)
        await self._rows.invite(invitation, self._event(by, "account.invited", account))
        return Invited(account, Secret(code), now + INVITED_FOR, is_new)

    async def list_all(self) -> list[LocalAccount]:
        return await self._rows.list_all()

    async def invited(self, code: str) -> LocalAccount:
        """Whom the invitation is for. InvitationError for an unknown, used, old or replaced one alike."""
        return (await self._open_invitation(code))[1]

    async def accept(self, code: str, password: Secret) -> LocalAccount:
        """Use an invitation up. FieldError for a password that will not do: then it stays open. InvitationError."""
        invitation, account = await self._open_invitation(code)
        check_new(password, email=account.email)
        event = self._event(self.principal(account), "account.password_set", account)
        if not await self._rows.accept(invitation, await self._passwords.hash(password), self._clock.now(), event):
            raise InvitationError(_GONE)
        return await self._present(account.id)

    async def by_password(self, email: str, password: Secret, address: str) -> LocalAccount | None:
        """The account of that name and password, if its owner may sign in. TooManySignInsError."""
        name = email.strip().lower()
        await self._throttle.attempt(name, address)
        account = await self._rows.find_by_email(name)
        kept = account.password_hash if account else None
        is_right = await self._passwords.verify(kept, password)
        if not is_right or account is None or kept is None or account.disabled_at is not None:
            return None
        if self._passwords.is_out_of_date(kept):
            await self._rows.set_password_hash(account.id, kept, await self._passwords.hash(password))
        if account.sealed is None:
            await self._throttle.succeeded(name, address, 1)
        return account

    async def by_code(self, account_id: str, code: str, address: str) -> LocalAccount | None:
        """The account, whose password was right, if this is a code of its second factor. TooManySignInsError."""
        account = await self._rows.find(account_id)
        if account is None or account.sealed is None or account.disabled_at is not None:
            return None
        await self._throttle.attempt(account.email, address)
        secret = (await self._vault.open(account.sealed, _place(account.id))).decode()
        step = step_of(secret, code, self._clock.now())
        if step is None or not await self._rows.use_step(account.id, step):
            return None
        await self._throttle.succeeded(account.email, address, 2)
        return account

    async def account_of(self, person: Principal) -> LocalAccount | None:
        """The account that this person signs in with; None where somebody else vouches for them."""
        account = await self._rows.find(person.subject) if person.issuer == self._issuer else None
        return account if account and account.disabled_at is None else None

    async def add_totp(self, account: LocalAccount, secret: str, code: str) -> None:
        """Ask for a code from now on, unless that is so already. FieldError unless `code` shows that a phone has it."""
        step = step_of(secret, code, self._clock.now())
        if step is None:
            raise FieldError("code", "That is not the code of this moment. Type the one that the app shows now.")
        sealed = await self._vault.seal(secret.encode(), _place(account.id))
        event = self._event(self.principal(account), "account.second_factor_added", account)
        await self._rows.add_totp(account.id, sealed, step, event)

    async def set_disabled(self, account: LocalAccount, *, disabled: bool, by: Principal) -> None:
        """Whether the account lets anybody in."""
        event = self._event(by, "account.disabled" if disabled else "account.enabled", account)
        await self._rows.set_disabled(account.id, self._clock.now() if disabled else None, event)

    def principal(self, account: LocalAccount) -> Principal:
        return Principal(self._issuer, account.id, groups=account.groups)

    def arrival(self, account: LocalAccount) -> Arrival:
        """That the owner of the account has proved to be who they are."""
        return Arrival(self.principal(account), account.name, account.email, "local")

    def _event(self, by: Principal, action: str, account: LocalAccount) -> AuditEvent:
        return self._audit.event(by, action, "done", account=account.email, reference=account.id)

    async def _open_invitation(self, code: str) -> tuple[Invitation, LocalAccount]:
        found = await self._rows.find_invitation(_digest(code))
        account = await self._rows.find(found.account_id) if found else None
        is_open = found and found.used_at is None and self._clock.now() < found.expires_at
        if not is_open or found is None or account is None or account.disabled_at is not None:
            raise InvitationError(_GONE)
        return found, account

    async def _present(self, account_id: str) -> LocalAccount:
        account = await self._rows.find(account_id)
        if account is None:
            raise InvitationError(_GONE)
        return account


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _place(account_id: str) -> Binding:
    return own_binding("local_accounts", account_id, "totp")

"""The vocabulary of signing in at the browser: people, their sessions, and accounts that are kept here.

Plain, immutable values, as `gateway.types`. Passwords, session ids and invitation codes are here only as digests, the
secret of a second factor only sealed. Above: the store's rows, `gateway.access`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from gateway.types import Principal


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in here, or was invited to. `groups` are those that the last sign-in told.

    One who is disabled gets in by no session, whoever vouches for them.
    """

    id: str
    principal: Principal
    name: str | None
    email: str | None
    groups: frozenset[str]
    created_at: datetime
    last_seen_at: datetime | None = None
    disabled_at: datetime | None = None

    @property
    def called(self) -> str:
        """What a page calls them."""
        return self.name or self.email or self.principal.subject


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that somebody has signed in at. `id` is the digest of what its cookie holds.

    `used_at` is right to a few minutes. Whatever is done with it, it ends at `expires_at`.
    """

    id: str = field(repr=False)
    person_id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LocalAccount:
    """An account with a password that this gateway keeps. `email` is in lower case, and nobody else's.

    Without `password_hash` its invitation has not been accepted. `sealed` is the second factor's secret, and
    `totp_step` the time step of the last code that was used: none works twice.
    """

    id: str
    email: str
    name: str | None
    groups: frozenset[str]
    created_at: datetime
    password_hash: str | None = field(default=None, repr=False)
    sealed: bytes | None = field(default=None, repr=False)
    totp_step: int | None = None
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that lets whoever has it set the account's password, once. `id` is the digest of its code."""

    id: str = field(repr=False)
    account_id: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None

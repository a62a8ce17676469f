"""The tables of signing in at the browser. Columns are named as the fields of the types they hold.

No session id, invitation code or password is in them but as a digest. Below: tables, column_types. Above: person_rows,
session_rows, account_rows, throttle_rows.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Table, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from gateway.store.column_types import Label, Scopes, UtcTime
from gateway.store.tables import METADATA, PersonalRow


class PersonRow(PersonalRow, table=True):
    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("tenant", "issuer", "subject", name="people_principal"),
        Index("people_email", "email"),
    )

    name: str | None = Field(sa_type=Label)
    email: str | None = Field(sa_type=Label)
    groups: str = Field(sa_type=Scopes)
    created_at: datetime = Field(sa_type=UtcTime)
    last_seen_at: datetime | None = Field(sa_type=UtcTime)
    disabled_at: datetime | None = Field(sa_type=UtcTime)


class SessionRow(SQLModel, table=True):
    __tablename__ = "sessions"
    __table_args__ = (Index("sessions_person", "person_id"), Index("sessions_expiry", "expires_at"))
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True, repr=False)
    person_id: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    used_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    revoked_at: datetime | None = Field(sa_type=UtcTime)


class LocalAccountRow(SQLModel, table=True):
    __tablename__ = "local_accounts"
    __table_args__ = (UniqueConstraint("email", name="local_accounts_email"),)
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    email: str = Field(sa_type=Label)
    name: str | None = Field(sa_type=Label)
    groups: str = Field(sa_type=Scopes)
    created_at: datetime = Field(sa_type=UtcTime)
    password_hash: str | None = Field(sa_type=Text, repr=False)
    sealed: bytes | None = Field(repr=False)
    totp_step: int | None
    disabled_at: datetime | None = Field(sa_type=UtcTime)


class InvitationRow(SQLModel, table=True):
    __tablename__ = "invitations"
    __table_args__ = (Index("invitations_account", "account_id"),)
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True, repr=False)
    account_id: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    used_at: datetime | None = Field(sa_type=UtcTime)


class LoginThrottleRow(SQLModel, table=True):
    """How often somebody failed to sign in, lately: for an account, or from an address. `id` is a digest of which."""

    __tablename__ = "login_throttles"
    __table_args__ = (Index("login_throttles_age", "last_at"),)
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    failures: int
    last_at: datetime = Field(sa_type=UtcTime)
    free_at: datetime = Field(sa_type=UtcTime)


PEOPLE: Table = METADATA.tables["people"]
SESSIONS: Table = METADATA.tables["sessions"]
LOCAL_ACCOUNTS: Table = METADATA.tables["local_accounts"]
INVITATIONS: Table = METADATA.tables["invitations"]
LOGIN_THROTTLES: Table = METADATA.tables["login_throttles"]

"""The tables of the built-in authorization server. Columns are named as the fields of the types they hold.

No token, code or client secret is in them but as its SHA-256, and no signing key but sealed. Below: tables,
column_types. Above: client_rows, code_rows, grant_rows, signing_key_rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Index, RowMapping, Table, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from gateway.authorization_types import (
    AccessGrant,
    AuthorizationCode,
    ClientSource,
    GivenConsent,
    RefreshToken,
    RegisteredClient,
    SigningKey,
)
from gateway.store.column_types import Label, Listed, Scopes, UtcTime, Word
from gateway.store.tables import METADATA, PersonalRow, person
from gateway.types import Principal

_PERSON = ("tenant", "issuer", "subject")


class RegisteredClientRow(SQLModel, table=True):
    __tablename__ = "registered_clients"
    __table_args__ = (Index("registered_clients_unused", "used_at", "created_at"),)
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    source: ClientSource = Field(sa_type=Word(ClientSource))
    name: str = Field(sa_type=Label)
    redirect_uris: str = Field(sa_type=Listed)
    grant_types: str = Field(sa_type=Scopes)
    auth_method: str = Field(sa_type=Text)
    application_type: str = Field(sa_type=Text)
    secret_digest: bytes | None = Field(repr=False)
    keys: str | None = Field(sa_type=Text)
    created_at: datetime | None = Field(sa_type=UtcTime)
    used_at: datetime | None = Field(sa_type=UtcTime)


class GivenConsentRow(PersonalRow, table=True):
    __tablename__ = "given_consents"
    __table_args__ = (UniqueConstraint(*_PERSON, "client_id", "redirect_uri", "scopes", name="given_consents_what"),)

    client_id: str = Field(sa_type=Text)
    redirect_uri: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Scopes)
    given_at: datetime = Field(sa_type=UtcTime)


class AuthorizationCodeRow(PersonalRow, table=True):
    __tablename__ = "authorization_codes"
    __table_args__ = (Index("authorization_codes_expiry", "expires_at"),)

    client_id: str = Field(sa_type=Text)
    client_name: str = Field(sa_type=Label)
    redirect_uri: str = Field(sa_type=Text)
    redirect_uri_sent: bool
    challenge: str = Field(sa_type=Text, repr=False)
    resource: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Scopes)
    groups: str = Field(sa_type=Scopes)
    refreshable: bool
    expires_at: datetime = Field(sa_type=UtcTime)
    by_key: bool = False
    used_at: datetime | None = Field(sa_type=UtcTime)
    grant_id: str | None = Field(sa_type=Text)


class AccessGrantRow(PersonalRow, table=True):
    __tablename__ = "access_grants"
    __table_args__ = (Index("access_grants_person", *_PERSON), Index("access_grants_expiry", "expires_at"))

    client_id: str = Field(sa_type=Text)
    client_name: str = Field(sa_type=Label)
    resource: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Scopes)
    groups: str = Field(sa_type=Scopes)
    created_at: datetime = Field(sa_type=UtcTime)
    used_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    by_key: bool = False
    revoked_at: datetime | None = Field(sa_type=UtcTime)


class RefreshTokenRow(SQLModel, table=True):
    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("refresh_tokens_grant", "grant_id"), Index("refresh_tokens_expiry", "expires_at"))
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    grant_id: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    replaced_at: datetime | None = Field(sa_type=UtcTime)
    successor: str | None = Field(sa_type=Text)


class SigningKeyRow(SQLModel, table=True):
    """Of those who make the next key at the same time, one does."""

    __tablename__ = "signing_keys"
    __table_args__ = (UniqueConstraint("generation", name="signing_keys_generation"),)
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    generation: int
    signs_from: datetime = Field(sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)
    sealed: bytes = Field(repr=False)


REGISTERED_CLIENTS: Table = METADATA.tables["registered_clients"]
GIVEN_CONSENTS: Table = METADATA.tables["given_consents"]
AUTHORIZATION_CODES: Table = METADATA.tables["authorization_codes"]
ACCESS_GRANTS: Table = METADATA.tables["access_grants"]
REFRESH_TOKENS: Table = METADATA.tables["refresh_tokens"]
SIGNING_KEYS: Table = METADATA.tables["signing_keys"]

Record = RegisteredClient | GivenConsent | AuthorizationCode | AccessGrant | RefreshToken | SigningKey
Stored = TypeVar("Stored", RegisteredClient, GivenConsent, AuthorizationCode, AccessGrant, RefreshToken, SigningKey)


def columns_of(record: Record) -> dict[str, Any]:
    """A record's fields; its Principal as three columns."""
    columns = {each.name: getattr(record, each.name) for each in fields(record)}
    principal = columns.pop("principal", None)
    return columns if principal is None else columns | person(principal)


def record_of(kind: type[Stored], row: Mapping[str, Any] | RowMapping) -> Stored:
    columns = dict(row)
    if "subject" in columns:
        tenant, issuer, subject = (columns.pop(name) for name in _PERSON)
        columns["principal"] = Principal(issuer, subject, tenant)
    return kind(**columns)

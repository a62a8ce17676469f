"""The tables. Columns are named as the fields of the type they hold; a Principal is three columns.

Rows do not travel upward: `to_columns` and `from_row` translate. A person's groups are not stored, they come with
each request. Tokens and PKCE verifiers are ciphertext here, and no column that could help an attacker is printed.

Below: `gateway.store.column_types`. Above: the `*_rows` modules, and the migrations that must add up to this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Index, MetaData, RowMapping, Table, Text, UniqueConstraint, and_, text
from sqlmodel import Field, SQLModel

from gateway.key_types import KeyKind
from gateway.store.column_types import AnyOrNames, Label, Listed, Scopes, Texts, UtcTime, Word
from gateway.types import (
    AuditEvent,
    Connection,
    ConnectionStatus,
    CredentialKind,
    Flow,
    FlowStatus,
    Principal,
    Revocation,
)
from gateway.webhook_types import DeliveryStatus, Webhook

METADATA = MetaData()
_PERSON = ("tenant", "issuer", "subject")


class PersonalRow(SQLModel):
    """A row that belongs to one person."""

    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    tenant: str = Field(sa_type=Text)
    issuer: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)


class ConnectionRow(PersonalRow, table=True):
    __tablename__ = "connections"
    __table_args__ = (
        UniqueConstraint(*_PERSON, "provider", "account_id", name="connections_account"),
        # At most one default for each person, provider and kind, whoever writes at the same time.
        Index(
            "connections_default",
            *_PERSON,
            "provider",
            "kind",
            unique=True,
            sqlite_where=text("is_default = 1"),
            postgresql_where=text("is_default"),
        ),
        Index("connections_renewal", "renew_at"),
        Index("connections_warning", "warn_at"),
    )

    provider: str = Field(sa_type=Text)
    kind: CredentialKind = Field(sa_type=Word(CredentialKind))
    account_id: str = Field(sa_type=Text)
    account_label: str | None = Field(sa_type=Label)
    scopes: str = Field(sa_type=Scopes)
    status: ConnectionStatus = Field(sa_type=Word(ConnectionStatus))
    status_reason: str | None = Field(sa_type=Label)
    sealed: bytes = Field(repr=False)
    version: int
    expires_at: datetime | None = Field(sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)
    lease_owner: str | None = Field(sa_type=Text)
    lease_until: datetime | None = Field(sa_type=UtcTime)
    refresh_not_before: datetime | None = Field(sa_type=UtcTime)
    refresh_started_at: datetime | None = Field(sa_type=UtcTime)
    failures: int
    requested: str = Field(sa_type=Scopes)
    is_default: bool
    variables: str = Field(sa_type=Texts)
    renew_at: datetime | None = Field(sa_type=UtcTime)
    ends_at: datetime | None = Field(sa_type=UtcTime)
    warn_at: datetime | None = Field(sa_type=UtcTime)
    warned_at: datetime | None = Field(sa_type=UtcTime)


class RevocationRow(PersonalRow, table=True):
    __tablename__ = "revocations"
    __table_args__ = (Index("revocations_next", "next_try_at"),)

    provider: str = Field(sa_type=Text)
    account_id: str = Field(sa_type=Text)
    account_label: str | None = Field(sa_type=Label)
    variables: str = Field(sa_type=Texts)
    sealed: bytes = Field(repr=False)
    created_at: datetime = Field(sa_type=UtcTime)
    next_try_at: datetime = Field(sa_type=UtcTime)
    until: datetime = Field(sa_type=UtcTime)
    attempts: int


class DataKeyRow(SQLModel, table=True):
    """A tenant's key, wrapped. Of those who make a tenant's next key at the same time, one does."""

    __tablename__ = "data_keys"
    __table_args__ = (UniqueConstraint("tenant", "generation", name="data_keys_generation"),)
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    tenant: str = Field(sa_type=Text)
    generation: int
    wrapped: bytes = Field(repr=False)
    wrapped_by: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    retired_at: datetime | None = Field(sa_type=UtcTime)


class ApiKeyRow(SQLModel, table=True):
    """An API key as its digest: SHA-256, which nobody can turn back into 256 random bits."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("digest", name="api_keys_digest"),
        Index("api_keys_prefix", "prefix"),
    )
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    kind: KeyKind = Field(sa_type=Word(KeyKind))
    name: str = Field(sa_type=Text)
    tenant: str = Field(sa_type=Text)
    prefix: str = Field(sa_type=Text)
    digest: bytes = Field(repr=False)
    created_at: datetime = Field(sa_type=UtcTime)
    last_used_at: datetime | None = Field(sa_type=UtcTime)
    revoked_at: datetime | None = Field(sa_type=UtcTime)
    providers: str = Field(sa_type=Scopes)
    may: str = Field(sa_type=Scopes)
    toolkits: str | None = Field(sa_type=AnyOrNames)
    return_urls: str = Field(sa_type=Listed)
    subject: str | None = Field(sa_type=Text)
    issuer: str | None = Field(sa_type=Text)
    groups: str | None = Field(sa_type=Scopes)


class RemoteToolkitRow(SQLModel, table=True):
    """A toolkit from afar. `toolkit_hash` is that of the set of tools it last committed to."""

    __tablename__ = "remote_toolkits"
    metadata = METADATA

    tenant: str = Field(sa_type=Text, primary_key=True)
    toolkit: str = Field(sa_type=Text, primary_key=True)
    toolkit_hash: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    revision: int


class RemoteToolRow(SQLModel, table=True):
    """A tool of such a toolkit. A name that is in use belongs to one of them."""

    __tablename__ = "remote_tools"
    __table_args__ = (
        Index(
            "remote_tools_name",
            "name",
            unique=True,
            sqlite_where=text("removed_at IS NULL"),
            postgresql_where=text("removed_at IS NULL"),
        ),
    )
    metadata = METADATA

    tenant: str = Field(sa_type=Text, primary_key=True)
    toolkit: str = Field(sa_type=Text, primary_key=True)
    name: str = Field(sa_type=Text, primary_key=True)
    changed_at: datetime = Field(sa_type=UtcTime)
    definition: str = Field(sa_type=Text)
    code_hash: str = Field(sa_type=Text)
    proposed: str = Field(sa_type=Text)
    proposed_code_hash: str = Field(sa_type=Text)
    rejected: str = Field(sa_type=Text)
    removed_at: datetime | None = Field(sa_type=UtcTime)


class ReplicaRow(SQLModel, table=True):
    """One of several gateways with this database, which holds workers of toolkits from afar."""

    __tablename__ = "replicas"
    metadata = METADATA

    id: str = Field(sa_type=Text, primary_key=True)
    url: str = Field(sa_type=Text)
    heard_at: datetime = Field(sa_type=UtcTime)


class ToolkitHolderRow(SQLModel, table=True):
    """Such a gateway has workers of this toolkit that came with this key."""

    __tablename__ = "toolkit_holders"
    metadata = METADATA

    tenant: str = Field(sa_type=Text, primary_key=True)
    toolkit: str = Field(sa_type=Text, primary_key=True)
    replica: str = Field(sa_type=Text, primary_key=True)
    key_id: str = Field(sa_type=Text, primary_key=True)


class SpentRow(SQLModel, table=True):
    """What has this name is good once, and was used. Until `until` it can come again."""

    __tablename__ = "spent"
    metadata = METADATA

    name: str = Field(sa_type=Text, primary_key=True)
    until: datetime = Field(sa_type=UtcTime)


class FlowRow(PersonalRow, table=True):
    __tablename__ = "flows"
    __table_args__ = (
        Index("flows_state", "state_hash", unique=True),
        Index("flows_person", *_PERSON, "provider"),
        Index("flows_expiry", "expires_at"),
    )

    client: str = Field(sa_type=Label)
    provider: str = Field(sa_type=Text)
    kind: CredentialKind = Field(sa_type=Word(CredentialKind))
    scopes: str = Field(sa_type=Scopes)
    tool: str | None = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    status: FlowStatus = Field(sa_type=Word(FlowStatus))
    failure: str | None = Field(sa_type=Label)
    connection_id: str | None = Field(sa_type=Text)
    return_url: str | None = Field(sa_type=Text)
    redirect_uri: str | None = Field(sa_type=Text)
    state_hash: str | None = Field(sa_type=Text, repr=False)
    browser_hash: str | None = Field(sa_type=Text, repr=False)
    sealed_verifier: bytes | None = Field(repr=False)
    consumed_at: datetime | None = Field(sa_type=UtcTime)
    reconnects: str | None = Field(sa_type=Text)
    another: bool
    variables: str = Field(sa_type=Texts)


class AuditRow(PersonalRow, table=True):
    """`seq` and `hash` are the row's place in its tenant's chain (`gateway.store.audit_chain`)."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_person", *_PERSON, "at"),
        Index("audit_chain", "tenant", "seq", unique=True),
    )

    seq: int = Field(sa_type=BigInteger)
    hash: bytes
    at: datetime = Field(sa_type=UtcTime)
    action: str = Field(sa_type=Label)
    outcome: str = Field(sa_type=Label)
    client: str | None = Field(sa_type=Label)
    tool: str | None = Field(sa_type=Label)
    provider: str | None = Field(sa_type=Label)
    account: str | None = Field(sa_type=Label)
    reference: str | None = Field(sa_type=Label)
    duration_ms: float | None
    scopes: str | None = Field(sa_type=Scopes)
    arguments: str | None = Field(sa_type=Text)
    client_id: str | None = Field(sa_type=Label)


class AuditHeadRow(SQLModel, table=True):
    """The end of a tenant's chain. Whoever appends to the chain holds this row until they have committed."""

    __tablename__ = "audit_heads"
    metadata = METADATA

    tenant: str = Field(sa_type=Text, primary_key=True)
    seq: int = Field(sa_type=BigInteger)
    hash: bytes


class WebhookRow(PersonalRow, table=True):
    """`tenant`, `issuer` and `subject` name the app. One webhook for each of its URLs, whoever registers it twice."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint(*_PERSON, "url", name="webhooks_url"),)

    url: str = Field(sa_type=Text)
    events: str = Field(sa_type=Scopes)
    sealed: bytes = Field(repr=False)
    created_at: datetime = Field(sa_type=UtcTime)
    missed: int
    disabled_at: datetime | None = Field(sa_type=UtcTime)


class WebhookDeliveryRow(SQLModel, table=True):
    """The outbox. An event that is written a second time finds its deliveries there, by their key."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "webhook_deliveries_next",
            "webhook_id",
            "next_try_at",
            sqlite_where=text("next_try_at IS NOT NULL"),
            postgresql_where=text("next_try_at IS NOT NULL"),
        ),
        Index("webhook_deliveries_latest", "webhook_id", "created_at"),
        Index("webhook_deliveries_end", "forget_at"),
    )
    metadata = METADATA

    webhook_id: str = Field(sa_type=Text, primary_key=True)
    id: str = Field(sa_type=Text, primary_key=True)
    type: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text, repr=False)
    created_at: datetime = Field(sa_type=UtcTime)
    next_try_at: datetime | None = Field(sa_type=UtcTime)
    most_attempts: int
    forget_at: datetime = Field(sa_type=UtcTime)
    status: DeliveryStatus = Field(sa_type=Word(DeliveryStatus))
    attempts: int
    response_status: int | None
    failure: str | None = Field(sa_type=Text)
    ended_at: datetime | None = Field(sa_type=UtcTime)


class MarkRow(SQLModel, table=True):
    """A small named value of the gateway itself."""

    __tablename__ = "marks"
    metadata = METADATA

    name: str = Field(sa_type=Text, primary_key=True)
    value: bytes = Field(repr=False)


CONNECTIONS: Table = METADATA.tables["connections"]
FLOWS: Table = METADATA.tables["flows"]
AUDIT: Table = METADATA.tables["audit"]
AUDIT_HEADS: Table = METADATA.tables["audit_heads"]
MARKS: Table = METADATA.tables["marks"]
REVOCATIONS: Table = METADATA.tables["revocations"]
DATA_KEYS: Table = METADATA.tables["data_keys"]
API_KEYS: Table = METADATA.tables["api_keys"]
REMOTE_TOOLKITS: Table = METADATA.tables["remote_toolkits"]
REMOTE_TOOLS: Table = METADATA.tables["remote_tools"]
REPLICAS: Table = METADATA.tables["replicas"]
TOOLKIT_HOLDERS: Table = METADATA.tables["toolkit_holders"]
SPENT: Table = METADATA.tables["spent"]
WEBHOOKS: Table = METADATA.tables["webhooks"]
WEBHOOK_DELIVERIES: Table = METADATA.tables["webhook_deliveries"]

Personal = TypeVar("Personal", Connection, Flow, AuditEvent, Revocation, Webhook)


_KINDS = (Connection, Flow, AuditEvent, Revocation, Webhook)
_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in _KINDS}


def to_columns(value: Connection | Flow | AuditEvent | Revocation | Webhook) -> dict[str, Any]:
    columns = {name: getattr(value, name) for name in _FIELDS[type(value)]}
    return columns | person(columns.pop("principal"))


def from_row(kind: type[Personal], row: Mapping[str, Any] | RowMapping) -> Personal:
    columns = dict(row)
    tenant, issuer, subject = (columns.pop(name) for name in _PERSON)
    return kind(principal=Principal(issuer, subject, tenant), **columns)


def person(principal: Principal) -> dict[str, str]:
    """The columns that say whose a row is."""
    return {"tenant": principal.tenant, "issuer": principal.issuer, "subject": principal.subject}


def belongs_to(table: Table, principal: Principal) -> ColumnElement[bool]:
    """The condition that every query for a person's rows carries."""
    return and_(*(table.c[name] == value for name, value in person(principal).items()))

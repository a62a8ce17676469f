"""The built-in authorization server: clients, consents, codes, grants, refresh tokens, signing keys."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_PERSON = ("tenant", "issuer", "subject")


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _times(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _TIME, nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "registered_clients",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("source", "name", "redirect_uris", "grant_types", "auth_method", "application_type"),
        sa.Column("secret_digest", sa.LargeBinary),
        sa.Column("created_at", _TIME),
        sa.Column("used_at", _TIME),
    )
    op.create_index("registered_clients_unused", "registered_clients", ["used_at", "created_at"])
    op.create_table(
        "given_consents",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts(*_PERSON, "client_id", "redirect_uri", "scopes"),
        *_times("given_at"),
        sa.UniqueConstraint(*_PERSON, "client_id", "redirect_uri", "scopes", name="given_consents_what"),
    )
    op.create_table(
        "authorization_codes",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts(*_PERSON, "client_id", "client_name", "redirect_uri"),
        sa.Column("redirect_uri_sent", sa.Boolean, nullable=False),
        *_texts("challenge", "resource", "scopes", "groups"),
        sa.Column("refreshable", sa.Boolean, nullable=False),
        *_times("expires_at"),
        sa.Column("used_at", _TIME),
        sa.Column("grant_id", sa.Text),
    )
    op.create_index("authorization_codes_expiry", "authorization_codes", ["expires_at"])
    op.create_table(
        "access_grants",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts(*_PERSON, "client_id", "client_name", "resource", "scopes", "groups"),
        *_times("created_at", "used_at", "expires_at"),
        sa.Column("revoked_at", _TIME),
    )
    op.create_index("access_grants_person", "access_grants", list(_PERSON))
    op.create_index("access_grants_expiry", "access_grants", ["expires_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("grant_id"),
        *_times("created_at", "expires_at"),
        sa.Column("replaced_at", _TIME),
        sa.Column("successor", sa.Text),
    )
    op.create_index("refresh_tokens_grant", "refresh_tokens", ["grant_id"])
    op.create_index("refresh_tokens_expiry", "refresh_tokens", ["expires_at"])
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        *_times("signs_from", "created_at"),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("generation", name="signing_keys_generation"),
    )

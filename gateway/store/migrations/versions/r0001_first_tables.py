"""The first tables: connections, flows, audit, marks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "connections",
        *_personal(),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("account_label", sa.Text),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_reason", sa.Text),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", _TIME),
        sa.Column("refresh_not_before", _TIME),
        sa.UniqueConstraint("tenant", "issuer", "subject", "provider", "account_id", name="connections_account"),
    )
    op.create_table(
        "flows",
        *_personal(),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("tool", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("connection_id", sa.Text),
        sa.Column("return_url", sa.Text),
        sa.Column("redirect_uri", sa.Text),
        sa.Column("state_hash", sa.Text),
        sa.Column("browser_hash", sa.Text),
        sa.Column("sealed_verifier", sa.LargeBinary),
        sa.Column("consumed_at", _TIME),
    )
    op.create_index("flows_state", "flows", ["state_hash"], unique=True)
    op.create_index("flows_person", "flows", ["tenant", "issuer", "subject", "provider"])
    op.create_index("flows_expiry", "flows", ["expires_at"])
    op.create_table(
        "audit",
        *_personal(),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("client", sa.Text),
        sa.Column("tool", sa.Text),
        sa.Column("provider", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("reference", sa.Text),
        sa.Column("duration_ms", sa.Float),
    )
    op.create_index("audit_person", "audit", ["tenant", "issuer", "subject", "at"])
    op.create_table(
        "marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )


def _personal() -> list[sa.Column[str]]:
    """The columns of a row that belongs to one person."""
    person = [sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "issuer", "subject")]
    return [sa.Column("id", sa.Text, primary_key=True), *person]

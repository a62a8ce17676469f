"""The whole life of tokens: several accounts, renewals and ends ahead, revocations under way, data keys.

Every person's newest connection to a provider becomes their default there, which is what it was in effect.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("refresh_started_at", _TIME),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("requested", sa.Text, nullable=False, server_default="[]"),
        sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("variables", sa.Text, nullable=False, server_default="{}"),
        sa.Column("renew_at", _TIME),
        sa.Column("ends_at", _TIME),
        sa.Column("warn_at", _TIME),
        sa.Column("warned_at", _TIME),
    ):
        op.add_column("connections", column)
    op.create_index("connections_renewal", "connections", ["renew_at"])
    op.create_index("connections_warning", "connections", ["warn_at"])
    op.execute("UPDATE connections SET requested = scopes")
    op.execute(
        "UPDATE connections SET is_default = true WHERE NOT EXISTS (SELECT 1 FROM connections AS newer WHERE"
        " newer.tenant = connections.tenant AND newer.issuer = connections.issuer"
        " AND newer.subject = connections.subject AND newer.provider = connections.provider"
        " AND newer.kind = connections.kind AND (newer.created_at > connections.created_at"
        " OR (newer.created_at = connections.created_at AND newer.id < connections.id)))"
    )
    op.create_index(
        "connections_default",
        "connections",
        ["tenant", "issuer", "subject", "provider", "kind"],
        unique=True,
        sqlite_where=sa.text("is_default = 1"),
        postgresql_where=sa.text("is_default"),
    )
    op.add_column("flows", sa.Column("reconnects", sa.Text))
    op.add_column("flows", sa.Column("another", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("flows", sa.Column("variables", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "revocations",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "issuer", "subject")),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("account_label", sa.Text),
        sa.Column("variables", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("next_try_at", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("revocations_next", "revocations", ["next_try_at"])
    op.create_table(
        "data_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("retired_at", _TIME),
        sa.UniqueConstraint("tenant", "generation", name="data_keys_generation"),
    )

"""Where apps want to be told, and what is on its way to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "issuer", "subject", "url", "events")),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("disabled_at", _TIME),
        sa.UniqueConstraint("tenant", "issuer", "subject", "url", name="webhooks_url"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("next_try_at", _TIME),
        sa.Column("most_attempts", sa.Integer, nullable=False),
        sa.Column("forget_at", _TIME, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("response_status", sa.Integer),
        sa.Column("failure", sa.Text),
        sa.Column("ended_at", _TIME),
    )
    waiting = sa.text("next_try_at IS NOT NULL")
    op.create_index(
        "webhook_deliveries_next",
        "webhook_deliveries",
        ["webhook_id", "next_try_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("webhook_deliveries_latest", "webhook_deliveries", ["webhook_id", "created_at"])
    op.create_index("webhook_deliveries_end", "webhook_deliveries", ["forget_at"])

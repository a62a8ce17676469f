"""Which of several gateways holds the workers of a toolkit from afar, and where the others reach it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replicas",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "toolkit_holders",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "toolkit", "replica", "key_id")),
    )


def downgrade() -> None:
    op.drop_table("toolkit_holders")
    op.drop_table("replicas")

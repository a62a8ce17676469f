"""API keys of toolkits, apps and administrators, and what each may do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "name", "tenant", "prefix")),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME),
        sa.Column("revoked_at", _TIME),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("providers", "may")),
        sa.Column("toolkits", sa.Text),
        sa.Column("return_urls", sa.Text, nullable=False),
        sa.UniqueConstraint("digest", name="api_keys_digest"),
    )
    op.create_index("api_keys_prefix", "api_keys", ["prefix"])

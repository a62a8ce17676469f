"""Toolkits from afar: what each has registered, and what is pinned of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "remote_toolkits",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "toolkit")),
        sa.Column("toolkit_hash", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.create_table(
        "remote_tools",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "toolkit", "name")),
        sa.Column("changed_at", _TIME, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("definition", "code_hash", "proposed", "proposed_code_hash", "rejected")
        ),
        sa.Column("removed_at", _TIME),
    )
    op.create_index(
        "remote_tools_name",
        "remote_tools",
        ["name"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )

"""Clients that prove themselves by a key: their public keys, and which codes and grants want that proof."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BOUND = ("authorization_codes", "access_grants")


def upgrade() -> None:
    op.add_column("registered_clients", sa.Column("keys", sa.Text))
    for table in _BOUND:
        op.add_column(table, sa.Column("by_key", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for table in _BOUND:
        op.drop_column(table, "by_key")
    op.drop_column("registered_clients", "keys")

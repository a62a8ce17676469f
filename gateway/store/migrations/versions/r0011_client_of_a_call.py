"""Which program made a call, as the gateway itself knows it: beside the name that it gives itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit", sa.Column("client_id", sa.Text))


def downgrade() -> None:
    op.drop_column("audit", "client_id")

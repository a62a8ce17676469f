"""API keys that speak for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("subject", "issuer", "groups"):
        op.add_column("api_keys", sa.Column(name, sa.Text))

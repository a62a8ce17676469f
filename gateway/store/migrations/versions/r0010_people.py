"""People who sign in at the browser: who they are, their sessions, accounts that are kept here, and who failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "issuer", "subject")),
        sa.Column("name", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_seen_at", _TIME),
        sa.Column("disabled_at", _TIME),
        sa.UniqueConstraint("tenant", "issuer", "subject", name="people_principal"),
    )
    op.create_index("people_email", "people", ["email"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, nullable=False),
        *(sa.Column(name, _TIME, nullable=False) for name in ("created_at", "used_at", "expires_at")),
        sa.Column("revoked_at", _TIME),
    )
    op.create_index("sessions_person", "sessions", ["person_id"])
    op.create_index("sessions_expiry", "sessions", ["expires_at"])
    op.create_table(
        "local_accounts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("totp_step", sa.Integer),
        sa.Column("disabled_at", _TIME),
        sa.UniqueConstraint("email", name="local_accounts_email"),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        *(sa.Column(name, _TIME, nullable=False) for name in ("created_at", "expires_at")),
        sa.Column("used_at", _TIME),
    )
    op.create_index("invitations_account", "invitations", ["account_id"])
    op.create_table(
        "login_throttles",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        *(sa.Column(name, _TIME, nullable=False) for name in ("last_at", "free_at")),
    )
    op.create_index("login_throttles_age", "login_throttles", ["last_at"])

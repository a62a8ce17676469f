"""The audit becomes a chain for each tenant. The rows that are there are its beginning, in the order of their time.

Also what a call's row says besides: the scopes of its token, and the keyed hash of its arguments.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.audit_chain import GENESIS, Link
from gateway.store.column_types import Label, UtcTime
from gateway.types import AuditEvent, Principal

revision = "0008"
down_revision = "0010"
branch_labels = None
depends_on = None

_AT_A_TIME = 5000
_TEXTS = ("action", "outcome", "client", "tool", "provider", "account", "reference")


def upgrade() -> None:
    heads = op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    for column in (
        sa.Column("scopes", sa.Text),
        sa.Column("arguments", sa.Text),
        sa.Column("seq", sa.BigInteger),
        sa.Column("hash", sa.LargeBinary),
    ):
        op.add_column("audit", column)
    for tenant in op.get_bind().execute(sa.text("SELECT DISTINCT tenant FROM audit ORDER BY tenant")).scalars().all():
        last = _chain(tenant)
        op.bulk_insert(heads, [{"tenant": tenant, "seq": last.seq, "hash": last.hash}])
    with op.batch_alter_table("audit") as batch:
        batch.alter_column("seq", existing_type=sa.BigInteger, nullable=False)
        batch.alter_column("hash", existing_type=sa.LargeBinary, nullable=False)
    op.create_index("audit_chain", "audit", ["tenant", "seq"], unique=True)


def _chain(tenant: str) -> Link:
    """Give a tenant's rows their places; the last of them."""
    audit = sa.table(
        "audit",
        *(sa.column(name, sa.Text) for name in ("id", "tenant", "issuer", "subject")),
        *(sa.column(name, Label) for name in _TEXTS),
        sa.column("at", UtcTime),
        sa.column("duration_ms", sa.Float),
        sa.column("seq", sa.BigInteger),
        sa.column("hash", sa.LargeBinary),
    )
    connection, link = op.get_bind(), GENESIS
    rest = sa.select(audit).where(audit.c.tenant == tenant, audit.c.seq.is_(None)).order_by(audit.c.at, audit.c.id)
    place = (
        audit.update()
        .where(audit.c.id == sa.bindparam("row"))
        .values(seq=sa.bindparam("number"), hash=sa.bindparam("digest"))
    )
    while rows := connection.execute(rest.limit(_AT_A_TIME)).mappings().all():
        places = []
        for row in rows:
            link = link.to(_event(row))
            places.append({"row": row["id"], "number": link.seq, "digest": link.hash})
        connection.execute(place, places)
    return link


def _event(row: sa.RowMapping) -> AuditEvent:
    person = Principal(row["issuer"], row["subject"], row["tenant"])
    more = {name: row[name] for name in (*_TEXTS, "duration_ms")}
    return AuditEvent(row["id"], row["at"], person, **more)

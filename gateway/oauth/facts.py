"""What goes on record of a consent, and of a connection: the same fields, whoever records it.

Below: audit. Above: consent, flows, device, refresher, setbacks, connections, overview.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit import AuditLog
from gateway.types import AuditEvent, Connection, Flow


def of_flow(
    audit: AuditLog, flow: Flow, action: str, outcome: str, connection: Connection | None = None
) -> AuditEvent:  # fmt: skip
    """Something that happened to a consent; to `connection`, where it came to one."""
    return audit.event(
        flow.principal,
        action,
        outcome,
        client=flow.client,
        tool=flow.tool,
        provider=flow.provider,
        account=connection.account_name if connection else None,
        reference=connection.id if connection else None,
    )


def connected(audit: AuditLog, flow: Flow) -> Callable[[Connection], AuditEvent]:
    """Makes the event of what a consent came to: an account is connected, or connected again."""

    def fact(connection: Connection) -> AuditEvent:
        action = "connection.created" if connection.version == 1 else "connection.replaced"
        return of_flow(audit, flow, action, "done", connection)

    return fact


def of_connection(audit: AuditLog, connection: Connection, action: str, outcome: str) -> AuditEvent:
    """Something that happened to a connection."""
    return audit.event(
        connection.principal,
        action,
        outcome,
        provider=connection.provider,
        account=connection.account_name,
        reference=connection.id,
    )

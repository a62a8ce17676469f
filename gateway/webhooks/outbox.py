"""Writes the audit, and with it what apps want to hear of: in one transaction, so that neither is without the other.

It is called with what a batch of a fifth of a second brought, not on the path of a call. Where nothing in it concerns
an app's user, nothing is asked; else one query for the webhooks of the apps in question, however many users they have.

Below: store. Above: the composition, which gives `append` to the AuditLog.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.store.audit_rows import AuditRows
from gateway.types import AuditEvent
from gateway.webhooks.events import heard


class Outbox:
    """`wake` is called when there is something to deliver."""

    def __init__(self, audit: AuditRows, wake: Callable[[], None]) -> None:
        self._audit = audit
        self._wake = wake

    async def append(self, events: Sequence[AuditEvent]) -> None:
        notices = [found for event in events if (found := heard(event))]
        if await self._audit.append(events, notices):
            self._wake()

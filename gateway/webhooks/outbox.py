"""Has what apps want to hear of put in as the audit is written: in one transaction, so that none is without the other.

It is done with what a batch of a fifth of a second brought, not on the path of a call; and with each change of a
connection, whose event is stored with it. Where nothing concerns an app's user, nothing is asked; else one query for
the webhooks of the apps in question, however many users they have.

Below: store. Above: the composition.
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
        audit.subscribe(heard, wake)

    async def append(self, events: Sequence[AuditEvent]) -> None:
        await self._audit.append(events)

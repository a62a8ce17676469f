"""Which facts of the audit an app may be told, under which name, and what it reads of them.

Never a token, an argument or a result: an AuditEvent holds none. An event's `id` is the fact's.

Sources: AgentToolProtocol 0.2.5 for the names of the first two; the others are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.store.delivery_rows import APP
from gateway.types import AuditEvent, Principal
from gateway.webhook_types import Delivery
from gateway.webhooks.schedule import MOST_TRIES

PING = "ping"
_HEARD_AS = {
    "connection.created": "connection_success",
    "connection.replaced": "connection_success",
    "connection.failed": "connection_failed",
    "connection.declined": "connection_failed",
    "connection.needs_reauth": "connection_needs_reauth",
    "connection.dropped": "connection_revoked",
    "tool.called": "tool_called",
}
"""Of a connection that is ended, its end here counts: from then on no call has it, whatever the provider says later."""

EVENTS = tuple(dict.fromkeys(_HEARD_AS.values()))
_LONGEST_WAIT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact that an app may want to hear of."""

    fact: AuditEvent
    app: Principal
    type: str

    def delivery(self, webhook_id: str) -> Delivery:
        return new_delivery(webhook_id, self.fact.id, self.type, self.fact.at, self._data())

    def _data(self) -> Mapping[str, Any]:
        fact = self.fact
        is_call = self.type == "tool_called"
        return {
            "external_user_id": None if fact.principal.same_person(self.app) else fact.principal.subject,
            "provider": fact.provider,
            "account": fact.account,
            "connection_id": None if is_call else fact.reference,
            "tool": fact.tool if is_call else None,
            "outcome": fact.outcome,
            "duration_ms": fact.duration_ms,
        }


def heard(fact: AuditEvent) -> Heard | None:
    """The fact as an app may hear of it. None where there is no app, or nothing for one."""
    event_type = _HEARD_AS.get(fact.action)
    app = _app_of(fact.principal) if event_type else None
    return Heard(fact, app, event_type) if app and event_type else None


def _app_of(person: Principal) -> Principal | None:
    """Whose app's user this is, as the ATP surface has it (`AppUsers`).

    On one person's own machine an app acts as that person, so its webhooks are theirs, and hear of them.
    """
    if person.app is not None:
        return Principal(APP, person.app, person.tenant)
    return person if person.issuer == "local" else None


def new_delivery(webhook_id: str, event_id: str, event_type: str, at: datetime, data: Mapping[str, Any]) -> Delivery:
    """A delivery that is due at once."""
    event = {"id": event_id, "type": event_type, "created_at": _instant(at), "data": dict(data)}
    return Delivery(
        webhook_id=webhook_id,
        id=event_id,
        type=event_type,
        body=json.dumps(event, separators=(",", ":")),
        created_at=at,
        next_try_at=at,
        most_attempts=MOST_TRIES,
        forget_at=at + _LONGEST_WAIT,
    )


def _instant(at: datetime) -> str:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")

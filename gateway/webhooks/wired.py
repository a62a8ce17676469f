"""The room, put together: what the composition has of it. Wiring, not logic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.outward.destinations import Destinations
from gateway.outward.guarded import GuardedRequests
from gateway.store.store import Store
from gateway.vault.vault import Vault
from gateway.webhooks.courier import Courier
from gateway.webhooks.outbox import Outbox
from gateway.webhooks.registrations import Registrations

SETTING = "[atp] webhook_hosts"


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What apps may ask, what puts deliveries in, and what takes them out, once it is started."""

    registrations: Registrations
    outbox: Outbox
    courier: Courier


def wired(store: Store, vault: Vault, hosts: Iterable[str], audit: AuditLog, clock: Clock) -> Webhooks:
    """`hosts` are those that webhooks may lead to besides public ones. SettingsError where one cannot be read."""
    destinations = Destinations(hosts, setting=SETTING)
    both: Any = {"destinations": destinations, "audit": audit, "clock": clock}
    rows = (store.webhooks, store.deliveries, vault)
    courier = Courier(*rows, requests=GuardedRequests(destinations), **both)
    return Webhooks(Registrations(*rows, wake=courier.wake, **both), Outbox(store.audit, courier.wake), courier)

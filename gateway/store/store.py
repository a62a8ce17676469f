"""One database, open: the rows in it.

SQLite by default, PostgreSQL for teams; nothing above this module can tell which. Not a cache: every call is a
query. Below: the `*_rows` modules. Above: oauth, and the composition, which opens and closes it.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.clock import Clock
from gateway.store.account_rows import AccountRows
from gateway.store.address import reached
from gateway.store.audit_rows import AuditRows
from gateway.store.client_rows import ClientRows
from gateway.store.connection_rows import ConnectionRows
from gateway.store.data_key_rows import DataKeyRows
from gateway.store.delivery_rows import DeliveryRows
from gateway.store.due_rows import DueRows
from gateway.store.engine import Engines
from gateway.store.flow_rows import FlowRows
from gateway.store.grant_rows import GrantRows
from gateway.store.key_rows import ApiKeyRows
from gateway.store.lease_rows import LeaseRows
from gateway.store.mark_rows import MarkRows
from gateway.store.person_rows import PersonRows
from gateway.store.remote_rows import RemoteRows
from gateway.store.replica_rows import ReplicaRows
from gateway.store.revocation_rows import RevocationRows
from gateway.store.roster_rows import RosterRows
from gateway.store.schema import bring_up_to_date, refuse_an_old_one
from gateway.store.sealed_rows import SealedRows
from gateway.store.session_rows import SessionRows
from gateway.store.signing_key_rows import SigningKeyRows
from gateway.store.spent_rows import SpentRows
from gateway.store.throttle_rows import ThrottleRows
from gateway.store.trail_rows import TrailRows
from gateway.store.webhook_rows import WebhookRows


class Store:
    """Made by `open`. To be used on the event loop that opened it."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self.audit = AuditRows(engines)
        self.connections = ConnectionRows(engines, self.audit)
        self.leases = LeaseRows(engines, self.audit)
        self.due = DueRows(engines, self.audit)
        self.flows = FlowRows(engines)
        self.trail = TrailRows(engines, self.audit)
        self.marks = MarkRows(engines, self.audit)
        self.data_keys = DataKeyRows(engines)
        self.sealed = SealedRows(engines)
        self.revocations = RevocationRows(engines, self.audit)
        self.keys = ApiKeyRows(engines, self.audit)
        self.remote = RemoteRows(engines, self.audit)
        self.replicas = ReplicaRows(engines)
        self.clients = ClientRows(engines, self.audit)
        self.roster = RosterRows(engines, self.audit)
        self.grants = GrantRows(engines, self.audit)
        self.signing_keys = SigningKeyRows(engines, self.audit)
        self.webhooks = WebhookRows(engines, self.audit)
        self.deliveries = DeliveryRows(engines)
        self.people = PersonRows(engines, self.audit)
        self.sessions = SessionRows(engines)
        self.accounts = AccountRows(engines, self.audit)
        self.throttles = ThrottleRows(engines)
        self.spent = SpentRows(engines)

    @classmethod
    async def open(cls, url: str, *, upgrade: bool = True) -> Store:
        """Open the database, made and migrated as need be. SettingsError if that cannot be done, or may not."""
        engines, _ = await reached(url, bring_up_to_date if upgrade else refuse_an_old_one)
        return cls(engines)

    async def ahead(self, machine: Clock) -> timedelta:
        """How far the database's clock is ahead of this machine's: to within the time that asking takes."""
        before = machine.now()
        now = await self._engines.now()
        return timedelta(0) if now is None else now - (before + (machine.now() - before) / 2)

    async def close(self) -> None:
        await self._engines.dispose()

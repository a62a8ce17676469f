"""One database, open: the rows in it.

SQLite by default, PostgreSQL for teams; nothing above this module can tell which. Not a cache: every call is a
query. Below: the `*_rows` modules. Above: oauth, and the composition, which opens and closes it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway.clock import Clock
from gateway.errors import SettingsError, StoreUnavailableError
from gateway.store.account_rows import AccountRows
from gateway.store.audit_rows import AuditRows
from gateway.store.client_rows import ClientRows
from gateway.store.connection_rows import ConnectionRows
from gateway.store.data_key_rows import DataKeyRows
from gateway.store.delivery_rows import DeliveryRows
from gateway.store.due_rows import DueRows
from gateway.store.engine import Engines, postgres_engines, sqlite_engines
from gateway.store.flow_rows import FlowRows
from gateway.store.grant_rows import GrantRows
from gateway.store.key_rows import ApiKeyRows
from gateway.store.lease_rows import LeaseRows
from gateway.store.mark_rows import MarkRows
from gateway.store.person_rows import PersonRows
from gateway.store.remote_rows import RemoteRows
from gateway.store.revocation_rows import RevocationRows
from gateway.store.schema import bring_up_to_date
from gateway.store.sealed_rows import SealedRows
from gateway.store.session_rows import SessionRows
from gateway.store.signing_key_rows import SigningKeyRows
from gateway.store.throttle_rows import ThrottleRows
from gateway.store.trail_rows import TrailRows
from gateway.store.webhook_rows import WebhookRows

_FORMS = "Write sqlite:////absolute/path.db or postgresql://user@host/name."


class Store:
    """Made by `open`. To be used on the event loop that opened it."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self.audit = AuditRows(engines)
        self.connections = ConnectionRows(engines, self.audit)
        self.leases = LeaseRows(engines, self.audit)
        self.due = DueRows(engines)
        self.flows = FlowRows(engines)
        self.trail = TrailRows(engines, self.audit)
        self.marks = MarkRows(engines)
        self.data_keys = DataKeyRows(engines)
        self.sealed = SealedRows(engines)
        self.revocations = RevocationRows(engines, self.audit)
        self.keys = ApiKeyRows(engines, self.audit)
        self.remote = RemoteRows(engines, self.audit)
        self.clients = ClientRows(engines, self.audit)
        self.grants = GrantRows(engines, self.audit)
        self.signing_keys = SigningKeyRows(engines)
        self.webhooks = WebhookRows(engines, self.audit)
        self.deliveries = DeliveryRows(engines)
        self.people = PersonRows(engines, self.audit)
        self.sessions = SessionRows(engines)
        self.accounts = AccountRows(engines, self.audit)
        self.throttles = ThrottleRows(engines)

    @classmethod
    async def open(cls, url: str) -> Store:
        """Open the database, made and migrated as need be. SettingsError if that cannot be done."""
        engines = _engines(url)
        try:
            await bring_up_to_date(engines)
        except (SQLAlchemyError, StoreUnavailableError) as error:
            await engines.dispose()
            raise SettingsError(f"The database cannot be opened: {_cause(error.__cause__ or error, url)}") from None
        except BaseException:
            await engines.dispose()
            raise
        return cls(engines)

    async def ahead(self, machine: Clock) -> timedelta:
        """How far the database's clock is ahead of this machine's: to within the time that asking takes."""
        before = machine.now()
        now = await self._engines.now()
        return timedelta(0) if now is None else now - (before + (machine.now() - before) / 2)

    async def close(self) -> None:
        await self._engines.dispose()


def _engines(text: str) -> Engines:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(f"The database URL cannot be read. {_FORMS}") from None
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:" and not url.query:
            try:
                return sqlite_engines(Path(url.database).absolute())
            except OSError as error:
                raise SettingsError(f"The database {url.database} cannot be opened: {error.strerror}.") from None
        case "sqlite":
            raise SettingsError(f"The SQLite database must be a file, and the URL without options. {_FORMS}")
        case "postgresql" | "postgres":
            try:
                return postgres_engines(url)
            except ModuleNotFoundError:
                raise SettingsError("PostgreSQL needs one more package: pip install 'atp-gateway[postgres]'") from None
        case other:
            raise SettingsError(f"A {other} database is not supported. {_FORMS}")


def _cause(error: BaseException, text: str) -> str:
    """What the driver says, in one line and without the password."""
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    password = make_url(text).password
    return said.replace(password, "…") if password else said

"""Toolkits from afar: the set of tools that each last committed to, and each tool's pinned definition.

A tool's name belongs to one toolkit of all that there are: the first that registers it, until it removes the tool. An
index holds that, whoever writes at the same time. Whatever changes in a toolkit makes its revision grow, by which other
processes notice. The event of a change is recorded in the transaction that makes it. Not here: what may change without
being reviewed (`gateway.remote`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, delete, func, select, update

from gateway.store.audit_rows import AuditRows
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.tables import REMOTE_TOOLKITS, REMOTE_TOOLS
from gateway.toolkit.remote_tool import RemoteSet, RemoteTool
from gateway.types import AuditEvent

_tools, _toolkits = REMOTE_TOOLS.c, REMOTE_TOOLKITS.c
MOST_REMOVED = 200
_PRIMARY = ("tenant", "toolkit", "name")

Edit = Callable[[RemoteTool | None, RemoteSet | None], RemoteTool | None]
"""What is to be kept of a tool, from what is kept of it and of its toolkit. None: nothing changes."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The name belongs to a tool of another toolkit."""

    tenant: str
    toolkit: str


@dataclass(frozen=True, slots=True)
class Full:
    """The toolkit has as many tools as it may have."""


class RemoteRows:
    """Toolkits by tenant and id."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def revisions(self) -> Mapping[tuple[str, str], int]:
        """Each toolkit's revision, by (tenant, toolkit)."""
        rows = await self._engines.rows(select(_toolkits.tenant, _toolkits.toolkit, _toolkits.revision))
        return {(row["tenant"], row["toolkit"]): row["revision"] for row in rows}

    async def committed(self, tenant: str, toolkit: str) -> str:
        """The hash of the set of tools that the toolkit last committed to; empty if there is none."""
        rows = await self._engines.rows(select(_toolkits.toolkit_hash).where(_toolkit(_toolkits, tenant, toolkit)))
        return rows[0]["toolkit_hash"] if rows else ""

    async def list_tools(self, tenant: str, toolkit: str) -> list[RemoteTool]:
        """What is kept of a toolkit's tools, by name; removed ones too."""
        return await self._list(_toolkit(_tools, tenant, toolkit))

    async def list_all(self) -> list[RemoteTool]:
        """What is kept of every toolkit's tools, by tenant, toolkit and name."""
        return await self._list()

    async def edit(
        self,
        tenant: str,
        toolkit: str,
        name: str,
        edit: Edit,
        *,
        most: int,
        fact: Callable[[RemoteTool], AuditEvent] | None = None,
    ) -> RemoteTool | Taken | Full | None:
        """Keep what `edit` makes of a tool. None where that is nothing new.

        Of several who change one toolkit at the same moment, each finds what the former has written. Nothing is kept of
        a tool whose name is Taken, or that would be more than the `most`.
        """

        def in_transaction(
            connection: Transaction,
        ) -> tuple[RemoteTool | Taken | Full | None, Sequence[AuditEvent | None]]:
            former = _former(connection, tenant, toolkit, name)
            tool = edit(former, _set(connection, tenant, toolkit))
            if tool is None or tool == former:
                return None, []
            if tool.removed_at is None and (former is None or former.removed_at is not None):
                if taken := _owner(connection, tool):
                    return taken, []
                if _count(connection, tenant, toolkit) >= most:
                    return Full(), []
            self._put(connection, tool)
            self._revise(connection, tenant, toolkit, tool.changed_at)
            return tool, [fact(tool)] if fact else []

        return await self._audit.recorded("remote tools", in_transaction)

    async def commit(
        self,
        tenant: str,
        toolkit: str,
        toolkit_hash: str,
        names: Collection[str],
        now: datetime,
        *,
        fact: Callable[[str], AuditEvent] | None = None,
    ) -> list[str]:
        """The toolkit has the tools of these names, and no others. The names of those that it has no longer.

        Of tools that were removed, the last `MOST_REMOVED` are remembered.
        """

        def in_transaction(connection: Transaction) -> tuple[list[str], Sequence[AuditEvent | None]]:
            present = select(_tools.name).where(_toolkit(_tools, tenant, toolkit), _tools.removed_at.is_(None))
            gone = sorted(set(connection.execute(present).scalars()) - set(names))
            for name in gone:
                statement = update(REMOTE_TOOLS).where(_toolkit(_tools, tenant, toolkit), _tools.name == name)
                connection.execute(statement.values(removed_at=now, changed_at=now))
            _forget_old(connection, tenant, toolkit)
            self._revise(connection, tenant, toolkit, now, toolkit_hash)
            return gone, [fact(name) for name in gone] if fact else []

        return await self._audit.recorded("remote tools", in_transaction)

    async def _list(self, *conditions: ColumnElement[bool]) -> list[RemoteTool]:
        statement = select(REMOTE_TOOLS).where(*conditions).order_by(_tools.tenant, _tools.toolkit, _tools.name)
        return [_tool(row) for row in await self._engines.rows(statement)]

    def _put(self, connection: Transaction, tool: RemoteTool) -> None:
        values = asdict(tool)
        statement = self._engines.insert(REMOTE_TOOLS).values(values)
        changes = {name: value for name, value in values.items() if name not in _PRIMARY}
        connection.execute(statement.on_conflict_do_update(index_elements=_PRIMARY, set_=changes))

    def _revise(
        self, connection: Transaction, tenant: str, toolkit: str, now: datetime, toolkit_hash: str | None = None
    ) -> None:
        row = {
            "tenant": tenant,
            "toolkit": toolkit,
            "toolkit_hash": toolkit_hash or "",
            "created_at": now,
            "revision": 1,
        }
        changes: dict[str, Any] = {"revision": _toolkits.revision + 1}
        if toolkit_hash is not None:
            changes["toolkit_hash"] = toolkit_hash
        statement = self._engines.insert(REMOTE_TOOLKITS).values(row)
        connection.execute(statement.on_conflict_do_update(index_elements=("tenant", "toolkit"), set_=changes))


def _former(connection: Transaction, tenant: str, toolkit: str, name: str) -> RemoteTool | None:
    own = select(REMOTE_TOOLS).where(_toolkit(_tools, tenant, toolkit), _tools.name == name)
    row = connection.execute(own).mappings().one_or_none()
    return _tool(row) if row else None


def _set(connection: Transaction, tenant: str, toolkit: str) -> RemoteSet | None:
    own = select(_toolkits.created_at, _toolkits.toolkit_hash).where(_toolkit(_toolkits, tenant, toolkit))
    row = connection.execute(own).mappings().one_or_none()
    return RemoteSet(**row) if row else None


def _forget_old(connection: Transaction, tenant: str, toolkit: str) -> None:
    removed = and_(_toolkit(_tools, tenant, toolkit), _tools.removed_at.is_not(None))
    remembered = select(_tools.name).where(removed).order_by(_tools.removed_at.desc(), _tools.name).limit(MOST_REMOVED)
    connection.execute(delete(REMOTE_TOOLS).where(removed, _tools.name.not_in(remembered)))


def _owner(connection: Transaction, tool: RemoteTool) -> Taken | None:
    statement = select(_tools.tenant, _tools.toolkit).where(_tools.name == tool.name, _tools.removed_at.is_(None))
    rows: Sequence[RowMapping] = connection.execute(statement).mappings().all()
    return next((Taken(**row) for row in rows), None)


def _count(connection: Transaction, tenant: str, toolkit: str) -> int:
    present = and_(_toolkit(_tools, tenant, toolkit), _tools.removed_at.is_(None))
    return connection.execute(select(func.count()).select_from(REMOTE_TOOLS).where(present)).scalar_one()


def _toolkit(columns: Any, tenant: str, toolkit: str) -> ColumnElement[bool]:
    return and_(columns.tenant == tenant, columns.toolkit == toolkit)


def _tool(row: RowMapping) -> RemoteTool:
    return RemoteTool(**row)

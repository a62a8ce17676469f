"""People who have signed in, and whether they still may. The event of a change is recorded in its transaction.

Not here: their sessions (`session_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, func, or_, select, update

from gateway.people_types import Person
from gateway.store.audit_rows import AuditRows
from gateway.store.authorization_tables import ACCESS_GRANTS
from gateway.store.engine import Engines
from gateway.store.lanes import Transaction
from gateway.store.people_tables import PEOPLE, SESSIONS
from gateway.store.tables import belongs_to, person
from gateway.types import AuditEvent, Principal

_people = PEOPLE.c
_TOLD_ANEW = ("name", "email", "groups", "last_seen_at")


class PersonRows:
    """People by whom they are, and by what one calls them."""

    def __init__(self, engines: Engines, audit: AuditRows) -> None:
        self._engines = engines
        self._audit = audit

    async def put(self, told: Person, fact: Callable[[Person], AuditEvent] | None = None) -> Person:
        """Store a person, or what is told of them anew; whether they are disabled stays as it is. As stored."""
        columns = {each.name: getattr(told, each.name) for each in fields(told)}
        values = columns | person(columns.pop("principal"))
        statement = self._engines.insert(PEOPLE).values(values)
        anew = {name: values[name] for name in _TOLD_ANEW}
        upsert = statement.on_conflict_do_update(index_elements=["tenant", "issuer", "subject"], set_=anew)

        def write(transaction: Transaction) -> Person:
            return person_of(transaction.execute(upsert.returning(*PEOPLE.c)).mappings().one())

        stored = await self._audit.together(None, write, fact)
        assert stored is not None, "the work gives a person"
        return stored

    async def find(self, principal: Principal) -> Person | None:
        return next(iter(await self._list(select(PEOPLE).where(belongs_to(PEOPLE, principal)))), None)

    async def list_called(self, name: str) -> list[Person]:
        """Whoever has this id, subject or e-mail address: one, as a rule."""
        called = or_(_people.id == name, _people.subject == name, func.lower(_people.email) == name.lower())
        return await self._list(select(PEOPLE).where(called))

    async def list_all(self) -> list[Person]:
        """Everybody, the newest last."""
        return await self._list(select(PEOPLE).order_by(_people.created_at, _people.id))

    async def list_disabled(self) -> list[Principal]:
        """Those who may not come in, without their groups."""
        who = (_people.issuer, _people.subject, _people.tenant)
        rows = await self._engines.rows(select(*who).where(_people.disabled_at.is_not(None)))
        return [Principal(**row) for row in rows]

    async def disable(self, known: Person, at: datetime, event: AuditEvent | None = None) -> bool:
        """Disable a person, and end their sessions and what they let in. False where they were disabled before."""
        grants, sessions = ACCESS_GRANTS.c, SESSIONS.c
        theirs = (
            update(PEOPLE).where(_people.id == known.id, _people.disabled_at.is_(None)).values(disabled_at=at),
            update(SESSIONS).where(sessions.person_id == known.id, sessions.revoked_at.is_(None)).values(revoked_at=at),
            update(ACCESS_GRANTS)
            .where(belongs_to(ACCESS_GRANTS, known.principal), grants.revoked_at.is_(None))
            .values(revoked_at=at),
        )

        def write(transaction: Transaction) -> tuple[bool, list[AuditEvent | None]]:
            changed = [transaction.execute(statement).rowcount for statement in theirs]
            return changed[0] == 1, [event] if any(changed) else []

        return await self._audit.recorded(None, write)

    async def enable(self, person_id: str, event: AuditEvent | None = None) -> bool:
        """Let a person in again. False where they were not disabled."""
        disabled = update(PEOPLE).where(_people.id == person_id, _people.disabled_at.is_not(None))
        return await self._audit.change(disabled.values(disabled_at=None), event)

    async def _list(self, statement: Select[Any]) -> list[Person]:
        return [person_of(row) for row in await self._engines.rows(statement)]


def person_of(row: Mapping[str, Any] | RowMapping) -> Person:
    """The person whom a row of PEOPLE is about, with their groups."""
    columns = dict(row)
    tenant, issuer, subject = (columns.pop(name) for name in ("tenant", "issuer", "subject"))
    return Person(principal=Principal(issuer, subject, tenant, columns["groups"]), **columns)

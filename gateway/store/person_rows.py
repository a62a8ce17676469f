"""People who have signed in, and whether they still may. Not here: their sessions (`session_rows`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, func, or_, select, update

from gateway.people_types import Person
from gateway.store.engine import Engines
from gateway.store.people_tables import PEOPLE
from gateway.store.tables import belongs_to, person
from gateway.types import Principal

_people = PEOPLE.c
_TOLD_ANEW = ("name", "email", "groups", "last_seen_at")


class PersonRows:
    """People by whom they are, and by what one calls them."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def put(self, told: Person) -> Person:
        """Store a person, or what is told of them anew; whether they are disabled stays as it is. As stored."""
        columns = {each.name: getattr(told, each.name) for each in fields(told)}
        values = columns | person(columns.pop("principal"))
        statement = self._engines.insert(PEOPLE).values(values)
        anew = {name: values[name] for name in _TOLD_ANEW}
        stored = await self._engines.changed(
            statement.on_conflict_do_update(index_elements=["tenant", "issuer", "subject"], set_=anew).returning(
                *PEOPLE.c
            )
        )
        assert stored is not None, "an upsert changes one row"
        return person_of(stored)

    async def find(self, principal: Principal) -> Person | None:
        return next(iter(await self._list(select(PEOPLE).where(belongs_to(PEOPLE, principal)))), None)

    async def list_called(self, name: str) -> list[Person]:
        """Whoever has this id, subject or e-mail address: one, as a rule."""
        called = or_(_people.id == name, _people.subject == name, func.lower(_people.email) == name.lower())
        return await self._list(select(PEOPLE).where(called))

    async def list_all(self) -> list[Person]:
        """Everybody, the newest last."""
        return await self._list(select(PEOPLE).order_by(_people.created_at, _people.id))

    async def set_disabled(self, person_id: str, at: datetime | None) -> bool:
        """Disable a person, or, with None, let them in again. False where that is how it was."""
        differs = _people.disabled_at.is_(None) if at else _people.disabled_at.is_not(None)
        statement = update(PEOPLE).where(_people.id == person_id, differs).values(disabled_at=at)
        return await self._engines.change(statement) == 1

    async def _list(self, statement: Select[Any]) -> list[Person]:
        return [person_of(row) for row in await self._engines.rows(statement)]


def person_of(row: Mapping[str, Any] | RowMapping) -> Person:
    """The person whom a row of PEOPLE is about, with their groups."""
    columns = dict(row)
    tenant, issuer, subject = (columns.pop(name) for name in ("tenant", "issuer", "subject"))
    return Person(principal=Principal(issuer, subject, tenant, columns["groups"]), **columns)

"""Sessions at browsers, each with the person whose it is. Not here: how long one lasts (`gateway.access.sessions`)."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import delete, select, update

from gateway.people_types import Person, Session
from gateway.store.engine import Engines
from gateway.store.people_tables import PEOPLE, SESSIONS
from gateway.store.person_rows import person_of

_sessions = SESSIONS.c
_LIVE = _sessions.revoked_at.is_(None)


class SessionRows:
    """Sessions by their digest, and by whose they are."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def insert(self, session: Session) -> None:
        await self._engines.change(self._engines.insert(SESSIONS).values(asdict(session)))

    async def find(self, session_id: str) -> tuple[Session, Person] | None:
        """The session, ended or not, and its person as they are now."""
        ours = [column.label(f"s_{column.name}") for column in _sessions]
        joined = select(*ours, PEOPLE).join(PEOPLE, PEOPLE.c.id == _sessions.person_id)
        rows = await self._engines.rows(joined.where(_sessions.id == session_id))
        if not rows:
            return None
        row = dict(rows[0])
        session = Session(**{each.name: row.pop(f"s_{each.name}") for each in fields(Session)})
        return session, person_of(row)

    async def note_use(self, session_id: str, now: datetime) -> None:
        await self._engines.change(update(SESSIONS).where(_sessions.id == session_id).values(used_at=now))

    async def revoke(self, session_id: str, now: datetime) -> bool:
        """End one. False if it is unknown, or was ended before."""
        statement = update(SESSIONS).where(_sessions.id == session_id, _LIVE).values(revoked_at=now)
        return await self._engines.change(statement) == 1

    async def revoke_all(self, person_id: str, now: datetime) -> int:
        """End all that a person has; how many they were."""
        statement = update(SESSIONS).where(_sessions.person_id == person_id, _LIVE).values(revoked_at=now)
        return await self._engines.change(statement)

    async def prune(self, before: datetime) -> int:
        """Delete those that ended of themselves before this time; how many they were."""
        return await self._engines.change(delete(SESSIONS).where(_sessions.expires_at < before))

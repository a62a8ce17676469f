"""Sessions of browsers: who signed in there, for how long. The cookie holds a random id; at rest is its digest.

One ends when its person signs out, or has not been seen for half a day, or after a week, or when they are disabled. A
found one is believed for two seconds, so an end bites within that, whichever process it was made in. Every sign-in
makes a new id, so that nobody can sit at the door with one that they have planted.

Below: the store's rows. Above: programs, the sign-in pages. Source: OWASP, Session Management.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from gateway.access.recent import Recent
from gateway.access.scopes import EVERY
from gateway.clock import Clock
from gateway.people_types import Person, Session
from gateway.secret import Secret
from gateway.store.session_rows import SessionRows
from gateway.types import Access, AccessKind

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
KEPT_FOR = 2.0  # seconds
_COARSE = timedelta(minutes=5)
_ID_BYTES = 32
_ID_LENGTH = 43


class Sessions:
    """`cookie` is the name of the one that holds the id. `timer` counts seconds, as `time.monotonic` does."""

    def __init__(
        self, rows: SessionRows, clock: Clock, cookie: str, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._cookie = cookie
        self._timer = timer
        self._recent: Recent[Access] = Recent(KEPT_FOR, timer)

    async def begin(self, person: Person, former: Secret | None = None) -> Secret:
        """A new session of theirs, and the end of the one that this browser had."""
        if former is not None:
            await self.end(former)
        now, text = self._clock.now(), secrets.token_urlsafe(_ID_BYTES)
        await self._rows.insert(Session(_digest(text).hex(), person.id, now, now, now + LONGEST))
        return Secret(text)

    async def browser(self, headers: Mapping[str, str]) -> Access | None:
        """As of Authenticator: whoever signed in at the browser that sends these."""
        text = self.cookie_in(headers)
        return await self.find(text) if text else None

    def cookie_in(self, headers: Mapping[str, str]) -> Secret | None:
        """The session id that a browser sends; None for none, or two, of which one is somebody else's doing."""
        pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        found = [value for name, _, value in pairs if name == self._cookie]
        return Secret(found[0]) if len(found) == 1 and len(found[0]) == _ID_LENGTH else None

    async def find(self, text: Secret) -> Access | None:
        """What the session lets its browser do; None where it is none, or has ended."""
        digest, now = _digest(text.reveal()), self._clock.now()
        kept = self._recent.find(digest)
        if kept is not None and kept.expires_at is not None and now < kept.expires_at:
            return kept
        found = await self._rows.find(digest.hex())
        if found is None or not _is_live(*found, now):
            return None
        session, person = found
        if now >= session.used_at + _COARSE:
            await self._rows.note_use(session.id, now)
        access = Access(
            person.principal,
            client="browser",
            scopes=EVERY,
            kind=AccessKind.SESSION,
            expires_at=min(session.expires_at, now + IDLE),
            name=person.called,
        )
        self._recent.keep(digest, access)
        return access

    async def end(self, text: Secret) -> None:
        """End one session, for everybody else within KEPT_FOR seconds."""
        await self._rows.revoke(_digest(text.reveal()).hex(), self._clock.now())
        self._forget()

    async def end_all(self, person: Person) -> int:
        """End all of a person's sessions; how many they were."""
        ended = await self._rows.revoke_all(person.id, self._clock.now())
        self._forget()
        return ended

    def _forget(self) -> None:
        self._recent = Recent(KEPT_FOR, self._timer)


def _is_live(session: Session, person: Person, now: datetime) -> bool:
    is_over = session.revoked_at is not None or person.disabled_at is not None
    return not is_over and now < session.expires_at and now < session.used_at + IDLE


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

"""Whether a person may come in at all: who is disabled may not, by whatever way they try.

A session and a consent of theirs end with it; a key, or a token of an issuer that knows nothing of it, is good in
itself. So each is held against the person too. What was read is believed for two seconds.

Below: one function that finds people. Above: programs.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from gateway.access.recent import Recent
from gateway.people_types import Person
from gateway.types import Principal

KEPT_FOR = 2.0  # seconds

FindPerson = Callable[[Principal], Awaitable[Person | None]]


class Standing:
    """`find` gives the person, if they have ever signed in here."""

    def __init__(self, find: FindPerson, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._recent: Recent[bool] = Recent(KEPT_FOR, timer)

    async def may_enter(self, principal: Principal) -> bool:
        who = (principal.tenant, principal.issuer, principal.subject)
        known = self._recent.find(who)
        if known is None:
            person = await self._find(principal)
            known = person is None or person.disabled_at is None
            self._recent.keep(who, known)
        return known

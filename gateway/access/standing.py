"""Whether a person may come in at all: who is disabled may not, by whatever way they try.

A session and a consent of theirs end with it; a key, or a token of an issuer that knows nothing of it, is good in
itself. So each is held against the person too. Who is disabled is asked once in two seconds for everybody: those are
few, and so a call costs the same whoever makes it, and however many people there are.

Below: one function that finds people. Above: programs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from gateway.types import Principal

KEPT_FOR = 2.0  # seconds

ListDisabled = Callable[[], Awaitable[Collection[Principal]]]


class Standing:
    """`disabled` gives those who may not come in."""

    def __init__(self, disabled: ListDisabled, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._list = disabled
        self._timer = timer
        self._disabled: frozenset[tuple[str, str, str]] = frozenset()
        self._until = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def may_enter(self, principal: Principal) -> bool:
        if self._timer() >= self._until:
            self._asking = self._asking or asyncio.get_running_loop().create_task(self._ask())
            await asyncio.shield(self._asking)  # whoever leaves, others wait for the same answer
        return _who(principal) not in self._disabled

    async def _ask(self) -> None:
        asked_at = self._timer()
        try:
            self._disabled = frozenset(map(_who, await self._list()))
            self._until = asked_at + KEPT_FOR
        finally:
            self._asking = None


def _who(principal: Principal) -> tuple[str, str, str]:
    return principal.tenant, principal.issuer, principal.subject

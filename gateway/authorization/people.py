"""Whether a person whose programs were let in may still come in themselves, and what groups they are in by now.

A grant outlives the login at which it was given by weeks. So whoever keeps people is asked, each time that a token is
looked up afresh or exchanged; None from there ends nothing, but lets nobody in. Programs without people are not asked
about. Above: access_tokens, grants.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.types import Principal

Present = Callable[[Principal], Awaitable[Principal | None]]
"""The person as they are now, groups and all; None if they may not come in any more."""

PROGRAM = "client:"
"""How a subject of our own issuer begins that is a program in its own name."""


async def unchanged(person: Principal) -> Principal | None:
    """Where nobody keeps people: as they were when they let the program in."""
    return person

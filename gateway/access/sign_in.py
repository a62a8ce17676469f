"""Signing in at the browser, put together: by the company's identity provider, by accounts kept here, or both.

Whichever way somebody comes, they are noted, and their browser gets a new session. Between password and code the
browser holds a ticket that says whose code is asked for, and nothing else.

Below: company_login, local_accounts, people, sessions, tickets. Above: the pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gateway.access.company_login import CompanyLogin
from gateway.access.local_accounts import LocalAccounts
from gateway.access.people import Arrival, People
from gateway.access.sessions import Sessions
from gateway.access.throttle import FORGIVEN_AFTER
from gateway.access.tickets import Tickets
from gateway.clock import Clock
from gateway.people_types import LocalAccount
from gateway.secret import Secret
from gateway.store.store import Store

CODE_WITHIN = timedelta(minutes=5)
_REMEMBERED = timedelta(days=30)
_PURPOSE = "second step"


@dataclass(frozen=True, slots=True)
class SignIn:
    """`company` and `local` are the ways that are open; at least one of them is."""

    sessions: Sessions
    people: People
    tickets: Tickets
    company: CompanyLogin | None
    local: LocalAccounts | None

    async def close(self) -> None:
        if self.company is not None:
            await self.company.close()

    async def arrive(self, arrival: Arrival, former: Secret | None) -> Secret:
        """The id of a new session for somebody who has proved who they are. SignInError where they may not."""
        return await self.sessions.begin(await self.people.arrive(arrival), former)

    async def arrive_anew(self, arrival: Arrival, former: Secret | None) -> Secret:
        """As `arrive`, for somebody whose password is a new one: what was open with the former one ends."""
        person = await self.people.arrive(arrival)
        await self.sessions.end_all(person)
        return await self.sessions.begin(person, former)

    def second_step(self, account: LocalAccount) -> str:
        """A ticket for somebody whose password was right, and whose code is asked for next."""
        return self.tickets.write(_PURPOSE, {"a": account.id}, CODE_WITHIN)

    def whose_second_step(self, ticket: str | None) -> str | None:
        """The id of the account; None where the password has to be given again."""
        says = self.tickets.read(_PURPOSE, ticket)
        return says["a"] if says else None


async def prune(store: Store, clock: Clock) -> None:
    """Delete what is over: sessions that ended by themselves, attempts that are forgiven, invitations of long ago."""
    now = clock.now()
    await store.sessions.prune(now - _REMEMBERED)
    await store.throttles.prune(now - FORGIVEN_AFTER)
    await store.accounts.prune_invitations(now - _REMEMBERED)

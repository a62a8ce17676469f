"""Everything that signs people in, on a database of a test's own and a clock that it moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from argon2 import PasswordHasher

from gateway.access.authenticator import local_principal
from gateway.access.local_accounts import LocalAccounts
from gateway.access.passwords import Passwords
from gateway.access.people import People
from gateway.access.sessions import Sessions
from gateway.access.sign_in import SignIn
from gateway.access.throttle import Throttle
from gateway.access.tickets import Tickets
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.people_types import LocalAccount
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.vault.data_keys import DataKeys
from gateway.vault.key_sources import new_key, open_ring
from gateway.vault.vault import Vault

OURS = "https://gateway.example"
OURSELVES = local_principal()
HOME = "203.0.113.7"
GOOD = Secret("four plain words in a row")
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@dataclass
class Household:
    """`seconds` is what the timers of caches show."""

    store: Store
    clock: MovableClock
    audit: AuditLog
    accounts: LocalAccounts
    people: People
    sessions: Sessions
    sign_in: SignIn
    seconds: list[float]
    vault: Vault

    async def member(self, email: str = "ada@example.com", password: Secret = GOOD) -> LocalAccount:
        """An account whose invitation was accepted."""
        invited = await self.accounts.invite(email, "Ada", by=OURSELVES)
        return await self.accounts.accept(invited.code.reveal(), password)


@asynccontextmanager
async def household(store: Store) -> AsyncIterator[Household]:
    clock, seconds = MovableClock(), [0.0]
    audit = AuditLog(store.audit.append, clock)
    ring = open_ring([new_key()], None)
    vault = Vault(ring, DataKeys(store.data_keys, ring, clock))
    throttle = Throttle(store.throttles, clock)
    accounts = LocalAccounts(store.accounts, Passwords(QUICK), throttle, vault, clock, audit=audit, issuer=OURS)
    people = People(store, audit, clock, OURS)
    sessions = Sessions(store.sessions, clock, "atp-session", timer=lambda: seconds[0])
    sign_in = SignIn(sessions, people, Tickets(b"key", clock), None, accounts)
    yield Household(store, clock, audit, accounts, people, sessions, sign_in, seconds, vault)
    await audit.close()

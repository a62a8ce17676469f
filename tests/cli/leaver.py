"""Has somebody sign in and connect accounts at `acme`, in the store of the configuration in this folder.

Arguments: their e-mail address, and the account of each connection. Somebody else has one, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from gateway import app
from gateway.access.people import Arrival, People
from gateway.clock import SystemClock
from gateway.oauth.grants import Grants
from gateway.oauth.identity import Account
from gateway.oauth.live_tokens import LiveTokens
from gateway.secret import Secret
from gateway.settings import load_settings
from gateway.types import CredentialKind, Principal, TokenSet


async def main(email: str, *accounts: str) -> None:
    gateway = app.build(load_settings(Path("gateway.toml")))
    async with app.listening(gateway):
        opened, clock = await gateway.accounts.open(), SystemClock()
        leaver, other = (Principal("https://login.example", name) for name in ("leaver", "other"))
        people = People(opened.store, gateway.audit, clock, "https://gateway.example")
        await people.arrive(Arrival(leaver, "Ada Lovelace", email, "company"))
        grants = Grants(opened.store.connections, opened.vault, LiveTokens(clock), clock)
        for person, account in [*((leaver, each) for each in accounts), (other, "somebody-else")]:
            tokens = TokenSet(Secret(f"access-canary-{account}"), Secret(f"refresh-canary-{account}"))
            await grants.put(person, "acme", CredentialKind.OAUTH2, Account(account, account), tokens)
        await gateway.audit.flush()


anyio.run(main, *sys.argv[1:])

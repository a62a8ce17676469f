"""Puts connections at `acme` into the store of the configuration in this folder, and prints the first one's id.

Arguments: the account of each connection, for a person each; the first is the person at the command line.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import anyio

from gateway import app
from gateway.clock import SystemClock
from gateway.oauth.grants import Grants
from gateway.oauth.identity import Account
from gateway.oauth.live_tokens import LiveTokens
from gateway.secret import Secret
from gateway.settings import load_settings
from gateway.types import CredentialKind, TokenSet


async def main(*accounts: str) -> None:
    gateway = app.build(load_settings(Path("gateway.toml")))
    async with app.listening(gateway):
        opened, clock = await gateway.accounts.open(), SystemClock()
        grants = Grants(opened.store.connections, opened.vault, LiveTokens(clock), clock)
        for number, account in enumerate(accounts):
            person = gateway.principal if number == 0 else replace(gateway.principal, subject=f"person-{number}")
            tokens = TokenSet(Secret("access-canary"), Secret("refresh-canary"))
            held = await grants.put(person, "acme", CredentialKind.OAUTH2, Account(account, account), tokens)
            if number == 0:
                sys.stdout.write(held.id)


anyio.run(main, *sys.argv[1:])

"""Tokens in and out of Connection rows: sealed on the way in, opened on the way out, bound to row and version.

Each change made here is forgotten by `LiveTokens` at once. Not here: who may, and what the provider says.
Below: store, vault. Above: flows, refresher, broker, connections.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from gateway.clock import Clock
from gateway.errors import FlowError
from gateway.oauth.grant_life import FOREVER, Lifespan
from gateway.oauth.identity import Account
from gateway.oauth.live_tokens import LiveTokens
from gateway.store.connection_rows import ConnectionRows, Fact
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal, Revocation, TokenSet
from gateway.vault.vault import Binding, Vault

_ATTEMPTS = 5


class Grants:
    """Keeps what providers granted."""

    def __init__(self, rows: ConnectionRows, vault: Vault, live: LiveTokens, clock: Clock) -> None:
        self._rows = rows
        self._vault = vault
        self._clock = clock
        self.live = live

    async def open(self, connection: Connection) -> TokenSet:
        """The tokens of a row. VaultError where they do not open."""
        return await self._vault.open_tokens(connection.sealed, _binding(connection))

    async def find(self, principal: Principal, connection_id: str) -> Connection | None:
        """The person's connection of that id."""
        return await self._rows.find_by_id(principal, connection_id)

    async def renewed(self, connection: Connection, tokens: TokenSet) -> Connection:
        """The row with other tokens: active, one version on, sealed to it, without lease, doubt and back-off."""
        fresh = _fresh(connection, tokens, self._clock.now())
        return replace(fresh, sealed=await self._vault.seal_tokens(tokens, _binding(fresh)))

    def renewed_beside(self, connection: Connection, tokens: TokenSet) -> Connection | None:
        """As `renewed`, sealed by the key of the former tokens, without the database. None: it is not at hand."""
        fresh = _fresh(connection, tokens, self._clock.now())
        sealed = self._vault.seal_tokens_beside(connection.sealed, tokens, _binding(fresh))
        return replace(fresh, sealed=sealed) if sealed is not None else None

    async def put(
        self,
        principal: Principal,
        provider: str,
        kind: CredentialKind,
        account: Account,
        tokens: TokenSet,
        *,
        requested: frozenset[str] | None = None,
        variables: Mapping[str, str] | None = None,
        life: Lifespan = FOREVER,
        fact: Fact | None = None,
    ) -> Connection:
        """Keep a fresh grant, whose life is foreseen to be `life`.

        `requested` are the scopes that the consent asked for: those granted, unless given.

        The same account's row takes the new tokens, one version on; another account gets a row of its own, of version
        1. Which one is the person's default is settled by the store, and the event that `fact` makes of the row is
        recorded, in the same transaction.
        """
        asked = tokens.scopes if requested is None else requested
        for _ in range(_ATTEMPTS):
            former = await self._rows.find_account(principal, provider, kind, account.id)
            if former is not None:
                renewed = replace(
                    life.on(await self.renewed(former, tokens)),
                    account_label=account.label or former.account_label,
                    requested=former.requested | asked,
                    variables=variables or former.variables,
                )
                kept = await self._rows.replace(renewed, expected_version=former.version, fact=fact)
            else:
                made = replace(_new(principal, provider, kind, account, self._clock.now()), requested=asked)
                made = replace(
                    life.on(made), scopes=tokens.scopes, expires_at=tokens.expires_at, variables=variables or {}
                )
                sealed = await self._vault.seal_tokens(tokens, _binding(made))
                kept = await self._rows.insert(replace(made, sealed=sealed), fact)
            if kept is not None:
                self.live.forget(principal, provider)
                return await self._preferred(kept)
        raise FlowError("This account is being connected somewhere else at the same time. Start again.")

    async def _preferred(self, kept: Connection) -> Connection:
        """An account whose name could not be found out when it was connected is no default beside one with a name."""
        if kept.is_default or kept.account_label is None:
            return kept
        default = await self._rows.find(kept.principal, kept.provider, kept.kind)
        if default is None or default.account_label is not None:
            return kept
        return await self.make_default(kept.principal, kept.id) or kept

    async def make_default(
        self, principal: Principal, connection_id: str, fact: Fact | None = None
    ) -> Connection | None:
        """Have calls that name no account use this one. None where the person has no such connection."""
        chosen = await self._rows.set_default(principal, connection_id, fact)
        if chosen is not None:
            self.live.forget(principal, chosen.provider)
        return chosen

    async def drop(
        self, connection: Connection, revocation: Revocation | None = None, fact: Fact | None = None
    ) -> bool:
        """Forget the row and its tokens, and leave `revocation` in the outbox. False if it was gone, or has changed."""
        dropped = await self._rows.drop(
            connection.principal, connection.id, version=connection.version, revocation=revocation, fact=fact
        )
        self.live.forget(connection.principal, connection.provider)
        return dropped


def _new(principal: Principal, provider: str, kind: CredentialKind, account: Account, now: datetime) -> Connection:
    """A row that has no tokens yet."""
    return Connection(
        id=secrets.token_hex(16),
        principal=principal,
        provider=provider,
        kind=kind,
        account_id=account.id,
        account_label=account.label,
        scopes=frozenset(),
        status=ConnectionStatus.ACTIVE,
        sealed=b"",
        created_at=now,
        updated_at=now,
    )


def _fresh(connection: Connection, tokens: TokenSet, now: datetime) -> Connection:
    """The row with other tokens, which are not sealed yet."""
    return replace(
        connection,
        scopes=tokens.scopes,
        status=ConnectionStatus.ACTIVE,
        status_reason=None,
        expires_at=tokens.expires_at,
        updated_at=now,
        version=connection.version + 1,
        lease_owner=None,
        lease_until=None,
        refresh_started_at=None,
        refresh_not_before=None,
        failures=0,
    )


def _binding(connection: Connection) -> Binding:
    return Binding(
        "connections", connection.id, connection.principal, connection.provider, "tokens", connection.version
    )

"""Tokens in and out of Connection rows: sealed on the way in, opened on the way out, bound to row and version.

Each change made here is forgotten by `LiveTokens` at once. Not here: who may, and what the provider says.
Below: store, vault. Above: flows, refresher, broker, connections.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from gateway.clock import Clock
from gateway.errors import FlowError
from gateway.oauth.grant_life import FOREVER, Lifespan
from gateway.oauth.identity import Account
from gateway.oauth.live_tokens import LiveTokens
from gateway.store.connection_rows import ConnectionRows
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

    async def renewed(self, connection: Connection, tokens: TokenSet) -> Connection:
        """The row with other tokens: active, one version on, sealed to it, without lease, doubt and back-off."""
        fresh = replace(
            connection,
            scopes=tokens.scopes,
            status=ConnectionStatus.ACTIVE,
            status_reason=None,
            expires_at=tokens.expires_at,
            updated_at=self._clock.now(),
            version=connection.version + 1,
            lease_owner=None,
            lease_until=None,
            refresh_started_at=None,
            refresh_not_before=None,
            failures=0,
        )
        return replace(fresh, sealed=await self._vault.seal_tokens(tokens, _binding(fresh)))

    async def put(
        self,
        principal: Principal,
        provider: str,
        kind: CredentialKind,
        account: Account,
        tokens: TokenSet,
        *,
        life: Lifespan = FOREVER,
    ) -> Connection:
        """Keep a fresh grant, whose life is foreseen to be `life`. It is the person's current one at this provider.

        The same account's row takes the new tokens. Another account gets its own row. `version` is 1 for a new row.
        """
        for _ in range(_ATTEMPTS):
            former = await self._rows.find_account(principal, provider, account.id)
            if former is not None and await self._is_current(former, kind):
                renewed = replace(
                    life.on(await self.renewed(former, tokens)),
                    kind=kind,
                    account_label=account.label or former.account_label,
                )
                kept = await self._rows.replace(renewed, expected_version=former.version)
            else:
                # A row of an account that was connected before another one: the newest row is the current one.
                if former is not None:
                    await self._rows.drop(principal, former.id)
                renewed = life.on(await self._new(principal, provider, kind, account, tokens))
                kept = await self._rows.insert(renewed)
            if kept:
                self.live.forget(principal, provider)
                return renewed
        raise FlowError("This account is being connected somewhere else at the same time. Start again.")

    async def drop(self, connection: Connection, revocation: Revocation | None = None) -> bool:
        """Forget the row and its tokens, and leave `revocation` in the outbox. False if it was gone, or has changed."""
        dropped = await self._rows.drop(
            connection.principal, connection.id, version=connection.version, revocation=revocation
        )
        self.live.forget(connection.principal, connection.provider)
        return dropped

    async def _is_current(self, former: Connection, kind: CredentialKind) -> bool:
        current = await self._rows.find(former.principal, former.provider, kind)
        return current is not None and current.id == former.id

    async def _new(
        self, principal: Principal, provider: str, kind: CredentialKind, account: Account, tokens: TokenSet
    ) -> Connection:
        now = self._clock.now()
        connection = Connection(
            id=secrets.token_hex(16),
            principal=principal,
            provider=provider,
            kind=kind,
            account_id=account.id,
            account_label=account.label,
            scopes=tokens.scopes,
            status=ConnectionStatus.ACTIVE,
            sealed=b"",
            created_at=now,
            updated_at=now,
            expires_at=tokens.expires_at,
        )
        return replace(connection, sealed=await self._vault.seal_tokens(tokens, _binding(connection)))


def _binding(connection: Connection) -> Binding:
    return Binding(
        "connections", connection.id, connection.principal, connection.provider, "tokens", connection.version
    )

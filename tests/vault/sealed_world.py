"""A database full of sealed values of every kind, as the rooms above the vault seal them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.clock import MovableClock
from gateway.oauth.grants import Grants
from gateway.oauth.live_tokens import LiveTokens
from gateway.people_types import LocalAccount
from gateway.secret import Secret
from gateway.store.people_tables import LOCAL_ACCOUNTS
from gateway.store.store import Store
from gateway.store.tables import CONNECTIONS, FLOWS, REVOCATIONS, WEBHOOKS, to_columns
from gateway.types import (
    Connection,
    ConnectionStatus,
    CredentialKind,
    Flow,
    Principal,
    Revocation,
    TokenSet,
)
from gateway.vault.vault import Binding, Vault, own_binding
from gateway.webhook_types import Webhook
from gateway.webhooks.registrations import secret_binding

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TENANTS = ("acme", "zenith", "default")


def person(number: int) -> Principal:
    return Principal("issuer", f"person {number}", TENANTS[number % len(TENANTS)])


@dataclass
class World:
    store: Store
    vault: Vault

    def grants(self, clock: MovableClock | None = None) -> Grants:
        clock = clock or MovableClock()
        return Grants(self.store.connections, self.vault, LiveTokens(clock), clock)

    async def fill(self, connections: int, others: int = 5, *, former: Vault | None = None) -> None:
        """So many connections, flows under way and revocations. Every second one is sealed by `former`."""
        vaults = (self.vault, former or self.vault)
        made = [await self._connection(number, vaults[number % 2]) for number in range(connections)]
        await self._insert(CONNECTIONS, made)
        await self._insert(FLOWS, [await self._flow(number, vaults[number % 2]) for number in range(others)])
        pending = [await self._revocation(number, vaults[number % 2]) for number in range(others)]
        await self._insert(REVOCATIONS, pending)
        await self._insert_accounts([await self._account(number, vaults[number % 2]) for number in range(others)])
        await self._insert(WEBHOOKS, [await self._webhook(number, vaults[number % 2]) for number in range(others)])

    async def tokens(self, number: int) -> str:
        """The access token of a person's connection, as a call would get it."""
        row = await self.store.connections.find_by_id(person(number), f"c{number:06}")
        assert row is not None
        return (await self.grants().open(row)).access_token.reveal()

    async def _insert(self, table: Any, rows: Sequence[Any]) -> None:
        for start in range(0, len(rows), 500):
            chunk = [to_columns(row) for row in rows[start : start + 500]]
            await self.store._engines.change(self.store._engines.insert(table), chunk)

    async def _insert_accounts(self, accounts: Sequence[LocalAccount]) -> None:
        for account in accounts:
            await self.store._engines.change(self.store._engines.insert(LOCAL_ACCOUNTS).values(asdict(account)))

    async def _account(self, number: int, vault: Vault) -> LocalAccount:
        sealed = await vault.seal(b"secret", own_binding("local_accounts", f"l{number}", "totp"))
        return LocalAccount(f"l{number}", f"{number}@example.com", None, frozenset(), NOW, sealed=sealed)

    async def _connection(self, number: int, vault: Vault) -> Connection:
        row = Connection(
            f"c{number:06}", person(number), "hubspot", CredentialKind.OAUTH2, "a", "label", frozenset({"read"}),
            ConnectionStatus.ACTIVE, b"", NOW, NOW, version=1 + number % 3, is_default=True,
        )  # fmt: skip
        place = Binding("connections", row.id, row.principal, row.provider, "tokens", row.version)
        tokens = TokenSet(Secret(f"access {number}"), Secret("refresh" * 20), None, frozenset({"read"}))
        return replace(row, sealed=await vault.seal_tokens(tokens, place))

    async def _flow(self, number: int, vault: Vault) -> Flow:
        flow = Flow(
            f"f{number}", person(number), "host", "hubspot", CredentialKind.OAUTH2, frozenset(), None, NOW,
            NOW + timedelta(minutes=10), state_hash=f"state {number}",
        )  # fmt: skip
        place = Binding("flows", flow.id, flow.principal, flow.provider, "verifier", 1)
        return replace(flow, sealed_verifier=await vault.seal(b"verifier", place))

    async def _revocation(self, number: int, vault: Vault) -> Revocation:
        place = Binding("revocations", f"r{number}", person(number), "hubspot", "tokens", 1)
        sealed = await vault.seal_tokens(TokenSet(Secret("access")), place)
        later = NOW + timedelta(hours=1)
        return Revocation(f"r{number}", person(number), "hubspot", "a", "label", {}, sealed, NOW, NOW, later)

    async def _webhook(self, number: int, vault: Vault) -> Webhook:
        app = Principal("app", "shop", TENANTS[number % len(TENANTS)])
        sealed = await vault.seal(b"whsec_secret", secret_binding(app, f"w{number}"))
        return Webhook(f"w{number}", app, f"https://app.example.com/{number}", frozenset({"tool_called"}), sealed, NOW)

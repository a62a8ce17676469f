"""An authorization server on a real database, with a clock and a counter of seconds that stand until they are moved."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.audit import AuditLog
from gateway.authorization.parameters import Parameters
from gateway.authorization.requests import AuthorizationRequest, Offer
from gateway.authorization.server import Admission, AuthorizationServer, configured_client, offer_at
from gateway.authorization_types import RegisteredClient
from gateway.clock import MovableClock
from gateway.errors import AuthorizationError
from gateway.outward.guarded import Answer
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import AuditEvent, Principal
from gateway.vault.data_keys import DataKeys
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault

ISSUER = "https://gateway.example"
RESOURCE = f"{ISSUER}/mcp"
ALICE = Principal("https://idp.example", "alice", groups=frozenset({"sales"}))
BOB = Principal("https://idp.example", "bob")
CALLBACK = "https://app.example/callback"


class Timer:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Documents:
    """What the internet would answer about clients: by address, and how often it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | None] = {}
        self.asked: list[str] = []

    async def fetch(self, url: str, /, limit: int) -> Answer | None:
        self.asked.append(url)
        return self.answers.get(url)


def pkce() -> tuple[str, str]:
    """A verifier and its challenge."""
    verifier = secrets.token_urlsafe(32)
    return verifier, urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def parameters(**given: str | None) -> Parameters:
    return Parameters(urlencode({name: value for name, value in given.items() if value is not None}))


class House:
    """One process of a gateway, and another on the same database."""

    def __init__(self, store: Store, vault: Vault, clock: MovableClock, offer: Offer, admission: Admission) -> None:
        self.store, self.vault, self.clock = store, vault, clock
        self.audit = AuditLog(store.audit.append, clock)
        self._told = 0
        self.server, self.elsewhere = (
            AuthorizationServer.of(offer, admission, store=store, vault=vault, audit=self.audit, clock=clock)
            for _ in range(2)
        )
        self.timer = Timer()
        for server in (self.server, self.elsewhere):
            server.tokens._timer = server.keys._timer = self.timer

    async def events(self) -> list[AuditEvent]:
        """What went on record, since it was begun anew."""
        await self.audit.flush()
        return [entry.event for entry in await self.store.trail.page("default", self._told, 10_000)]

    async def begin_anew(self) -> None:
        self._told += len(await self.events())

    async def actions(self) -> list[str]:
        """What people and programs did."""
        return [event.action for event in await self.events() if not event.action.startswith("signing_key.")]

    async def register(self, **more: Any) -> dict[str, Any]:
        assert self.server.registration
        body = {"redirect_uris": [CALLBACK], "client_name": "App", "token_endpoint_auth_method": "none"}
        return await self.server.registration.register(body | more, "192.0.2.1")

    async def client(self, **more: Any) -> RegisteredClient:
        found = await self.server.clients.find((await self.register(**more))["client_id"])
        assert found
        return found

    async def ask(self, client_id: str, **changes: str | None) -> tuple[AuthorizationRequest, str]:
        """A request as it arrives at /authorize, read; and the verifier of its challenge."""
        verifier, challenge = pkce()
        usual: dict[str, str | None] = {
            "client_id": client_id, "redirect_uri": CALLBACK, "response_type": "code", "state": "s",
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        asked = parameters(**(usual | changes))
        return self.server.requests.read(asked, await self.server.requests.addressee(asked)), verifier

    async def code(self, client_id: str, **changes: str | None) -> tuple[str, str]:
        """A code that Alice has allowed, and its verifier."""
        request, verifier = await self.ask(client_id, **changes)
        return (await self.server.grants.issue_code(request, ALICE)).reveal(), verifier

    async def exchange(self, client: RegisteredClient, code: str, verifier: str, **more: str | None) -> dict[str, Any]:
        usual: dict[str, str | None] = {"code": code, "code_verifier": verifier, "redirect_uri": CALLBACK}
        return (await self.server.grants.exchange_code(client, parameters(**(usual | more)))).told()

    async def tokens(self, client: RegisteredClient, **changes: str | None) -> dict[str, Any]:
        return await self.exchange(client, *await self.code(client.id, **changes))

    async def refresh(self, client: RegisteredClient, token: str, **more: str | None) -> dict[str, Any]:
        return (await self.server.grants.refresh(client, parameters(refresh_token=token, **more))).told()


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def error_of(doing: Any) -> str:
    """The error that a request is refused with."""
    with pytest.raises(AuthorizationError) as raised:
        await doing
    return raised.value.error


SECRET = "a secret: with %, + and ümlauts, of 32 characters at least"


async def make_house(
    store: Store, documents: Documents | None = None, vault: Vault | None = None, **admission: Any
) -> House:
    clock = MovableClock()
    ring = Keyring([Secret(b64encode(secrets.token_bytes(32)).decode())])
    vault = vault or Vault(ring, DataKeys(store.data_keys, ring, clock))
    given: dict[str, Any] = {
        "configured": (
            configured_client("intranet", "Intranet", [CALLBACK], Secret(SECRET)),
            configured_client("robot", "Robot", [], Secret(SECRET)),
        ),
        "fetch": documents.fetch if documents else None,
    }
    return House(store, vault, clock, offer_at(ISSUER, ("tools",), ("tools",)), Admission(**(given | admission)))

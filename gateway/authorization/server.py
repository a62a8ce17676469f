"""The authorization server, put together from its parts.

Below: the parts. Above: the app, which says what it is to be like; the surface, which asks the parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.audit import AuditLog
from gateway.authorization.access_tokens import AccessTokens
from gateway.authorization.client_assertion import Assertions
from gateway.authorization.client_keys import ClientKeys, Fetch
from gateway.authorization.client_proof import ClientProof
from gateway.authorization.clients import Clients
from gateway.authorization.consents import Consents
from gateway.authorization.digests import secret_digest_of
from gateway.authorization.document_fetch import DocumentFetch
from gateway.authorization.documents import GRANT_TYPES, ClientDocuments
from gateway.authorization.grants import Grants
from gateway.authorization.people import Present, unchanged
from gateway.authorization.redirect_uris import may_be_registered
from gateway.authorization.refresh_chain import RefreshChain
from gateway.authorization.registration import Registration
from gateway.authorization.requests import OFFLINE, Offer, Requests
from gateway.authorization.signing_keys import SigningKeys
from gateway.authorization_types import ClientSource, RegisteredClient
from gateway.clock import Clock
from gateway.errors import SettingsError
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Admission:
    """Which clients there may be: those of the settings; with `registration`, whoever registers; with `fetch`, whoever
    has a document, at one of `document_hosts` if there are any."""

    configured: tuple[RegisteredClient, ...] = ()
    registration: bool = True
    fetch: Fetch | None = None
    document_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """`registration` is None where nobody may register."""

    offer: Offer
    admission: Admission
    clients: Clients
    proof: ClientProof
    requests: Requests
    consents: Consents
    grants: Grants
    tokens: AccessTokens
    keys: SigningKeys
    registration: Registration | None

    @classmethod
    def of(
        cls,
        offer: Offer,
        admission: Admission,
        *,
        store: Store,
        vault: Vault,
        audit: AuditLog,
        clock: Clock,
        present: Present = unchanged,
    ) -> AuthorizationServer:
        """A server on this database, whose secrets this vault seals. `present` says whether people may still come."""
        documents = ClientDocuments(admission.fetch, admission.document_hosts) if admission.fetch else None
        clients = Clients(admission.configured, store.clients, documents)
        assertions = Assertions(ClientKeys(admission.fetch), store.spent.claim, clock, issuer=offer.issuer)
        keys = SigningKeys(store.signing_keys, vault, audit, clock)
        tokens = AccessTokens(keys, store.grants, clock, issuer=offer.issuer, resource=offer.resource, present=present)
        chain = RefreshChain(vault.derive("refresh-tokens"))
        return cls(
            offer=offer,
            admission=admission,
            clients=clients,
            proof=ClientProof(clients, assertions),
            requests=Requests(clients, offer),
            consents=Consents(store.clients, clock),
            grants=Grants(store.grants, tokens, chain, offer=offer, audit=audit, clock=clock),
            tokens=tokens,
            keys=keys,
            registration=Registration(store.clients, audit, clock, scopes=offer.scopes)
            if admission.registration
            else None,
        )

    async def close(self) -> None:
        """Close the way out."""
        if isinstance(self.admission.fetch, DocumentFetch):
            await self.admission.fetch.close()

    async def prune(self) -> None:
        """Delete what has been over for long: codes, grants, tokens, registrations that nobody used."""
        await self.grants.prune()
        if self.registration is not None:
            await self.registration.prune()


def offer_at(base_url: str, scopes: Iterable[str], default_scopes: Collection[str]) -> Offer:
    """The offer of a gateway at this URL: tokens for its MCP endpoint, by whichever of its names a client knows it."""
    resource = f"{base_url}/mcp"
    names = frozenset({resource, f"{resource}/", base_url, f"{base_url}/", f"{base_url}/sse"})
    return Offer(base_url, resource, names, (*scopes, OFFLINE), frozenset(default_scopes))


def configured_client(
    client_id: str, name: str, redirect_uris: Collection[str], secret: Secret | None
) -> RegisteredClient:
    """A client of the settings. With a secret and no redirect URI it is a program without people, which gets tokens in
    its own name. SettingsError where it cannot be."""
    where = f"[access.clients.{client_id}]"
    if wrong := [uri for uri in redirect_uris if not may_be_registered(uri)]:
        raise SettingsError(
            f"{where} redirect_uris: {wrong[0]!r} cannot be used. Write https, or http at 127.0.0.1, [::1] or "
            "localhost, or the app's own scheme, such as com.example.app:/callback."
        )
    if not redirect_uris and secret is None:
        raise SettingsError(f"{where} needs redirect_uris, or a secret_file for a program that acts in its own name.")
    if secret is not None and len(secret.reveal()) < 32:
        raise SettingsError(f"{where} has a secret of less than 32 characters. Make one: openssl rand -hex 32")
    return RegisteredClient(
        id=client_id,
        source=ClientSource.SETTINGS,
        name=name or client_id,
        redirect_uris=tuple(redirect_uris),
        grant_types=GRANT_TYPES if redirect_uris else frozenset({"client_credentials"}),
        auth_method="client_secret_basic" if secret else "none",
        secret_digest=secret_digest_of(secret.reveal()) if secret else None,
    )

"""The vocabulary of the built-in authorization server: its clients, and what people let them have.

Plain, immutable values, as `gateway.types`; RFC spellings where a value is one of an RFC's. Secrets are here only as
digests or sealed. Above: the store's rows, `gateway.authorization`, its surface.

Source: RFC 6749, RFC 7591; OAuth Client ID Metadata Document (draft-ietf-oauth-client-id-metadata-document).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.types import Principal

KEY = "private_key_jwt"
"""The way to prove oneself by a signature, as RFC 7591's `token_endpoint_auth_method` calls it."""


class ClientSource(StrEnum):
    """Where a client's description is from: the settings, `atp-gateway clients add`, its own registration, the document
    that its id leads to."""

    SETTINGS = "settings"
    OPERATOR = "operator"
    REGISTRATION = "registration"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A program that may ask people for access. All but `id` and `source` is what it, or the operator, says of it.

    `auth_method` is how it has to prove itself: "none" for a public client, KEY by a signature, else by its secret, of
    which `secret_digest` is the SHA-256. `keys` are its public ones: a JWK set as JSON, or the address of one.
    `used_at` is when a person first let it in.
    """

    id: str
    source: ClientSource
    name: str
    redirect_uris: tuple[str, ...]
    grant_types: frozenset[str]
    auth_method: str = "none"
    application_type: str = "web"
    secret_digest: bytes | None = field(default=None, repr=False)
    keys: str | None = None
    created_at: datetime | None = None
    used_at: datetime | None = None

    @property
    def is_public(self) -> bool:
        """Whether it need not prove itself: anybody may pretend to be it."""
        return self.auth_method == "none"


@dataclass(frozen=True, slots=True)
class GivenConsent:
    """That this person let this client have these scopes, delivered to this very redirect URI."""

    principal: Principal
    client_id: str
    redirect_uri: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """What a client exchanges for tokens. `id` is the code's SHA-256; everything else is what it is bound to.

    `redirect_uri_sent`: whether the client named it, and so has to name it again. `by_key`: whether the client has to
    prove itself by its key. `grant_id` is the grant that the code became, once it was used.
    """

    id: str
    principal: Principal
    client_id: str
    client_name: str
    redirect_uri: str
    redirect_uri_sent: bool
    challenge: str
    resource: str
    scopes: frozenset[str]
    groups: frozenset[str]
    refreshable: bool
    expires_at: datetime
    by_key: bool = False
    used_at: datetime | None = None
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """That a client may act for a person: the family of all tokens that came of one consent. Revoked as a whole.

    `by_key`: whether the client has to prove itself by its key, as it did when it was given the grant.
    """

    id: str
    principal: Principal
    client_id: str
    client_name: str
    resource: str
    scopes: frozenset[str]
    groups: frozenset[str]
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    by_key: bool = False
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One refresh token of a grant's chain. `id` is its SHA-256, `successor` that of what it was exchanged for."""

    id: str
    grant_id: str
    created_at: datetime
    expires_at: datetime
    replaced_at: datetime | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs access tokens from `signs_from` until the next generation does. `sealed` is its private JWK."""

    id: str
    generation: int
    signs_from: datetime
    created_at: datetime
    sealed: bytes = field(repr=False)

"""What an authorization server remembers: people, clients, codes, tokens; and the rules for handing them out.

The half of the fake that knows nothing of HTTP. Every code and token belongs to a Grant, one person's consent to one
client: revoke the grant and all of them are dead. Rules: OAuth 2.1 (draft-ietf-oauth-v2-1), PKCE (RFC 7636), refresh
token rotation with reuse detection (RFC 9700 section 4.14).

Above: `gateway.testing.authorization_server`, and `crm`, which asks whose token it was handed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.testing.behaviour import Behaviour

CODE_LIFETIME = timedelta(minutes=1)
MARK = "fake-CNRY-"
"""What every code and token of this fake begins with."""


class RefusalError(Exception):
    """An OAuth error answer: RFC 6749 sections 4.1.2.1 and 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with an account. `name` is what they type to sign in."""

    name: str
    full_name: str

    @property
    def subject(self) -> str:
        return f"user-{hashlib.sha256(self.name.encode()).hexdigest()[:12]}"

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """An app's registration. Without a secret it is a public client.

    A redirect URI must match exactly; one on 127.0.0.1 or [::1] that names no port matches any port (RFC 8252 §7.3).
    """

    id: str
    secret: str | None = field(repr=False)
    redirect_uris: tuple[str, ...]

    def may_redirect_to(self, uri: str) -> bool:
        return uri in self.redirect_uris or _without_port(uri) in self.redirect_uris


def _without_port(uri: str) -> str | None:
    """A loopback URI without its port; None for any other."""
    try:
        parts = urlsplit(uri)
        host = {"127.0.0.1": "127.0.0.1", "::1": "[::1]"}[parts.hostname or ""]
    except (ValueError, KeyError):
        return None
    return parts._replace(netloc=host).geturl() if parts.scheme == "http" and "@" not in parts.netloc else None


@dataclass(slots=True, eq=False)
class Grant:
    """One person's consent to one client."""

    client_id: str
    person: Person
    scopes: frozenset[str]
    revoked: bool = False


@dataclass(slots=True, eq=False)
class Code:
    """An authorization code, bound to everything it was asked for with."""

    grant: Grant
    redirect_uri: str
    challenge: str
    nonce: str | None
    expires_at: datetime
    used: bool = False


@dataclass(slots=True, eq=False)
class RefreshToken:
    grant: Grant
    rotated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class AccessToken:
    grant: Grant
    scopes: frozenset[str]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Issued:
    """One good answer of the token endpoint. `refresh_token` is None where the client keeps the one it has."""

    grant: Grant
    scopes: frozenset[str]
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    nonce: str | None = None


class Grants:
    """The memory of one server."""

    def __init__(self, behaviour: Behaviour, clock: Clock) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._grants: list[Grant] = []
        self._codes: dict[str, Code] = {}
        self._access: dict[str, AccessToken] = {}
        self._refresh: dict[str, RefreshToken] = {}

    def put_code(self, grant: Grant, redirect_uri: str, challenge: str, nonce: str | None) -> str:
        """A fresh authorization code for what a person has just agreed to."""
        value = _fresh()
        self._grants.append(grant)
        self._codes[value] = Code(grant, redirect_uri, challenge, nonce, self._clock.now() + CODE_LIFETIME)
        return value

    def redeem(self, client_id: str, value: str, redirect_uri: str, verifier: str) -> Issued:
        """Tokens for a code, once. A second try with the same code revokes what the first one gave."""
        code = self._codes.get(value)
        if code is None or code.grant.client_id != client_id:
            raise RefusalError("invalid_grant", "The code is unknown.")
        if code.used:
            code.grant.revoked = True
            raise RefusalError("invalid_grant", "The code was used before; its tokens are revoked.")
        code.used = True
        if code.expires_at <= self._clock.now():
            raise RefusalError("invalid_grant", "The code has expired.")
        if code.grant.revoked:
            raise RefusalError("invalid_grant", "The grant was revoked.")
        if code.redirect_uri != redirect_uri:
            raise RefusalError("invalid_grant", "redirect_uri is not the one of the authorization request.")
        if not hmac.compare_digest(_challenge_of(verifier).encode(), code.challenge.encode()):
            raise RefusalError("invalid_grant", "code_verifier does not match the code_challenge.")
        refresh_token = self._put_refresh(code.grant) if self._behaviour.refreshable else None
        return self._issue(code.grant, code.grant.scopes, refresh_token, code.nonce)

    def issue(self, grant: Grant) -> Issued:
        """Tokens for a grant that came about some other way."""
        self._grants.append(grant)
        return self._issue(grant, grant.scopes, self._put_refresh(grant))

    def refresh(self, client_id: str, value: str, scopes: frozenset[str]) -> Issued:
        """A new access token; `scopes` may be fewer than were granted, and empty means all of them."""
        found = self._refresh.get(value)
        if found is None or found.grant.client_id != client_id:
            raise RefusalError("invalid_grant", "The refresh token is unknown.")
        if found.rotated:
            found.grant.revoked = True
            raise RefusalError(
                "invalid_grant", "The refresh token was replaced before; all its successors are revoked."
            )
        if found.grant.revoked:
            raise RefusalError("invalid_grant", "The grant was revoked.")
        if not scopes <= found.grant.scopes:
            raise RefusalError("invalid_scope", "A refresh cannot ask for more than was granted.")
        found.rotated = self._behaviour.rotates
        successor = self._put_refresh(found.grant) if found.rotated else None
        return self._issue(found.grant, scopes or found.grant.scopes, successor)

    def find_access(self, value: str) -> AccessToken | None:
        """A token of ours, alive or not: see `is_live`."""
        return self._access.get(value)

    def is_live(self, token: AccessToken) -> bool:
        return not token.grant.revoked and token.expires_at > self._clock.now()

    def find_grant(self, value: str) -> Grant | None:
        """The grant that an access or refresh token belongs to."""
        found = self._access.get(value) or self._refresh.get(value)
        return found.grant if found else None

    def find_live_refresh(self, value: str) -> RefreshToken | None:
        found = self._refresh.get(value)
        return found if found and not found.rotated and not found.grant.revoked else None

    def leaks_into(self, text: str) -> bool:
        """Whether a code or token that was ever issued stands in the text."""
        return any(value in text for value in (*self._codes, *self._access, *self._refresh))

    def revoke_all(self, name: str) -> None:
        """End every grant of this person, as they would on the provider's "connected apps" page."""
        for grant in self._grants:
            if grant.person.name == name:
                grant.revoked = True

    def _issue(
        self, grant: Grant, scopes: frozenset[str], refresh_token: str | None, nonce: str | None = None
    ) -> Issued:
        value, now = _fresh(), self._clock.now()
        self._access[value] = AccessToken(grant, scopes, now, now + self._behaviour.access_lifetime)
        return Issued(grant, scopes, value, refresh_token, nonce)

    def _put_refresh(self, grant: Grant) -> str:
        value = _fresh()
        self._refresh[value] = RefreshToken(grant)
        return value


def _fresh() -> str:
    """A code or token: unguessable, and marked so that a leaked one is found by searching for the mark."""
    return f"{MARK}{secrets.token_urlsafe(32)}"


def _challenge_of(verifier: str) -> str:
    """S256, RFC 7636 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

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
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.testing.behaviour import Behaviour
from gateway.testing.log import Shown

CODE_LIFETIME = timedelta(minutes=1)
MARK = "fake-CNRY-"
"""What every code and token of this fake begins with."""


class RefusalError(Exception):
    """An OAuth error answer: RFC 6749 sections 4.1.2.1 and 5.2.

    `reason` is one word for what was wrong, finer than the error code: vendors word their answers by it.
    """

    def __init__(self, error: str, description: str, reason: str = "") -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.reason = reason or error


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


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request that passed the checks and waits for a person. `params` are all that it came with."""

    client: RegisteredClient
    redirect_uri: str
    params: Mapping[str, str]

    @property
    def scopes(self) -> frozenset[str]:
        """Those that a person is asked for: HubSpot has a second parameter for the ones that may be left out."""
        return frozenset(f"{self.params.get('scope', '')} {self.params.get('optional_scope', '')}".split())

    @property
    def prompt(self) -> list[str]:
        return self.params.get("prompt", "").split()

    @property
    def challenge(self) -> str | None:
        return self.params.get("code_challenge")

    @property
    def state(self) -> str | None:
        return self.params.get("state")

    @property
    def nonce(self) -> str | None:
        return self.params.get("nonce")


@dataclass(slots=True, eq=False)
class Grant:
    """One person's consent to one client. `number` counts a server's grants from 1."""

    client_id: str
    person: Person
    scopes: frozenset[str]
    offline: bool = True
    """Whether a refresh token comes with it."""
    revoked: bool = False
    number: int = 0
    given: Counter[str] = field(default_factory=Counter)
    """How many tokens of each kind it has led to."""


@dataclass(slots=True, eq=False)
class Code:
    """An authorization code, bound to everything it was asked for with."""

    grant: Grant
    redirect_uri: str
    challenge: str | None
    nonce: str | None
    expires_at: datetime
    used: bool = False


@dataclass(slots=True, eq=False)
class RefreshToken:
    """`used_at` is when it last did its work; `replaced_at` when it got a successor."""

    grant: Grant
    generation: int
    issued_at: datetime
    used_at: datetime
    replaced_at: datetime | None = None
    parent: RefreshToken | None = field(default=None, repr=False)
    successor_used: bool = False
    revoked: bool = False


@dataclass(slots=True, eq=False)
class AccessToken:
    grant: Grant
    generation: int
    scopes: frozenset[str]
    issued_at: datetime
    expires_at: datetime
    refresh: RefreshToken | None = field(default=None, repr=False)
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """One good answer of the token endpoint. `refresh_token` is None where the client keeps the one it has."""

    grant: Grant
    scopes: frozenset[str]
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    issued_at: datetime
    generation: int | None = None
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

    def put_code(self, grant: Grant, redirect_uri: str, challenge: str | None, nonce: str | None) -> str:
        """A fresh authorization code for what a person has just agreed to."""
        value = _fresh()
        self._put_grant(grant)
        self._codes[value] = Code(grant, redirect_uri, challenge, nonce, self._clock.now() + CODE_LIFETIME)
        return value

    def redeem(self, client_id: str, value: str, redirect_uri: str, verifier: str) -> Issued:
        """Tokens for a code, once. A second try with the same code revokes what the first one gave."""
        code = self._codes.get(value)
        if code is None or code.grant.client_id != client_id:
            raise RefusalError("invalid_grant", "The code is unknown.", "unknown_code")
        if code.used:
            code.grant.revoked = True
            raise RefusalError("invalid_grant", "The code was used before; its tokens are revoked.", "used_code")
        code.used = True
        if code.expires_at <= self._clock.now():
            raise RefusalError("invalid_grant", "The code has expired.", "expired_code")
        if code.grant.revoked:
            raise RefusalError("invalid_grant", "The grant was revoked.", "revoked")
        if code.redirect_uri != redirect_uri:
            wrong = "redirect_uri is not the one of the authorization request."
            raise RefusalError("invalid_grant", wrong, "redirect_uri")
        if code.challenge and not hmac.compare_digest(_challenge_of(verifier).encode(), code.challenge.encode()):
            raise RefusalError("invalid_grant", "code_verifier does not match the code_challenge.", "verifier")
        offline = self._behaviour.refreshable and code.grant.offline
        refresh = self._put_refresh(code.grant) if offline else (None, None)
        return self._issue(code.grant, code.grant.scopes, refresh, code.nonce)

    def issue(self, grant: Grant) -> Issued:
        """Tokens for a grant that came about some other way."""
        self._put_grant(grant)
        return self._issue(grant, grant.scopes, self._put_refresh(grant))

    def refresh(self, client_id: str, value: str, scopes: frozenset[str]) -> Issued:
        """A new access token; `scopes` may be fewer than were granted, and empty means all of them."""
        found = self._refresh.get(value)
        if found is None or found.grant.client_id != client_id:
            raise RefusalError("invalid_grant", "The refresh token is unknown.", "unknown")
        if found.grant.revoked or found.revoked:
            raise RefusalError("invalid_grant", "The grant was revoked.", "revoked")
        if self._has_ended(found):
            raise RefusalError("invalid_grant", "The refresh token has expired.", "expired")
        if found.replaced_at is not None and not self._may_return(found):
            found.grant.revoked = self._behaviour.reuse_revokes
            after = "; all its successors are revoked" if found.grant.revoked else ""
            raise RefusalError("invalid_grant", f"The refresh token was replaced before{after}.", "replaced")
        if not scopes <= found.grant.scopes:
            raise RefusalError("invalid_scope", "A refresh cannot ask for more than was granted.")
        found.used_at = self._clock.now()
        _mark_used(found)
        if self._behaviour.rotates:
            found.replaced_at = found.replaced_at or found.used_at
            return self._issue(found.grant, scopes or found.grant.scopes, self._put_refresh(found.grant, found))
        again = value if self._behaviour.repeats_refresh_token else None
        return self._issue(found.grant, scopes or found.grant.scopes, (again, found))

    def find_access(self, value: str) -> AccessToken | None:
        """A token of ours, alive or not: see `is_live`."""
        return self._access.get(value)

    def is_live(self, token: AccessToken) -> bool:
        return not token.grant.revoked and not token.revoked and token.expires_at > self._clock.now()

    def touch(self, token: AccessToken) -> None:
        """The token was used: its session may slide, and the refresh token before it may be over for good."""
        if self._behaviour.slides:
            token.expires_at = self._clock.now() + self._behaviour.access_lifetime
        if token.refresh is not None:
            _mark_used(token.refresh)

    def find_grant(self, value: str) -> Grant | None:
        """The grant that an access or refresh token belongs to."""
        found = self._access.get(value) or self._refresh.get(value)
        return found.grant if found else None

    def find_live_refresh(self, value: str) -> RefreshToken | None:
        found = self._refresh.get(value)
        if found is None or found.grant.revoked or found.revoked or self._has_ended(found):
            return None
        return found if found.replaced_at is None or self._may_return(found) else None

    def shown(self, value: str) -> Shown | None:
        """The name by which a log may speak of a code or token; None for one that is not ours."""
        if value in self._codes:
            return Shown("code", self._codes[value].grant.number, 1)
        if access := self._access.get(value):
            return Shown("access_token", access.grant.number, access.generation)
        if refresh := self._refresh.get(value):
            return Shown("refresh_token", refresh.grant.number, refresh.generation)
        return None

    def leaks_into(self, text: str) -> bool:
        """Whether a code or token that was ever issued stands in the text."""
        return any(value in text for value in (*self._codes, *self._access, *self._refresh))

    def of(self, client_id: str, person: Person) -> list[Grant]:
        """The grants of a person to a client that still hold, oldest first."""
        return [g for g in self._grants if (g.client_id, g.person) == (client_id, person) and not g.revoked]

    def revoke_all(self, name: str) -> None:
        """End every grant of this person, as they would on the provider's "connected apps" page."""
        for grant in self._grants:
            if grant.person.name == name:
                grant.revoked = True

    def revoke_access(self, name: str) -> None:
        """End this person's access tokens before their time, and leave the refresh tokens."""
        for token in self._access.values():
            if token.grant.person.name == name:
                token.revoked = True

    def revoke_refresh(self, grant: Grant) -> None:
        """End a grant's refresh tokens; its access tokens live on for their time."""
        for token in self._refresh.values():
            if token.grant is grant:
                token.revoked = True

    def _put_grant(self, grant: Grant) -> None:
        self._grants.append(grant)
        grant.number = len(self._grants)

    def _may_return(self, token: RefreshToken) -> bool:
        """Whether a replaced refresh token still does."""
        if self._behaviour.reuse_until_used and not token.successor_used:
            return True
        replaced_at = token.replaced_at or self._clock.now()
        return self._clock.now() - replaced_at < self._behaviour.reuse_window

    def _has_ended(self, token: RefreshToken) -> bool:
        now, idle, life = self._clock.now(), self._behaviour.refresh_idle, self._behaviour.refresh_life
        return (idle is not None and now - token.used_at >= idle) or (
            life is not None and now - token.issued_at >= life
        )

    def _issue(
        self,
        grant: Grant,
        scopes: frozenset[str],
        renewable: tuple[str | None, RefreshToken | None],
        nonce: str | None = None,
    ) -> Issued:
        refresh_token, refresh = renewable
        value, now = _fresh(), self._clock.now()
        expires_at = now + self._behaviour.access_lifetime
        self._access[value] = AccessToken(grant, _next(grant, "access_token"), scopes, now, expires_at, refresh)
        generation = refresh.generation if refresh else None
        return Issued(grant, scopes, value, refresh_token, now, generation, nonce)

    def _put_refresh(self, grant: Grant, parent: RefreshToken | None = None) -> tuple[str, RefreshToken]:
        """A refresh token. The life of a family counts from its first one."""
        value, now = _fresh(), self._clock.now()
        since = parent.issued_at if parent else now
        made = RefreshToken(grant, _next(grant, "refresh_token"), since, now, parent=parent)
        self._refresh[value] = made
        self._hold_the_cap(grant)
        return value, made

    def _hold_the_cap(self, grant: Grant) -> None:
        if (most := self._behaviour.most_grants) is None:
            return
        live = {t.grant.number: t.grant for t in self._refresh.values() if not t.revoked and not t.grant.revoked}
        mine = [g for _, g in sorted(live.items()) if (g.client_id, g.person) == (grant.client_id, grant.person)]
        for oldest in mine[:-most]:
            self.revoke_refresh(oldest)


def _next(grant: Grant, kind: str) -> int:
    grant.given[kind] += 1
    return grant.given[kind]


def _mark_used(token: RefreshToken) -> None:
    if token.parent is not None:
        token.parent.successor_used = True


def _fresh() -> str:
    """A code or token: unguessable, and marked so that a leaked one is found by searching for the mark."""
    return f"{MARK}{secrets.token_urlsafe(32)}"


def _challenge_of(verifier: str) -> str:
    """S256, RFC 7636 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

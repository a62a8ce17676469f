"""Clients that register themselves: what they may ask for, and what they get.

Anybody may do so, unasked, so it is worth nothing by itself: a person is asked about the client each time, with the
place that the answer goes to. What nobody lets in within a day is deleted, and there is a limit to how many such wait.
What we do not know of a registration is not our business and is left out; of several redirect URIs those count that
can be used. A client that does not say how it will prove itself gets a secret if it is a web site. A program on a
person's machine, which runs several times over and reads its tokens from a file, gets none.

Below: redirect_uris, the store's rows. Above: the surface. Source: RFC 7591, OpenID Connect Dynamic Registration 1.0
(`application_type`), RFC 8252 section 8.4.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.audit import AuditLog
from gateway.authorization.allowance import Allowance
from gateway.authorization.client_keys import keys_in
from gateway.authorization.digests import new_secret, secret_digest_of
from gateway.authorization.documents import GRANT_TYPES, LONGEST_NAME, MOST_REDIRECT_URIS
from gateway.authorization.redirect_uris import PlaceKind, may_be_registered, place_of
from gateway.authorization_types import KEY, ClientSource, RegisteredClient
from gateway.clock import Clock
from gateway.errors import AuthorizationError
from gateway.secret import Secret
from gateway.store.client_rows import ClientRows
from gateway.types import Principal

UNUSED_FOR = timedelta(days=1)
MOST_UNUSED = 5000
EACH, TOGETHER = 30, 240
"""Registrations a minute. Hosted hosts register for all their people from a few addresses, twice an attempt."""
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", KEY)

_NOBODY = Principal("atp-gateway", "registration")


class TooManyError(AuthorizationError):
    """`seconds` until it may be tried again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("temporarily_unavailable", "Too many programs register at once. Try again later.", 429)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Registered:
    """A new client, and its secret, which is shown this once; None for a public one."""

    client: RegisteredClient
    secret: Secret | None

    def answer(self, scope: str | None) -> dict[str, Any]:
        """What the client is told (RFC 7591 section 3.2.1)."""
        client, created = self.client, self.client.created_at
        told: dict[str, Any] = {
            "client_id": client.id,
            "client_id_issued_at": int(created.timestamp()) if created else 0,
            "client_name": client.name,
            "redirect_uris": list(client.redirect_uris),
            "grant_types": sorted(client.grant_types),
            "response_types": ["code"],
            "token_endpoint_auth_method": client.auth_method,
            "application_type": client.application_type,
        }
        if client.keys is not None:
            is_set = client.keys.startswith("{")
            told |= {"jwks": json.loads(client.keys)} if is_set else {"jwks_uri": client.keys}
        if self.secret is not None:
            told |= {"client_secret": self.secret.reveal(), "client_secret_expires_at": 0}
        return told if scope is None else told | {"scope": scope}


class Registration:
    """`timer` counts seconds, as `time.monotonic` does."""

    def __init__(
        self,
        rows: ClientRows,
        audit: AuditLog,
        clock: Clock,
        *,
        scopes: Collection[str],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._audit = audit
        self._clock = clock
        self._scopes = scopes
        self._allowance = Allowance(EACH, TOGETHER, timer)

    async def register(self, asked: Mapping[str, Any], peer: str) -> dict[str, Any]:
        """Register a client; what it is told. `peer` is the address that asks. AuthorizationError, TooManyError."""
        if seconds := self._allowance.wait_for(peer):
            raise TooManyError(seconds)
        if await self._rows.count_unused() >= MOST_UNUSED:
            raise TooManyError(int(UNUSED_FOR.total_seconds()))
        asked = {name: value for name, value in asked.items() if value is not None}  # null is how some say nothing
        registered = self._make(asked)
        client, done = registered.client, "done"
        event = self._audit.event(_NOBODY, "client.registered", done, client=client.name or None, reference=client.id)
        await self._rows.insert(client, event)
        return registered.answer(self._scope(asked))

    async def prune(self) -> int:
        """Delete the clients that nobody has let in for a day; how many they were."""
        return await self._rows.prune(self._clock.now() - UNUSED_FOR)

    def _make(self, asked: Mapping[str, Any]) -> Registered:
        redirect_uris = _redirect_uris(asked)
        is_site = any(place_of(uri).kind is PlaceKind.SITE for uri in redirect_uris)
        method = asked.get("token_endpoint_auth_method", "client_secret_basic" if is_site else "none")
        if method not in AUTH_METHODS:
            raise _unusable(f"token_endpoint_auth_method is one of {', '.join(AUTH_METHODS)}.")
        if "code" not in _words(asked, "response_types", ["code"]):
            raise _unusable("response_types has to have code.")
        grant_types = GRANT_TYPES & frozenset(_words(asked, "grant_types", [*GRANT_TYPES]))
        if "authorization_code" not in grant_types:
            raise _unusable("grant_types has to have authorization_code.")
        name = asked.get("client_name", "")
        if not isinstance(name, str):
            raise _unusable("client_name is text.")
        keys = keys_in(asked) if method == KEY else None
        if method == KEY and keys is None:
            raise _unusable("private_key_jwt needs jwks with public keys for signatures, or a jwks_uri.")
        secret = None if method in ("none", KEY) else new_secret("atpg_client_")
        client = RegisteredClient(
            id=f"client_{secrets.token_hex(16)}",
            source=ClientSource.REGISTRATION,
            name=name.strip()[:LONGEST_NAME],
            redirect_uris=redirect_uris,
            grant_types=grant_types,
            auth_method=method,
            application_type="native" if asked.get("application_type") == "native" else "web",
            secret_digest=secret_digest_of(secret.reveal()) if secret else None,
            keys=keys,
            created_at=self._clock.now(),
        )
        return Registered(client, secret)

    def _scope(self, asked: Mapping[str, Any]) -> str | None:
        scope = asked.get("scope")
        return " ".join(s for s in scope.split() if s in self._scopes) if isinstance(scope, str) else None


def _redirect_uris(asked: Mapping[str, Any]) -> tuple[str, ...]:
    sent = asked.get("redirect_uris")
    if not isinstance(sent, list) or not sent or len(sent) > MOST_REDIRECT_URIS:
        raise AuthorizationError("invalid_redirect_uri", f"redirect_uris lists 1 to {MOST_REDIRECT_URIS} addresses.")
    usable = tuple(dict.fromkeys(uri for uri in sent if may_be_registered(uri)))
    if not usable:
        raise AuthorizationError(
            "invalid_redirect_uri",
            "None of redirect_uris can be used. Use https, or http at 127.0.0.1, [::1] or localhost, or the app's own "
            "scheme, which is its domain turned round, such as com.example.app:/callback. No fragment, no user name.",
        )
    return usable


def _words(asked: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    words = asked.get(name, default)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _unusable(f"{name} is a list of words.")
    return words or default


def _unusable(why: str) -> AuthorizationError:
    return AuthorizationError("invalid_client_metadata", why)

"""The access token: a signed JWT for our own tools, made here and read here.

It lives ten minutes. Reading one also asks whether its grant is still alive; what was found is believed for two
seconds, then a revocation bites, whichever process it was made in. No header of a token chooses how it is checked: one
algorithm, keys of our own by their ids, and nothing but the three headers that we write.

Below: signing_keys, people, the store's rows, joserfc. Above: grants, whoever guards the tools.
Source: RFC 9068, RFC 8725.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from gateway.authorization.people import PROGRAM, Present, unchanged
from gateway.authorization.signing_keys import ALGORITHM, SigningKeys
from gateway.authorization_types import AccessGrant
from gateway.clock import Clock
from gateway.secret import Secret
from gateway.store.grant_rows import GrantRows
from gateway.types import Access, AccessKind, Principal

LIFE = timedelta(minutes=10)
KEPT_FOR = 2.0  # seconds
MOST_KEPT = 10_000
LONGEST = 4096  # characters
TYPE = "at+jwt"
_HEADERS = {"alg", "kid", "typ"}
_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    access: Access | None


class AccessTokens:
    """`timer` counts seconds, as `time.monotonic` does."""

    def __init__(
        self,
        keys: SigningKeys,
        grants: GrantRows,
        clock: Clock,
        *,
        issuer: str,
        resource: str,
        present: Present = unchanged,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._grants = grants
        self._clock = clock
        self._issuer = issuer
        self._resource = resource
        self._present = present
        self._timer = timer
        self._kept: dict[bytes, _Kept] = {}

    async def make(self, grant: AccessGrant, scopes: frozenset[str]) -> Secret:
        """A token for this grant, of these of its scopes."""
        now, key = self._clock.now(), await self._keys.signing()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": grant.resource,
            "sub": grant.principal.subject,
            "client_id": grant.client_id,
            "scope": " ".join(sorted(scopes)),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFE).timestamp()),
            "jti": secrets.token_urlsafe(16),
            "grant_id": grant.id,
        }
        return Secret(jwt.encode({"typ": TYPE, "alg": ALGORITHM, "kid": key.kid}, claims, key))

    async def find(self, text: str) -> Access | None:
        """What the token lets its bearer do; None if it is none of ours, or no good any more."""
        if len(text) > LONGEST or not text.isascii():
            return None
        digest = hashlib.sha256(text.encode()).digest()
        kept = self._kept.get(digest)
        if kept is None or self._timer() >= kept.until:
            kept = await self._look(text, digest)
        access = kept.access
        return access if access and access.expires_at and self._clock.now() < access.expires_at else None

    def forget(self) -> None:
        """Believe nothing any more: a grant has just been revoked here."""
        self._kept.clear()

    async def claims(self, text: str) -> dict[str, Any] | None:
        """The claims of a token that we have signed, for us, whether or not it is still any good."""
        try:
            header = jws.extract_compact(text.encode()).headers()
            key_id = header.get("kid")
            if header.keys() != _HEADERS or header["typ"] != TYPE or not isinstance(key_id, str):
                return None
            key = await self._keys.find(key_id)
            claims = jwt.decode(text, key, algorithms=[ALGORITHM]).claims if key else {}
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        is_ours = claims.get("iss") == self._issuer and claims.get("aud") == self._resource
        return claims if is_ours and isinstance(claims.get("grant_id"), str) else None

    async def person_of(self, grant: AccessGrant) -> Principal | None:
        """Whose grant it is, as they are now; None if they may not come in any more."""
        whose = replace(grant.principal, groups=grant.groups)
        is_program = whose.issuer == self._issuer and whose.subject.startswith(PROGRAM)
        return whose if is_program else await self._present(whose)

    async def _look(self, text: str, digest: bytes) -> _Kept:
        until = self._timer() + KEPT_FOR
        claims = await self.claims(text)
        kept = _Kept(until, await self._access(claims) if claims else None)
        self._kept.pop(digest, None)
        if kept.access is not None:  # what is no good is not kept: there is no end of it
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[digest] = kept
        return kept

    async def _access(self, claims: dict[str, Any]) -> Access | None:
        now, issued, expires = self._clock.now(), _time(claims.get("iat")), _time(claims.get("exp"))
        if issued is None or expires is None:
            return None
        if issued > now + _SKEW or expires <= now or expires > issued + LIFE:
            return None
        grant = await self._grants.find(claims["grant_id"])
        if grant is None or not grant.is_live(now) or grant.client_id != claims.get("client_id"):
            return None
        person = await self.person_of(grant)
        if person is None:
            return None
        return Access(
            person,
            client=grant.client_id,
            scopes=frozenset(str(claims.get("scope", "")).split()) & grant.scopes,
            kind=AccessKind.TOKEN,
            expires_at=expires,
            grant_id=grant.id,
        )


def _time(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if type(seconds) is int and 0 <= seconds < 1 << 33 else None

"""A client's proof by its key: a JWT that it signs for each request (`private_key_jwt`).

It is addressed to this server, lives an hour at most, and is good once, at whichever process it is shown. Which keys
are the client's is what its document or registration says, never what the token brings.

Below: client_keys, `gateway.jose`. Above: client_proof.
Source: RFC 7521 section 4.2, RFC 7523 section 3; OpenID Connect Core 1.0 section 9 (`jti`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.authorization.client_keys import ClientKeys
from gateway.authorization_types import RegisteredClient
from gateway.clock import Clock
from gateway.errors import AuthorizationError
from gateway.jose.signature import is_acceptable, signed_claims
from gateway.jose.token_parts import claims_of, header_of

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE = timedelta(hours=1)
SKEW = timedelta(seconds=60)
_TYPES = ("jwt", "client-authentication+jwt", "")
_LONGEST_ID = 255

Claim = Callable[[str, datetime], Awaitable[bool]]
"""Whether nobody has claimed this name yet. It is remembered until the time."""


class Assertions:
    """`issuer` is this server. `claim` makes each assertion good once."""

    def __init__(self, keys: ClientKeys, claim: Claim, clock: Clock, *, issuer: str) -> None:
        self._keys = keys
        self._claim = claim
        self._clock = clock
        self._names = {issuer, f"{issuer}/", f"{issuer}/token", f"{issuer}/revoke"}

    def subject(self, text: str) -> str:
        """Who the assertion says it is of. Nothing has been verified. AuthorizationError where it says nothing."""
        claims = claims_of(text)
        subject = claims.get("sub") if claims else None
        if not isinstance(subject, str) or not subject:
            raise _refused("The client_assertion cannot be read.")
        return subject

    async def check(self, text: str, client: RegisteredClient) -> None:
        """AuthorizationError unless the client has signed this for us, now, for the first time."""
        header, said = header_of(text), claims_of(text)
        if header is None or said is None:
            raise _refused("The client_assertion cannot be read.")
        if not is_acceptable(header) or str(header.get("typ", "")).lower() not in _TYPES:
            raise _refused("The client_assertion is not signed in a way that is accepted here.")
        until = self._end(said, client.id)
        candidates = await self._keys.candidates(client, header.get("kid"), header["alg"])
        if not any(signed_claims(text, key) for key in candidates):
            raise _refused("The client_assertion is signed by none of the client's keys.")
        if not await self._claim(_name(client.id, said["jti"]), until + SKEW):
            raise _refused("The client_assertion was used before. Sign a new one for each request.")

    def _end(self, said: Mapping[str, Any], client_id: str) -> datetime:
        """When the assertion ends. AuthorizationError where it is none of this client's for this server, now."""
        audience, name, now = said.get("aud"), said.get("jti"), self._clock.now()
        audiences = audience if isinstance(audience, list) else [audience]
        if said.get("iss") != client_id or said.get("sub") != client_id:
            raise _refused("The client_assertion's iss and sub have to be the client_id.")
        if not any(isinstance(each, str) and each in self._names for each in audiences):
            raise _refused("The client_assertion's aud is not this server's issuer.")
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_ID:
            raise _refused("The client_assertion needs a jti, by which it is known to be used once.")
        ends = _time(said, "exp")
        if ends is None or ends <= now - SKEW or ends > now + LONGEST_LIFE + SKEW:
            raise _refused("The client_assertion has expired, or its exp is more than an hour away.")
        if any((_time(said, begins) or now) > now + SKEW for begins in ("iat", "nbf")):
            raise _refused("The client_assertion is from the future. Is the client's clock right?")
        return ends


def _time(said: Mapping[str, Any], name: str) -> datetime | None:
    seconds = said.get(name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise _refused(f"The client_assertion's {name} is no time.") from None


def _name(client_id: str, name: str) -> str:
    return hashlib.sha256(f"{client_id}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()


def _refused(why: str) -> AuthorizationError:
    return AuthorizationError("invalid_client", why, 401)

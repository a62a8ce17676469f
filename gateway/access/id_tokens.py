"""The ID token: what the company's identity provider says, and signs, about who has just signed in there.

Checked as strictly as an access token: a fixed list of algorithms, a key that the provider publishes, and nothing in
the token that chooses how it is checked. It has to be for us, for this very sign-in, and fresh.

Below: issuer, `gateway.jose`. Above: company_login. Source: OpenID Connect Core 1.0 section 3.1.3.7; RFC 8725.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.access.issuer import Issuer
from gateway.errors import SignInError
from gateway.jose.signature import is_acceptable, signed_claims
from gateway.jose.token_parts import header_of

LEEWAY = timedelta(seconds=60)
_LONGEST = 16_384
_LONGEST_SUBJECT = 255


async def read_id_token(
    token: object, issuer: Issuer, *, client_id: str, nonce: str, now: datetime, since: datetime | None = None
) -> Mapping[str, Any]:
    """The claims. SignInError for a token that is not good; IssuerUnavailableError while keys are not known.

    `since`: the person was to prove who they are after this. A provider that does not tell when they did is believed.
    """
    if not isinstance(token, str) or len(token) > _LONGEST:
        raise _wrong("it sent no ID token")
    claims = await _verified(token, issuer)
    _check(claims, issuer.url, client_id, nonce)
    _check_times(claims, now)
    if since is not None:
        _check_anew(claims, since)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise _wrong("its ID token does not say who you are")
    return claims


async def _verified(token: str, issuer: Issuer) -> Mapping[str, Any]:
    header = header_of(token)
    if header is None:
        raise _wrong("its ID token cannot be read")
    if not is_acceptable(header) or not isinstance(header.get("kid"), str):
        raise _wrong("its ID token is not signed in a way that this gateway accepts")
    key = await issuer.key(header["kid"])
    if key is None or key.get("alg", header["alg"]) != header["alg"]:
        raise _wrong("its ID token is not signed by a key of its own")
    claims = signed_claims(token, key)
    if claims is None:
        raise _wrong("the signature of its ID token is wrong")
    return claims


def _check(claims: Mapping[str, Any], issuer: str, client_id: str, nonce: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != issuer:
        raise _wrong("its ID token names another issuer")
    if client_id not in audiences or claims.get("azp", client_id) != client_id:
        raise _wrong("its ID token is for another application")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _wrong("its ID token is from another sign-in")


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    issued, ends = claims.get("iat"), claims.get("exp")
    if any(isinstance(at, bool) or not isinstance(at, int | float) for at in (issued, ends)):
        raise _wrong("its ID token does not say when it was made")
    if now.timestamp() >= float(ends or 0) or float(issued or 0) > (now + LEEWAY).timestamp():
        raise _wrong("its ID token is not of this moment. A clock may be wrong, the gateway's or its own")


def _check_anew(claims: Mapping[str, Any], since: datetime) -> None:
    proved = claims.get("auth_time", since.timestamp())
    if isinstance(proved, bool) or not isinstance(proved, int | float) or proved < (since - LEEWAY).timestamp():
        raise _wrong("without asking you anew who you are")


def _wrong(what: str) -> SignInError:
    return SignInError(f"Your company's sign-in answered, but {what}. Try again, or tell whoever runs this gateway.")

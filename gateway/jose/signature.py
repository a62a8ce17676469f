"""Whether a key has signed a token, where nothing in the token chooses how that is checked.

The algorithm is one of a fixed list, all with public keys, and one that the key is for. A header that brings a key or
points at one, or that demands to be understood (`crit`), is not accepted.

Below: token_parts, joserfc. Above: access, authorization. Source: RFC 7515 section 5.2; RFC 8725 sections 3.1 to 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from gateway.jose.token_parts import claims_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
_CHOOSES = ("crit", "jwk", "jku", "x5u")


class _Registry(jws.JWSRegistry):
    max_header_length = 4_096  # some issuers put a certificate there


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


def is_acceptable(header: Mapping[str, Any]) -> bool:
    """Whether a token with this header may be signed as we accept it."""
    return header.get("alg") in ALGORITHMS and not any(name in header for name in _CHOOSES)


def signed_claims(token: str, key: Key) -> dict[str, Any] | None:
    """The claims, if the key has signed them. The header is one that `is_acceptable`."""
    try:
        jws.deserialize_compact(token, key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError):
        return None
    return claims_of(token)

"""The public keys of a JWK set that somebody else publishes, read leniently: one that is no good spoils no other.

Below: joserfc. Above: access, authorization. Source: RFC 7517.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

log = logging.getLogger(__name__)

MOST_KEYS = 100
_SHORTEST_RSA = 342  # characters of base64: 2048 bits


def public_keys(found: Mapping[str, Any]) -> list[Key]:
    """The keys for signatures that can be used: public ones, long enough. `kid` is their name, if they have one."""
    listed = found.get("keys")
    keys = []
    for each in (listed if isinstance(listed, list) else [])[:MOST_KEYS]:
        if not isinstance(each, dict) or not _is_usable(each):
            continue
        try:
            keys.append(import_key(each))
        except (JoseError, ValueError, TypeError, KeyError):
            log.warning("a key that somebody publishes cannot be read; it is left out")
    return keys


def _is_usable(key: Mapping[str, Any]) -> bool:
    is_long = key.get("kty") != "RSA" or len(str(key.get("n"))) >= _SHORTEST_RSA
    is_public = key.get("kty") in ("RSA", "EC", "OKP") and "d" not in key
    is_named = isinstance(key.get("kid", ""), str)
    return is_public and is_long and is_named and key.get("use", "sig") == "sig"

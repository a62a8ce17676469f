"""Refresh tokens: how they look, and how one follows from another.

The first of a chain is random. Each further one is the HMAC of the former, under a key of the vault's: so the same
token always has the same successor, and a client whose answer was lost is given it again, though only digests are kept.
Nobody without the key gets from one to the next.

Below: nothing. Above: grants.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from gateway.authorization.digests import new_secret
from gateway.secret import Secret

PREFIX = "atpg_refresh_"


class RefreshChain:
    """`keys` in the vault's order: the first makes successors, former ones made those that are still about."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def first(self) -> Secret:
        return new_secret(PREFIX)

    def successors(self, token: str) -> list[Secret]:
        """What the token may be exchanged for: now by the first of these; the others were, before a key was turned."""
        return [self._next(key, token) for key in self._keys]

    def _next(self, key: bytes, token: str) -> Secret:
        made = hmac.new(key, b"successor of " + token.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return Secret(PREFIX + urlsafe_b64encode(made).decode().rstrip("="))

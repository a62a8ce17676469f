"""How two gateway processes of one person recognise each other: the one that asks sends a challenge, the other a proof.

The key is the vault's, bound to the database: who can prove it has the same rows and can open them. A proof holds for
the host and port that was asked, so that a stranger on our port cannot fetch one from the real gateway on another.

Below: nothing. Above: `web.health`, which answers; the listener, which asks.
"""

from __future__ import annotations

import hashlib
import hmac


class Instance:
    """`key` is derived from the vault's key and the database's address."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def proof(self, host: str, challenge: str) -> str:
        """What an instance reached as `host` (`127.0.0.1:8788`) answers to `challenge`."""
        return hmac.new(self._key, f"instance {host} {challenge}".encode(), hashlib.sha256).hexdigest()

    def is_proof(self, proof: str, host: str, challenge: str) -> bool:
        return hmac.compare_digest(proof.encode(), self.proof(host, challenge).encode())

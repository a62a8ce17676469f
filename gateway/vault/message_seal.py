"""Seals messages between processes that have the same vault: AES-256-GCM, under keys derived for that purpose alone.

A sealed message is

    nonce (12) | ciphertext and tag (16)

and opens only for whoever says again what it was bound to. Nothing of it is stored: what must not be read at rest is
sealed by `vault`. A nonce is random, so a key is good for 2^32 messages: derive one for each life of a process.

Below: cryptography. Above: `gateway.remote`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class MessageSeal:
    """`keys` as `Vault.derive` gives them: the first seals, all open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, plaintext: bytes, bound: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plaintext, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes | None:
        """The plaintext. None for what was altered, cut short, bound to something else or not sealed by us."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, rest, bound)
            except (InvalidTag, ValueError):
                continue
        return None

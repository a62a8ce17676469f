"""The keys, in order: the first seals, all open.

To rotate, put a new key in front and keep the old ones behind it for as long as anything is sealed with them. A
ring key itself encrypts nothing: HKDF-SHA256 (RFC 5869) derives from it one key for each purpose.

Below: the vocabulary. Above: `gateway.vault.vault`. Where keys come from: `gateway.vault.key_sources`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import VaultError
from gateway.secret import Secret

KEY_BYTES = 32
ID_BYTES = 4

_NEW_KEY = "Make one with `openssl rand -base64 32`."
_DISTINCT_BYTES = 16
"""32 random bytes hold about 30 different values; fewer than 16 does not happen by chance (below 1 in 10^15)."""


class Key:
    """One key of the ring. `id` names it in what it sealed and tells nothing about it."""

    __slots__ = ("_root", "cipher", "id")

    def __init__(self, root: bytes) -> None:
        self._root = root
        self.id = hashlib.sha256(self.derive("key-id")).digest()[:ID_BYTES]
        self.cipher = AESGCM(self.derive("seal"))

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes that is good for this purpose alone."""
        info = b"atp-gateway/v1/" + purpose.encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._root)

    def __repr__(self) -> str:
        return f"Key({self.id.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key cannot be pickled or copied")


class Keyring:
    """At least one key, each the base64 of 32 random bytes. VaultError if one is malformed, weak or there twice."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        self.keys = tuple(Key(key_bytes(key)) for key in keys)
        self._by_id = {key.id: key for key in self.keys}
        if not self.keys:
            raise VaultError(f"The vault has no key. {_NEW_KEY}")
        if len(self._by_id) < len(self.keys):
            raise VaultError("A vault key is in the ring twice. Remove the second one.")

    @property
    def first(self) -> Key:
        """The key that seals."""
        return self.keys[0]

    def find(self, key_id: bytes) -> Key | None:
        return self._by_id.get(key_id)


def key_bytes(key: Secret) -> bytes:
    """The 32 bytes of a key. VaultError, with a sentence, for what nobody should seal with."""
    try:
        root = base64.b64decode(key.reveal().strip().translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        raise VaultError(f"A vault key is not base64. {_NEW_KEY}") from None
    if len(root) != KEY_BYTES:
        raise VaultError(f"A vault key is {len(root)} bytes long; it must be {KEY_BYTES} random bytes. {_NEW_KEY}")
    if _is_guessable(root):
        raise VaultError(f"A vault key is an example or a pass phrase, which can be guessed. {_NEW_KEY}")
    return root


_URL_SAFE = str.maketrans("-_", "+/")


def _is_guessable(root: bytes) -> bool:
    """Repetitions, counting sequences and readable text: none of which 32 random bytes are."""
    steps = {(after - before) % 256 for before, after in pairwise(root)}
    is_text = root.isascii() and root.decode("ascii").isprintable()
    return is_text or len(set(root)) < _DISTINCT_BYTES or len(steps) < _DISTINCT_BYTES // 2

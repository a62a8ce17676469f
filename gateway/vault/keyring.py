"""The ring's keys, in order: the first wraps new data keys, all of them unwrap.

A ring key encrypts no value of a person's: it wraps data keys (`gateway.vault.data_keys`). One that is here as 32
bytes is a `LocalKey`, and HKDF-SHA256 (RFC 5869) derives from it one key for each purpose. One that stays in a key
management service is any other `WrappingKey`. To rotate, put a new key in front, keep the old ones behind it, and run
`atp-gateway keys rotate`.

Below: the vocabulary. Above: data_keys, vault. Where keys come from: `gateway.vault.key_sources`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NoReturn, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import VaultError
from gateway.secret import Secret

KEY_BYTES = 32
ID_BYTES = 4
_NONCE_BYTES = 12

_NEW_KEY = "Make one with `openssl rand -base64 32`."
_DISTINCT_BYTES = 16
"""32 random bytes hold about 30 different values; fewer than 16 does not happen by chance (below 1 in 10^15)."""

Context = Mapping[str, str]
"""What a wrapped key is for. It is not secret, and not stored: who unwraps says it again, and it must be the same."""


class WrappingKey(Protocol):
    """A key of the ring. `name` is stored beside what it wrapped.

    `is_remote` says that unwrapping asks a service: then it may fail for a while (KeyUnavailableError), and what it
    gave is asked for again from time to time, so that taking the right away takes effect.
    """

    @property
    def name(self) -> str: ...

    @property
    def is_remote(self) -> bool: ...

    async def wrap(self, key: bytes, context: Context) -> bytes:
        """The key, unreadable. KeyUnavailableError; VaultError where the service does not allow it."""
        ...

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """The key again. KeyUnavailableError; VaultError if it was altered, was wrapped for another context, or
        the service does not allow it."""
        ...


class Key:
    """32 bytes and what is made of them. `id` names the key in what it sealed, and tells nothing about it."""

    __slots__ = ("_root", "cipher", "id")

    def __init__(self, root: bytes, id_bytes: int = ID_BYTES) -> None:
        self._root = root
        self.id = hashlib.sha256(self.derive("key-id")).digest()[:id_bytes]
        self.cipher = AESGCM(self.derive("seal"))

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes that is good for this purpose alone."""
        info = b"atp-gateway/v1/" + purpose.encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be pickled or copied")


class LocalKey(Key):
    """A ring key that is in this process's memory: it wraps with AES-256-GCM, the context being additional data."""

    __slots__ = ("_wrapping",)
    is_remote = False

    def __init__(self, root: bytes) -> None:
        super().__init__(root)
        self._wrapping = AESGCM(self.derive("wrap"))

    @property
    def name(self) -> str:
        return self.id.hex()

    async def wrap(self, key: bytes, context: Context) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, key, encode_context(context))

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        try:
            return self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], encode_context(context))
        except (InvalidTag, ValueError):
            raise VaultError(
                "A data key does not unwrap: it was altered, or moved here from another row. "
                "Restore the table data_keys from a backup."
            ) from None


class Keyring:
    """At least one key; a Secret is the base64 of 32 random bytes.

    VaultError if one is malformed, weak or there twice.
    """

    def __init__(self, keys: Sequence[Secret | WrappingKey]) -> None:
        self.keys = tuple(LocalKey(key_bytes(key)) if isinstance(key, Secret) else key for key in keys)
        self._by_name = {key.name: key for key in self.keys}
        if not self.keys:
            raise VaultError(f"The vault has no key. {_NEW_KEY}")
        if len(self._by_name) < len(self.keys):
            raise VaultError("A vault key is in the ring twice. Remove the second one.")

    @property
    def first(self) -> WrappingKey:
        """The key that wraps."""
        return self.keys[0]

    def find(self, name: str) -> WrappingKey | None:
        return self._by_name.get(name)

    def find_local(self, key_id: bytes) -> LocalKey | None:
        key = self._by_name.get(key_id.hex())
        return key if isinstance(key, LocalKey) else None


def encode_context(context: Context) -> bytes:
    """A context as bytes: each part with its length before it, so that no two contexts encode alike."""
    parts = [part.encode("utf-8", "surrogatepass") for pair in sorted(context.items()) for part in pair]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


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

"""Seals values so that they open only where they were put, and only with a key of the ring.

AES-256-GCM. What is sealed is bound, as additional data, to the row, person, provider, field and version that it
belongs to: a ciphertext copied into another place does not open there. Sealed bytes are

    format version (1 byte) | key id (4) | nonce (12) | ciphertext and tag

Not a store: it returns bytes and is given bytes. No error of it holds data, plain or sealed.
Below: `gateway.vault.keyring`. Above: oauth, app.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidTag

from gateway.errors import VaultError
from gateway.types import Principal, TokenSet
from gateway.vault.keyring import ID_BYTES, Keyring
from gateway.vault.token_format import pack_tokens, unpack_tokens

FORMAT = 1
_HEADER_BYTES = 1 + ID_BYTES
_NONCE_BYTES = 12
_TAG_BYTES = 16

Find = Callable[[str], Awaitable[bytes | None]]
PutIfAbsent = Callable[[str, bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Binding:
    """The place that a sealed value belongs to. It is not stored: whoever opens says where they found it."""

    table: str
    record_id: str
    principal: Principal
    provider: str
    field: str
    version: int

    def encode(self) -> bytes:
        """Each part with its length before it, so that no two places encode alike."""
        person = (self.principal.tenant, self.principal.issuer, self.principal.subject)
        parts = (self.table, self.record_id, *person, self.provider, self.field, str(self.version))
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


SENTINEL = "vault-sentinel"
_SENTINEL_TEXT = b"this database is sealed with this key"
_SENTINEL_BINDING = Binding("marks", SENTINEL, Principal("atp-gateway", "vault"), "", "value", 1)


class Vault:
    """Seals with the ring's first key, opens with any of them."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault cannot be pickled or copied")

    async def seal(self, plaintext: bytes, binding: Binding) -> bytes:
        """The plaintext as bytes that open only with the same binding. 33 bytes longer."""
        key = self._keyring.first
        header = bytes([FORMAT]) + key.id
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + key.cipher.encrypt(nonce, plaintext, header + binding.encode())

    async def open(self, sealed: bytes, binding: Binding) -> bytes:
        """The plaintext. VaultError when the key is missing, or the bytes are altered or out of place."""
        if len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise VaultError("A sealed value is cut short. Restore the database from a backup, or connect again.")
        header, nonce, ciphertext = _split(sealed)
        if header[0] != FORMAT:
            raise VaultError("A sealed value has a format that this version does not know. Upgrade atp-gateway.")
        key = self._keyring.find(header[1:])
        if key is None:
            raise VaultError(
                f"A sealed value needs vault key {header[1:].hex()}, which is not in the key ring. "
                "Put that key back behind the present one."
            )
        try:
            return key.cipher.decrypt(nonce, ciphertext, header + binding.encode())
        except InvalidTag:
            raise VaultError(
                "A sealed value does not open: it was altered, or moved here from another row. "
                "Restore the database from a backup, or connect again."
            ) from None

    async def seal_tokens(self, tokens: TokenSet, binding: Binding) -> bytes:
        return await self.seal(pack_tokens(tokens), binding)

    async def open_tokens(self, sealed: bytes, binding: Binding) -> TokenSet:
        """The tokens. VaultError as for `open`."""
        return unpack_tokens(await self.open(sealed, binding))

    def derive(self, purpose: str) -> list[bytes]:
        """Keys of 32 bytes for another purpose than sealing, in ring order: use the first, accept all."""
        return [key.derive(f"purpose/{purpose}") for key in self._keyring.keys]

    async def check(self, find: Find, put_if_absent: PutIfAbsent, *, source: str = "the vault's key ring") -> None:
        """Refuse to go on with a key that does not fit the database. Call it before anything is sealed.

        The first start leaves a sealed sentinel in the database, through `put_if_absent`; later starts open it.
        `source` says in an error where the present key came from. VaultError if the key is the wrong one.
        """
        sealed = await find(SENTINEL)
        if sealed is None:
            sealed = await put_if_absent(SENTINEL, await self.seal(_SENTINEL_TEXT, _SENTINEL_BINDING))
        try:
            await self.open(sealed, _SENTINEL_BINDING)
        except VaultError:
            needed = _split(sealed)[0][1:]
            if len(needed) < ID_BYTES or self._keyring.find(needed) is not None:
                raise  # the key is there: the sentinel itself is damaged
            raise VaultError(
                f"This database was sealed with vault key {needed.hex()}, but {source} gives key "
                f"{self._keyring.first.id.hex()}. "
                "Nothing was changed. Restore the former key there; if it is lost, start with a new database, and "
                "people connect their accounts again."
            ) from None


def _split(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, nonce, ciphertext."""
    body = _HEADER_BYTES + _NONCE_BYTES
    return sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:body], sealed[body:]

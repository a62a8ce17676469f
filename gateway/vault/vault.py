"""Seals values so that they open only where they were put, and only with the right key.

AES-256-GCM. What is sealed is bound, as additional data, to the row, person, provider, field and version that it
belongs to: a ciphertext copied into another place does not open there. A value is sealed by the data key of its
person's tenant (`gateway.vault.data_keys`). Sealed bytes are

    2 (1 byte) | data key id (8) | nonce (12) | ciphertext and tag (16)
    1 (1 byte) | ring key id (4) | nonce (12) | ciphertext and tag (16)      by the ring's key itself: before data keys

Not a store: it returns bytes and is given bytes. No error of it holds data, plain or sealed.
Below: data_keys, keyring. Above: oauth, app.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Protocol

from cryptography.exceptions import InvalidTag

from gateway.errors import KeyUnavailableError, VaultError, WrongVaultKeyError
from gateway.types import Principal, TokenSet
from gateway.vault.data_keys import DATA_KEY_ID_BYTES, DataKeys
from gateway.vault.keyring import ID_BYTES, KEY_BYTES, Key, Keyring, LocalKey, WrappingKey
from gateway.vault.token_format import pack_tokens, unpack_tokens

BY_RING_KEY, BY_DATA_KEY = 1, 2
_HEADER_BYTES = {BY_RING_KEY: 1 + ID_BYTES, BY_DATA_KEY: 1 + DATA_KEY_ID_BYTES}
HEAD_BYTES = max(_HEADER_BYTES.values())
"""How many of a sealed value's first bytes tell what sealed it."""
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Marks(Protocol):
    """Small named values at rest, written once. `gateway.store.mark_rows.MarkRows` is one."""

    def find(self, name: str) -> Awaitable[bytes | None]: ...

    def put_if_absent(self, name: str, value: bytes) -> Awaitable[bytes]:
        """What is stored under the name afterwards."""
        ...


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


class SealedBy(NamedTuple):
    """What sealed a value: a tenant's data key, or, in former times, a key of the ring. `key_id` is in hex."""

    format: int
    key_id: str


SENTINEL = "vault-sentinel"
_ROOT = "vault-root:"
_SENTINEL_TEXT = b"this database is sealed with this key"
_GATEWAY = Principal("atp-gateway", "vault")


def own_binding(table: str, record_id: str, field: str) -> Binding:
    """The place of a value that belongs to the gateway itself, and to no person."""
    return Binding(table, record_id, _GATEWAY, "", field, 1)


def mark_binding(name: str) -> Binding:
    """The place of a mark that the vault keeps for itself."""
    return own_binding("marks", name, "value")


def sealed_by(sealed: bytes) -> SealedBy:
    """What sealed this value, of which the first `HEAD_BYTES` do. VaultError for what is no sealed value."""
    length = _HEADER_BYTES.get(sealed[0] if sealed else 0)
    if length is None:
        raise VaultError("A sealed value has a format that this version does not know. Upgrade atp-gateway.")
    return SealedBy(sealed[0], sealed[1:length].hex())


class Vault:
    """Seals and opens. Without `data_keys` it has only the ring's own keys, and seals in the former format."""

    def __init__(self, keyring: Keyring, data_keys: DataKeys | None = None) -> None:
        self._keyring = keyring
        self._data_keys = data_keys
        self._roots: dict[str, Key] = {key.name: key for key in keyring.keys if isinstance(key, LocalKey)}

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault cannot be pickled or copied")

    @property
    def data_keys(self) -> DataKeys:
        """The tenants' keys. VaultError for a vault without a database."""
        if self._data_keys is None:
            raise VaultError("This vault has no data keys: it was made without a database.")
        return self._data_keys

    async def seal(self, plaintext: bytes, binding: Binding) -> bytes:
        """The plaintext as bytes that open only with the same binding. 37 bytes longer.

        KeyUnavailableError while a tenant's key is not at hand and cannot be fetched.
        """
        if self._data_keys is None:
            return _seal(BY_RING_KEY, self._former_key(), plaintext, binding)
        tenant = binding.principal.tenant
        key = self._data_keys.find_sealing(tenant) or await self._data_keys.get_sealing(tenant)
        return _seal(BY_DATA_KEY, key, plaintext, binding)

    def seal_beside(self, other: bytes, plaintext: bytes, binding: Binding) -> bytes | None:
        """As `seal`, by the key that sealed `other`, and without asking anybody: for when the database is away.

        None where that key is not at hand. It is where `other` was opened a moment ago.
        """
        by = sealed_by(other)
        key = self._find(by)
        return _seal(by.format, key, plaintext, binding) if key is not None else None

    async def open(self, sealed: bytes, binding: Binding) -> bytes:
        """The plaintext. VaultError when the key is missing, or the bytes are altered or out of place.

        KeyUnavailableError as for `seal`.
        """
        length = len(sealed) - _NONCE_BYTES - _TAG_BYTES
        if length < 0 or (sealed[0] in _HEADER_BYTES and length < _HEADER_BYTES[sealed[0]]):
            raise VaultError("A sealed value is cut short. Restore the database from a backup, or connect again.")
        by = sealed_by(sealed)
        key = await self._key(by)
        header = sealed[: _HEADER_BYTES[by.format]]
        nonce = sealed[len(header) : len(header) + _NONCE_BYTES]
        try:
            return key.cipher.decrypt(nonce, sealed[len(header) + _NONCE_BYTES :], header + binding.encode())
        except InvalidTag:
            raise VaultError(
                "A sealed value does not open: it was altered, or moved here from another row. "
                "Restore the database from a backup, or connect again."
            ) from None

    async def seal_tokens(self, tokens: TokenSet, binding: Binding) -> bytes:
        return await self.seal(pack_tokens(tokens), binding)

    def seal_tokens_beside(self, other: bytes, tokens: TokenSet, binding: Binding) -> bytes | None:
        return self.seal_beside(other, pack_tokens(tokens), binding)

    async def open_tokens(self, sealed: bytes, binding: Binding) -> TokenSet:
        """The tokens. Errors as for `open`."""
        return unpack_tokens(await self.open(sealed, binding))

    def derive(self, purpose: str) -> list[bytes]:
        """Keys of 32 bytes for another purpose than sealing, in ring order: use the first, accept all.

        Of a key that a service keeps they come from a root that is sealed in the database: `check` comes first.
        """
        return [self._roots[key.name].derive(f"purpose/{purpose}") for key in self._keyring.keys]

    async def check(self, marks: Marks, *, source: str = "the vault's key ring") -> None:
        """Refuse to go on with a ring that does not fit the database. Call it before anything is sealed.

        The first start leaves a sealed sentinel in the database; later starts open it. `source` says in an error
        where the ring's first key came from. WrongVaultKeyError, and then nothing was changed.
        """
        if needed := await self._missing_key(b""):
            raise self._wrong_key(needed, source)
        sealed = await marks.find(SENTINEL) or b""
        try:
            if not sealed:
                sealed = await marks.put_if_absent(SENTINEL, await self.seal(_SENTINEL_TEXT, mark_binding(SENTINEL)))
            await self.open(sealed, mark_binding(SENTINEL))
        except KeyUnavailableError:
            raise
        except VaultError:
            if needed := await self._missing_key(sealed):
                raise self._wrong_key(needed, source) from None
            raise  # the key is there: the sentinel itself is damaged
        for key in self._keyring.keys:
            if key.name not in self._roots:
                self._roots[key.name] = Key(await self._root(key, marks))

    async def _missing_key(self, sentinel: bytes) -> str | None:
        """A ring key that the database needs and the ring does not have."""
        missing = await self._data_keys.list_missing_wrappers() if self._data_keys is not None else []
        if len(sentinel) >= _HEADER_BYTES[BY_RING_KEY] and sentinel[0] == BY_RING_KEY:
            missing.append(sealed_by(sentinel).key_id)
        return next((name for name in missing if self._keyring.find(name) is None), None)

    async def is_of_this_database(self, sealed: bytes) -> bool:
        """Whether a data key of this database sealed it. No for what the ring's keys seal: those have several."""
        try:
            by = sealed_by(sealed[:HEAD_BYTES])
            return by.format == BY_DATA_KEY and await self._key(by) is not None
        except KeyUnavailableError:
            raise
        except VaultError:
            return False

    def _find(self, by: SealedBy) -> Key | None:
        """The key if it is at hand."""
        key_id = bytes.fromhex(by.key_id)
        if by.format == BY_DATA_KEY and self._data_keys is not None:
            return self._data_keys.find(key_id)
        return self._keyring.find_local(key_id)

    async def _key(self, by: SealedBy) -> Key:
        if key := self._find(by):
            return key
        if by.format == BY_DATA_KEY and self._data_keys is not None:
            return await self._data_keys.get(bytes.fromhex(by.key_id))
        raise VaultError(
            f"A sealed value needs vault key {by.key_id}, which is not in the key ring. "
            "Put that key back behind the present one."
        )

    def _former_key(self) -> Key:
        if isinstance(self._keyring.first, LocalKey):
            return self._keyring.first
        raise VaultError("A key that a service keeps seals nothing by itself: the vault needs its data keys.")

    async def _root(self, key: WrappingKey, marks: Marks) -> bytes:
        """What stands in for a ring key that never leaves its service, wherever keys are derived. Made once."""
        name = _ROOT + key.name
        sealed = await marks.find(name)
        if sealed is None:
            sealed = await marks.put_if_absent(name, await self.seal(os.urandom(KEY_BYTES), mark_binding(name)))
        return await self.open(sealed, mark_binding(name))

    def _wrong_key(self, needed: str, source: str) -> WrongVaultKeyError:
        return WrongVaultKeyError(
            f"This database was sealed with vault key {needed}, but {source} gives key {self._keyring.first.name}. "
            "Nothing was changed. Put the former key back there, or behind the present one in [vault] previous_keys; "
            "if it is lost, start with a new database, and people connect their accounts again."
        )


def _seal(format_: int, key: Key, plaintext: bytes, binding: Binding) -> bytes:
    header = bytes([format_]) + key.id
    nonce = os.urandom(_NONCE_BYTES)
    return header + nonce + key.cipher.encrypt(nonce, plaintext, header + binding.encode())

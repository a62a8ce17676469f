"""Where a vault key is kept, and how to say so.

A key in the settings is either 32 random bytes in base64, or names its source: `aws-kms:arn:aws:kms:…`,
`gcp-kms:projects/…`, `vault-transit:https://…`, `file:/path`, `os-keyring:account`. A source is one function of a
`Place` that gives a `WrappingKey`, in a file of its own that is imported only when it is named; `SOURCES` lists them.
The file and the operating system's keyring make their key when there is none yet. Which keys ring it is the
composition's choice.

Below: `gateway.vault.keyring`. Above: app, cli.
"""

from __future__ import annotations

import base64
import importlib
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import SettingsError, VaultError
from gateway.secret import Secret
from gateway.vault.keyring import KEY_BYTES, Keyring, LocalKey, WrappingKey, key_bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is to find its key: what stands after the colon, and what it may need to get in."""

    address: str
    token_file: Path | None = None
    """HashiCorp Vault's token: read each time, since an agent keeps putting fresh ones there."""


KeySource = Callable[[Place], WrappingKey]

SOURCES = {
    "file": "gateway.vault.key_sources:_from_file",
    "os-keyring": "gateway.vault.key_sources:_from_os_keyring",
    "aws-kms": "gateway.vault.aws_kms:aws_kms_key",
    "gcp-kms": "gateway.vault.google_kms:google_kms_key",
    "vault-transit": "gateway.vault.transit:transit_key",
}
"""Name -> the function that gives its key."""


def open_ring(keys: Sequence[Secret], token_file: Path | None = None) -> Keyring:
    """The ring of these keys, each in base64 or by its source. May read files. VaultError, SettingsError."""
    return Keyring([_wrapping_key(key, token_file) for key in keys])


def _wrapping_key(key: Secret, token_file: Path | None) -> Secret | WrappingKey:
    name, colon, address = key.reveal().strip().partition(":")
    if not colon:
        return key
    if name not in SOURCES:
        # Neither the name nor the address is shown: it may be a key that was pasted wrongly.
        raise SettingsError(f"A vault key names a source that is not known. There are: {', '.join(SOURCES)}.")
    module, _, function = SOURCES[name].partition(":")
    source: KeySource = getattr(importlib.import_module(module), function)
    return source(Place(address, token_file))


def _from_file(place: Place) -> WrappingKey:
    return LocalKey(key_bytes(file_key(Path(place.address))))


def _from_os_keyring(place: Place) -> WrappingKey:
    key = os_keyring_key("atp-gateway", place.address)
    if key is None:
        raise VaultError(
            "The operating system's keyring cannot be used: it is locked, or there is none. Unlock it, or keep the "
            "vault's key in a file."
        )
    return LocalKey(key_bytes(key))


def new_key() -> Secret:
    """A fresh random key in the form that `Keyring` takes."""
    return Secret(base64.b64encode(os.urandom(KEY_BYTES)).decode())


def file_key(path: Path) -> Secret:
    """The key in this file, which is made on first use: mode 0600, in a folder of mode 0700.

    Several processes may start at once: all get the same key. VaultError if others than the owner may read the
    file, or if it holds no key.
    """
    try:
        if not path.exists():
            _create(path)
        text = _read_private(path)
    except OSError as error:
        raise VaultError(f"The vault key file {path} cannot be used: {error.strerror}.") from None
    key = Secret(text.strip())
    try:
        key_bytes(key)
    except VaultError as error:
        raise VaultError(
            f"{path}: {error} If it held a key before, restore that one: nothing opens without it."
        ) from None
    return key


def os_keyring_key(service: str, account: str) -> Secret | None:
    """The key under this name in the operating system's keyring, made on first use.

    None when there is no keyring to be had: a server without a desktop, a locked or broken one.
    """
    import keyring

    try:
        if keyring.get_password(service, account) is None:
            keyring.set_password(service, account, new_key().reveal())
        # Read back, since a backend may take a key and keep nothing, as keyring's own null backend does.
        stored = keyring.get_password(service, account)
    except Exception:  # noqa: BLE001 - backends are third parties' and raise their own D-Bus, COM and Keychain errors
        return None
    return Secret(stored) if stored else None


def _create(path: Path) -> None:
    """Write a new key beside `path` and link it into place: whoever links first wins, and nobody sees half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(new_key().reveal() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()


def _read_private(path: Path) -> str:
    with path.open(errors="replace") as file:
        about = os.fstat(file.fileno())
        mode = stat.S_IMODE(about.st_mode)
        if os.name == "posix" and mode & 0o077:
            raise VaultError(
                f"The vault key file {path} has mode {mode:04o}: others than its owner can read it. "
                f"Run `chmod 600 {path}`; if somebody may have read it, change the key as well."
            )
        return file.read(4096)

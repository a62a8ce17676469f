"""Where a vault key is kept: the operating system's keyring, or a file that only its owner can read.

Each source makes the key when there is none yet. Which source is used, and which keys ring it, is the
composition's choice. Below: `gateway.vault.keyring`. Above: app, cli.
"""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from pathlib import Path

from gateway.errors import VaultError
from gateway.secret import Secret
from gateway.vault.keyring import KEY_BYTES, key_bytes


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

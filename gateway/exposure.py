"""Which of the files that hold secrets somebody else on this machine can read, as a sentence for each.

Not what a container engine has put there: it mounts secrets for everybody in the container, and nobody else is in it.
Windows has no modes, and is not judged. Not here: the key file that we make (`gateway.vault.key_sources`), the database
(`gateway.store.engine`), which are private or made so. Above: settings, which know the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_MOUNTED = (Path("/run/secrets"), Path("/var/run/secrets"), Path("/run/credentials"))
"""Docker's, Kubernetes' and systemd's places for them."""

_SECRETS = frozenset(
    {"key", "previous_keys", "secret", "client_secret", "login_client_secret", "service_account", "app_key"}
)
"""What settings that are secrets are called."""


def exposed(files: Iterable[Path]) -> tuple[str, ...]:
    """A sentence for each of these files that another account can read."""
    return tuple(said for file in dict.fromkeys(files) if (said := _exposure(file)))


def holds_secrets(table: Mapping[str, Any]) -> bool:
    """Whether a secret stands in a table of settings itself, or in one below it."""
    return any(name in _SECRETS and _is_secret(value) for name, value in _settings(table))


def secret_files(table: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """The files that settings leave a secret to."""
    for name, value in _settings(table):
        setting, file, rest = name.rpartition("_file")
        if file and not rest and isinstance(value, str) and (setting in _SECRETS or setting == "transit_token"):
            yield folder / value


def _settings(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _settings(value)
        else:
            yield name, value


def _is_secret(value: Any) -> bool:
    """Not one that only says who keeps it, such as `aws-kms:…`."""
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and text and ":" not in text for text in texts)


def _exposure(file: Path) -> str | None:
    if os.name != "posix" or any(file.is_relative_to(place) for place in _MOUNTED):
        return None
    try:
        about = file.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(about.st_mode)
    if mode & 0o007:
        return f"{file} holds a secret, and its mode {mode:04o} lets everybody here read it: chmod 600 {file}"
    if about.st_uid not in (os.geteuid(), 0):
        return f"{file} holds a secret, and belongs to another account, which can change it: chown it to this one"
    return None

"""Catalogue: a provider's name to its description.

Shipped descriptions are the TOML files in the folder `catalogue/`; a file is read when its provider is first asked
for, so a start pays for none. The operator's own descriptions, from a folder or the settings, stand beside and win.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import SettingsError
from gateway.providers.provider import Provider
from gateway.providers.reader import read_provider

SHIPPED = Path(__file__).parent / "catalogue"


class Catalogue:
    """Finds providers. Build it with `load`."""

    def __init__(self, own: Mapping[str, Provider], files: Mapping[str, Path]) -> None:
        self._known = dict(own)
        self._files = files

    @classmethod
    def load(cls, *extra: Mapping[str, Mapping[str, Any]], folder: Path | None = None) -> Catalogue:
        """The shipped providers, those of the operator's `folder`, and tables of further ones by name.

        A shipped file is read when its provider is first asked for; the operator's own are read now, so that a mistake
        in one is told at the start. Raises SettingsError for a broken table or file, or a folder that is none.
        """
        own = {
            name: read_provider(name, table, f"[providers.{name}]")
            for tables in extra
            for name, table in tables.items()
        }
        if folder is not None and not folder.is_dir():
            raise SettingsError(f"[catalogue] folder: {folder} is not a folder. Create it, or correct the path.")
        theirs = {name: _read_file(name, path) for name, path in _files_in(folder).items()} if folder else {}
        return cls({**theirs, **own}, _files_in(SHIPPED))

    def names(self) -> list[str]:
        """Every provider's name, sorted."""
        return sorted(self._known.keys() | self._files.keys())

    def find(self, provider_id: str) -> Provider | None:
        """The description, or None for a name nobody described. Raises SettingsError for a broken file."""
        if provider_id not in self._known and provider_id in self._files:
            self._known[provider_id] = _read_file(provider_id, self._files[provider_id])
        return self._known.get(provider_id)


def _files_in(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob("*.toml")}


def _read_file(provider_id: str, path: Path) -> Provider:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}.") from None
    return read_provider(provider_id, table, path.name)

"""Catalogue: a provider's name to its description.

Shipped descriptions are the TOML files in the folder `catalogue/`; a file is read when its provider is first asked
for, so a start pays for none. Descriptions from the operator's own settings stand beside them and win.
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

        Raises SettingsError for a broken table, or a folder that is none.
        """
        own = {
            name: read_provider(name, table, f"[providers.{name}]")
            for tables in extra
            for name, table in tables.items()
        }
        if folder is not None and not folder.is_dir():
            raise SettingsError(f"[catalogue] folder: {folder} is not a folder. Create it, or correct the path.")
        return cls(own, {**_files_in(SHIPPED), **(_files_in(folder) if folder else {})})

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

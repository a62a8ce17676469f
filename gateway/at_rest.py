"""Where a gateway keeps what must last, told from its settings: the database, the vault that fits it, the data folder.

Opening them, for the composition and for commands that need no more than that. This is wiring, not logic. Below: store,
vault, settings. Above: `gateway.deferred`, the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.clock import Clock
from gateway.settings import Settings, VaultKey

if TYPE_CHECKING:
    from gateway.store.store import Store
    from gateway.vault.keyring import Keyring
    from gateway.vault.vault import Vault


def may_hold_accounts(settings: Settings) -> bool:
    """Whether there can be any connections yet: a list of tools alone makes no database."""
    url = database_url(settings)
    return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists()


def database_url(settings: Settings) -> str:
    """The configured database, or the file in the person's data folder."""
    return settings.database.url or f"sqlite:///{(_data_folder() / 'gateway.db').as_posix()}"


def pending_folder(settings: Settings) -> Path:
    """Where renewed tokens wait for a database that is away: beside its file, or in the person's data folder."""
    url = database_url(settings)
    is_a_file = url.startswith("sqlite:///")
    return (Path(url.removeprefix("sqlite:///")).parent if is_a_file else _data_folder()) / "pending-refresh"


def _data_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("atp-gateway", appauthor=False))


async def open_store(settings: Settings) -> Store:
    """The configured database, at this version's schema. SettingsError where it cannot be had."""
    from gateway.store.store import Store

    return await Store.open(database_url(settings), upgrade=settings.database.upgrade)


async def open_vault(
    settings: Settings, clock: Clock, opened: Callable[[str], Awaitable[Store]] | None = None
) -> tuple[Store, Vault]:
    """The database, and the vault that fits it. WrongVaultKeyError where none of the ring's keys does.

    `opened` opens the database in another way, for tests.
    """
    from gateway.vault.data_keys import DataKeys
    from gateway.vault.vault import Vault

    keyring, source = await asyncio.to_thread(vault_ring, settings.vault)
    store = await (opened(database_url(settings)) if opened else open_store(settings))
    try:
        vault = Vault(keyring, DataKeys(store.data_keys, keyring, clock))
        await vault.check(store.marks, source=source)
    except BaseException:
        await store.close()
        raise
    return store, vault


def vault_ring(settings: VaultKey) -> tuple[Keyring, str]:
    """The key ring, and where its first key is from: the settings; else a file, or the OS keyring.

    A file that is there already wins: it was made when the keyring could not be had, and holds what sealed everything
    since. It is not in the database's folder: who gets hold of one is not to have the other with it.
    """
    import platformdirs

    from gateway.vault import key_sources

    path = Path(platformdirs.user_config_dir("atp-gateway", appauthor=False)) / "vault.key"
    token_file = Path(settings.transit_token_file) if settings.transit_token_file else None
    asks = settings.key is None and settings.use_os_keyring and not path.exists()
    if settings.key is not None:
        first, source = settings.key, "[vault] key"
    elif asks and (found := key_sources.os_keyring_key("atp-gateway", "vault")):
        first, source = found, "the operating system's keyring"
    else:
        first, source = key_sources.file_key(path), str(path)
    return key_sources.open_ring([first, *settings.previous_keys], token_file), source

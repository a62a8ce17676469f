"""Renewed tokens that the database does not take, in a file each until it does.

After a refresh the answer may be the only copy of a person's grant: under strict rotation the provider has ended the
token before it. The refresher holds it in memory and tries to store it for a minute. Here it is written down as well,
so that neither a kill nor a longer outage, nor a database without room, costs the person their connection:

    pending-refresh/<connection id>.<version>.bin

Such a file holds what the row would have become, sealed as a column would be: by a key that is in memory, bound to the
connection, the person, the provider and the version. It replaces one version of the row and no other:

    the row has that version    it is stored, also where the connection was given up because of this very loss: these
                                tokens are newer than the refused ones, and if the provider has ended them too, the
                                next refresh says so
    … and somebody else asks    left for them, or for later: they hold the lease (`gateway.oauth.leases`)
    another version, or no row  shredded
    it does not open            left where it is, and said once: it may be another database's

Where there is no folder to write, renewed tokens are in memory alone, as long as the process lives.

Not here: when that is needed (`gateway.oauth.refresher`). Below: grants, vault, store. Above: refresher, connections,
and the composition, which calls `settle` at the start and again and again.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import KeyUnavailableError, VaultError
from gateway.oauth.facts import of_connection
from gateway.oauth.grant_life import Lifespan
from gateway.oauth.grants import Grants
from gateway.store.lease_rows import LeaseRows
from gateway.store.pending_files import PendingFiles
from gateway.types import Connection, ConnectionStatus, TokenSet
from gateway.vault.vault import Binding, Vault

log = logging.getLogger(__name__)

_NAME = re.compile(r"([0-9A-Za-z]{1,64})\.([0-9]{1,18})\.bin")
_TIMES = ("expires_at", "updated_at", "renew_at", "ends_at", "warn_at", "warned_at")


@dataclass(frozen=True, slots=True, order=True)
class _Name:
    """What a file is called: whose it is, and which version of the row it makes."""

    connection_id: str
    version: int

    def __str__(self) -> str:
        return f"{self.connection_id}.{self.version}.bin"


class Unstored:
    """The files of a folder that the gateways of a machine and a database share."""

    def __init__(
        self, folder: Path, rows: LeaseRows, grants: Grants, *, vault: Vault, audit: AuditLog, clock: Clock
    ) -> None:
        self._files = PendingFiles(folder)
        self._rows = rows
        self._grants = grants
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._said: set[str] = set()

    async def keep(self, held: Connection, tokens: TokenSet, life: Lifespan) -> bool:
        """Write down what this row is to become. Whether that could be done; if not, it is said, and no error."""
        name, content = _name_of(held), self._sealed(held, tokens, life)
        if content is None:
            log.warning("renewed tokens of connection %s are in memory only: their key is not at hand", held.id)
            return False
        try:
            await asyncio.to_thread(self._files.put, str(name), content)
        except OSError as error:
            self._say_once(
                f"Renewed tokens cannot be kept in {self._files.folder} while the database is away "
                f"({error.strerror}): a kill would lose them. Give the gateway a data folder that it can write."
            )
            return False
        return True

    async def drop(self, held: Connection) -> None:
        """Shred what was kept of this row's successor: it is stored."""
        await self._shred(_name_of(held))

    async def settle(self) -> None:
        """Store what waits. Several processes may do so at once.

        KeyUnavailableError, StoreUnavailableError: then it goes on waiting.
        """
        for name in await self._names():
            await self._settle(name, None)

    async def settle_for(self, row: Connection, holder: str | None = None) -> bool:
        """Store what waits for this row; whether anything did, and the row is to be read again. Errors as for `settle`.

        `holder` is the caller's lease, if they have one.
        """
        waiting = [name for name in await self._names() if name.connection_id == row.id]
        for name in waiting:
            await self._settle(name, holder)
        return bool(waiting)

    async def _settle(self, name: _Name, holder: str | None) -> None:
        try:
            content = await asyncio.to_thread(self._files.read, str(name))
            if content is None:
                return  # another process has seen to it
            row = await self._rows.find(name.connection_id)
            if row is not None and row.version + 1 == name.version and row.status is not ConnectionStatus.REVOKED:
                found = _unpacked(await self._vault.open(content, _binding(row, name.version)))
                await self._store(name, row, found, holder)
            elif row is not None or await self._vault.is_of_this_database(content):
                log.warning("%s is shredded: the connection has changed, or is gone", name)
                await self._shred(name)
            else:
                self._leave(name, "Its key is not one of this database's.")
        except KeyUnavailableError:
            raise
        except VaultError as error:
            self._leave(name, str(error))
        except OSError as error:
            self._leave(name, f"{error.strerror}.")

    async def _store(self, name: _Name, row: Connection, found: _Found, holder: str | None) -> None:
        renewed, now = found.on(row), self._clock.now()
        owners = [owner for owner in (found.asked_under, holder) if owner is not None]
        if not await self._rows.complete_late(renewed, expected_version=row.version, owners=owners, now=now):
            return  # somebody else is asking, or was faster: the next look tells
        self._grants.live.forget(row.principal, row.provider)
        self._audit.note(of_connection(self._audit, renewed, "connection.refreshed", "done"))
        log.warning("renewed tokens of connection %s, which the database did not take before, are stored now", row.id)
        await self._shred(name)

    async def _names(self) -> list[_Name]:
        """Whatever else lies in the folder is nobody's business here."""
        try:
            found = await asyncio.to_thread(self._files.list_names)
        except OSError as error:
            self._say_once(f"The folder {self._files.folder} cannot be read ({error.strerror}).")
            return []
        parts = [match.groups() for name in found if (match := _NAME.fullmatch(name))]
        return sorted(_Name(connection_id, int(version)) for connection_id, version in parts)

    async def _shred(self, name: _Name) -> None:
        try:
            await asyncio.to_thread(self._files.shred, str(name))
        except OSError as error:
            self._say_once(f"{self._files.folder / str(name)} cannot be deleted ({error.strerror}): see to it.")

    def _sealed(self, held: Connection, tokens: TokenSet, life: Lifespan) -> bytes | None:
        renewed = self._grants.renewed_beside(held, tokens)
        if renewed is None:
            return None
        packed = _packed(life.on(renewed), held.lease_owner)
        return self._vault.seal_beside(held.sealed, packed, _binding(held, renewed.version))

    def _leave(self, name: _Name, why: str) -> None:
        self._say_once(
            f"{self._files.folder / str(name)} holds renewed tokens that do not open, and stays where it is. {why} "
            "If it is of another gateway's database, or of a vault key that is gone, start that gateway, or put the "
            "key back. Else delete it; the person connects again when asked to."
        )

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file says: columns of the row, and the lease under which the provider was asked."""

    columns: dict[str, Any]
    asked_under: str | None

    def on(self, row: Connection) -> Connection:
        """The row as it is to become."""
        return replace(
            row, version=row.version + 1, status=ConnectionStatus.ACTIVE, status_reason=None, **self.columns
        )  # fmt: skip


def _packed(renewed: Connection, asked_under: str | None) -> bytes:
    times = {name: at.isoformat() if (at := getattr(renewed, name)) else None for name in _TIMES}
    tokens = base64.b64encode(renewed.sealed).decode()
    return json.dumps(
        {"sealed": tokens, "scopes": sorted(renewed.scopes), "asked_under": asked_under, **times}
    ).encode()  # fmt: skip


def _unpacked(packed: bytes) -> _Found:
    """VaultError for what `_packed` did not make."""
    try:
        found = json.loads(packed)
        times = {name: datetime.fromisoformat(found[name]) if found[name] else None for name in _TIMES}
        columns = {"sealed": base64.b64decode(found["sealed"]), "scopes": frozenset(found["scopes"]), **times}
        return _Found(columns, found["asked_under"])
    except (ValueError, KeyError, TypeError):
        raise VaultError("It has a form that this version does not know. Upgrade atp-gateway.") from None


def _name_of(held: Connection) -> _Name:
    return _Name(held.id, held.version + 1)


def _binding(row: Connection, version: int) -> Binding:
    return Binding("pending-refresh", row.id, row.principal, row.provider, "row", version)

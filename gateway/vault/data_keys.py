"""Each tenant's data keys, opened: what seals and opens people's values.

A tenant gets its first key when something is sealed for it. A key is stored wrapped by a key of the ring, and unwrapped
into memory alone: at most `MOST_HELD` of them, the least used leave first. What a service unwrapped is asked for again
every `ASKED_EVERY`, beside the calls; while the service cannot be reached, keys that are held go on working for
`OUTLASTS`. What it refuses is forgotten at once.

Other processes are seen: a key that is not held is looked up, and which key seals is asked again after `SEALS_FOR`.

Below: keyring, and the store's rows. Above: vault, rotation.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.errors import KeyUnavailableError, VaultError
from gateway.store.data_key_rows import DataKeyRows
from gateway.types import DataKey
from gateway.vault.keyring import KEY_BYTES, Context, Key, Keyring, WrappingKey

log = logging.getLogger(__name__)

DATA_KEY_ID_BYTES = 8
SEALS_FOR = timedelta(seconds=5)
MOST_HELD = 1000
ASKED_EVERY = timedelta(minutes=5)
OUTLASTS = timedelta(hours=24)
_ASKED_AGAIN = timedelta(seconds=30)


@dataclass(slots=True)
class _Held:
    """An opened key. A service is asked for it again from `fresh_until` on; from `good_until` on, before it is used."""

    key: Key
    confirmed_at: datetime
    fresh_until: datetime | None = None
    good_until: datetime | None = None


class DataKeys:
    """Opened data keys by id, and which of them seals for a tenant."""

    def __init__(self, rows: DataKeyRows, keyring: Keyring, clock: Clock) -> None:
        self._rows = rows
        self._keyring = keyring
        self._clock = clock
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._sealing: dict[str, tuple[bytes, datetime]] = {}
        self._asking: dict[bytes, asyncio.Task[Key]] = {}

    def find(self, key_id: bytes) -> Key | None:
        """The key if it is at hand: no lock, no I/O."""
        held = self._held.get(key_id)
        if held is None or (held.fresh_until is not None and self._clock.now() >= held.fresh_until):
            return None
        self._held.move_to_end(key_id)
        return held.key

    async def get(self, key_id: bytes, row: DataKey | None = None) -> Key:
        """The key. VaultError if there is none, or it does not unwrap; KeyUnavailableError if that cannot be known."""
        if key := self.find(key_id):
            return key
        asking = self._asking.get(key_id)
        if asking is None:
            asking = self._asking[key_id] = asyncio.create_task(self._ask(key_id, row))
            asking.add_done_callback(lambda task: self._answered(key_id, task))
        held = self._held.get(key_id)
        if held is not None and held.good_until is not None and self._clock.now() < held.good_until:
            return held.key
        return await asyncio.shield(asking)

    def find_sealing(self, tenant: str) -> Key | None:
        """The key that seals for this tenant, if that was known a moment ago."""
        key_id, seen_at = self._sealing.get(tenant, (b"", None))
        # A clock that was set back must not keep a key sealing.
        if seen_at is None or not timedelta(0) <= self._clock.now() - seen_at < SEALS_FOR:
            return None
        return self.find(key_id)

    async def get_sealing(self, tenant: str) -> Key:
        """The key that seals for this tenant: its newest one, made if there is none. Errors as for `get`."""
        seen_at = self._clock.now()
        row = await self._rows.find_newest(tenant) or await self._make_first(tenant)
        key = await self.get(bytes.fromhex(row.id), row)
        if len(self._sealing) >= MOST_HELD:
            self._sealing.clear()
        self._sealing[tenant] = key.id, seen_at
        return key

    def look_again(self) -> None:
        """Ask at the next sealing which key seals: newer ones were made."""
        self._sealing.clear()

    async def make(self, tenant: str, generation: int) -> DataKey:
        """A fresh key, wrapped by the ring's first one. Not stored yet. Errors of wrapping."""
        root, wrapper = os.urandom(KEY_BYTES), self._keyring.first
        key = Key(root, DATA_KEY_ID_BYTES)
        wrapped = await wrapper.wrap(root, _context(tenant, key.id.hex()))
        self._hold(key, wrapper)
        return DataKey(key.id.hex(), tenant, generation, wrapped, wrapper.name, self._clock.now())

    async def rewrap(self, row: DataKey) -> bool:
        """Have this key wrapped by the ring's first one from now on. False if it is, or somebody else changed it."""
        first, context = self._keyring.first, _context(row.tenant, row.id)
        if row.wrapped_by == first.name:
            return False
        root = await self._wrapper(row).unwrap(row.wrapped, context)
        return await self._rows.rewrap(row, await first.wrap(root, context), first.name)

    async def list_missing_wrappers(self) -> list[str]:
        """The ring keys that the database's data keys need and the ring does not have."""
        return sorted(name for name in await self._rows.list_wrappers() if self._keyring.find(name) is None)

    async def unwrap(self, row: DataKey) -> Key:
        """The key of a row, whatever is held. Errors as for `get`."""
        root = await self._wrapper(row).unwrap(row.wrapped, _context(row.tenant, row.id))
        key = Key(root, DATA_KEY_ID_BYTES)
        if key.id.hex() != row.id:
            raise VaultError(
                f"Data key {row.id} unwraps to another key: it was moved here from another row. "
                "Restore the table data_keys from a backup."
            )
        return key

    async def _make_first(self, tenant: str) -> DataKey:
        """Of processes that make a tenant's first key at the same time one does, and the others take that one."""
        made = await self.make(tenant, 1)
        await self._rows.insert([made])
        return await self._rows.find_newest(tenant) or made

    async def _ask(self, key_id: bytes, row: DataKey | None) -> Key:
        row = row or await self._rows.find(key_id.hex())
        if row is None:
            raise VaultError(
                f"A sealed value needs data key {key_id.hex()}, which is not in this database. "
                "Restore the table data_keys from a backup, or connect again."
            )
        try:
            key = await self.unwrap(row)
        except KeyUnavailableError as error:
            if (held := self._held.get(key_id)) is None or not self._outlast(held):
                raise
            log.warning("data key %s is used from memory: %s", row.id, error)
            return held.key
        except VaultError:
            self._held.pop(key_id, None)
            raise
        self._hold(key, self._wrapper(row))
        return key

    def _answered(self, key_id: bytes, task: asyncio.Task[Key]) -> None:
        del self._asking[key_id]
        if not task.cancelled():
            task.exception()  # seen, so that a failure without a waiter is not reported as forgotten

    def _wrapper(self, row: DataKey) -> WrappingKey:
        if wrapper := self._keyring.find(row.wrapped_by):
            return wrapper
        raise VaultError(
            f"Data key {row.id} is wrapped by vault key {row.wrapped_by}, which is not in the key ring. "
            "Put that key back behind the present one."
        )

    def _hold(self, key: Key, wrapper: WrappingKey) -> None:
        now = self._clock.now()
        fresh, good = (now + ASKED_EVERY, now + 2 * ASKED_EVERY) if wrapper.is_remote else (None, None)
        self._held[key.id] = _Held(key, now, fresh, good)
        self._held.move_to_end(key.id)
        if len(self._held) > MOST_HELD:
            self._held.popitem(last=False)

    def _outlast(self, held: _Held) -> bool:
        """Whether a key may be used although the service does not answer. Then it is asked again in half a minute."""
        now, end = self._clock.now(), held.confirmed_at + OUTLASTS
        held.fresh_until = min(now + _ASKED_AGAIN, end)
        held.good_until = min(now + 2 * ASKED_EVERY, end)
        return now < end


def _context(tenant: str, key_id: str) -> Context:
    return {"application": "atp-gateway", "purpose": "data-key", "tenant": tenant, "key": key_id}

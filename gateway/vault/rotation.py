"""Turns the keys while the gateway goes on working, and checks that everything opens.

A rotation has every data key wrapped by the ring's first key, gives each tenant a fresh data key, seals every value
anew with it, and retires the former data keys once no value needs them. It changes a value by compare-and-set on its
bytes and nothing else in a row, so calls, refreshes and consents do not notice; where one of them writes in between,
its value stays, and is met again in the next pass. Half of the time it lets the database rest.

It may be killed at any point, and run twice at once. What is unfinished can be read off the database: a tenant with
more than one data key that is not retired. A later rotation then finishes that one instead of beginning another.

Other processes seal with the former key until they look again, `SEALS_FOR` at most. So the passes go on until one that
began later than that has found nothing. What was sealed before and is written still later (renewed tokens wait while
the database fails, `gateway.oauth.unstored`) is not lost: a retired key opens what it sealed, `verify` counts it, and
the next rotation takes it along. A retired key is destroyed by a rotation a day later, if no row needs it then.

Below: vault, data_keys, and the store's rows. Above: the command line.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from gateway.clock import Clock
from gateway.errors import KeyUnavailableError, VaultError
from gateway.store.data_key_rows import DataKeyRows
from gateway.store.sealed_rows import TABLES, SealedRow, SealedRows
from gateway.types import DataKey
from gateway.vault.data_keys import SEALS_FOR
from gateway.vault.vault import BY_DATA_KEY, HEAD_BYTES, Binding, SealedBy, Vault, own_binding, sealed_by

PAGE = 50
"""Rows read, and at most exchanged in one transaction: it holds SQLite's one write lock for a few milliseconds."""
DESTROYED_AFTER = timedelta(days=1)
_FIELDS = {
    "connections": "tokens",
    "flows": "verifier",
    "revocations": "tokens",
    "signing_keys": "key",
    "webhooks": "secret",
    "local_accounts": "totp",
    "marks": "value",
}
"""What a table's sealed value is called in its binding."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rotation is. `seen` of about `total` values in this pass; `sealed` anew in all passes."""

    step: Literal["wrapping", "sealing", "waiting"]
    passes: int = 0
    seen: int = 0
    total: int = 0
    sealed: int = 0


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did. `broken` are the values that do not open, which stay as they are."""

    resumed: bool
    rewrapped: int
    made: int
    sealed: int
    retired: int
    destroyed: int
    broken: Sequence[Broken]


@dataclass(frozen=True, slots=True)
class Broken:
    """A value, or a data key, that does not open, and why. Never what is in it."""

    table: str
    id: str
    reason: str
    needs: str = ""
    """The id of the key that sealed it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """`opened` values by what sealed them, and what did not open."""

    opened: dict[SealedBy, int]
    broken: Sequence[Broken]


class Rotation:
    """`settle` is how long other processes may go on sealing with a former key."""

    def __init__(
        self,
        rows: SealedRows,
        key_rows: DataKeyRows,
        vault: Vault,
        clock: Clock,
        *,
        settle: timedelta = SEALS_FOR,
    ) -> None:
        self._rows = rows
        self._key_rows = key_rows
        self._vault = vault
        self._data_keys = vault.data_keys
        self._clock = clock
        self._settle = settle.total_seconds()

    async def run(self, report: Callable[[Progress], None] = lambda _: None) -> Rotated:
        """Rotate, or finish a rotation that was begun. KeyUnavailableError, VaultError where a key is missing."""
        report(Progress("wrapping"))
        rewrapped = [await self._data_keys.rewrap(key) for key in await self._key_rows.list_all()].count(True)
        keys = await self._key_rows.list_all()
        resumed = len(_unfinished(keys)) > 0
        made = [] if resumed else await self._make_next(keys)
        self._data_keys.look_again()
        began = time.monotonic()
        sealed, passes = 0, 0
        while True:
            passes, pass_began = passes + 1, time.monotonic()
            changed, broken = await self._pass(passes, sealed, report)
            sealed += changed
            if not changed and pass_began >= began + self._settle:
                break
            if (wait := began + self._settle - time.monotonic()) > 0:
                report(Progress("waiting", passes, sealed=sealed))
                await asyncio.sleep(wait)
        retired = await self._retire(broken)
        return Rotated(resumed, rewrapped, len(made), sealed, retired, await self._destroy(), broken)

    async def verify(self) -> Verified:
        """Unwrap every data key, and open every value."""
        opened: Counter[SealedBy] = Counter()
        broken = []
        for key in await self._key_rows.list_all():
            try:
                await self._data_keys.unwrap(key)
            except KeyUnavailableError:
                raise
            except VaultError as error:
                broken.append(Broken("data_keys", key.id, str(error), key.id))
        async for page in self._pages():
            for row in page:
                try:
                    await self._vault.open(row.sealed, binding_of(row))
                    opened[sealed_by(row.sealed)] += 1
                except VaultError as error:
                    broken.append(_broken(row, error))
        return Verified(dict(opened), broken)

    async def list_keys(self) -> list[DataKey]:
        """All data keys, by tenant, the oldest first: a tenant's last one seals."""
        return await self._key_rows.list_all()

    async def count(self) -> Counter[SealedBy]:
        """How many values each key has sealed. Opens nothing."""
        counts: Counter[SealedBy] = Counter()
        for head, rows in (await self._rows.count_heads(HEAD_BYTES)).items():
            counts[sealed_by(head)] += rows
        return counts

    async def _make_next(self, keys: Sequence[DataKey]) -> list[DataKey]:
        """Each tenant's next key: all of them in one transaction, so that there is no rotation of some tenants."""
        newest = {key.tenant: key.generation for key in keys}
        made = [await self._data_keys.make(tenant, generation + 1) for tenant, generation in newest.items()]
        await self._key_rows.insert(made)
        return made

    async def _pass(self, number: int, sealed: int, report: Callable[[Progress], None]) -> tuple[int, list[Broken]]:
        """Look at every value once, and seal anew what its tenant's newest key has not sealed; how many that were."""
        newest = {key.tenant: key.id for key in await self._key_rows.list_all()}
        total = sum((await self.count()).values())
        seen = changed = 0
        broken: list[Broken] = []
        async for page in self._pages():
            began = time.monotonic()
            changes = []
            for row in page:
                if sealed_by(row.sealed) == SealedBy(BY_DATA_KEY, newest.get(binding_of(row).principal.tenant, "")):
                    continue
                try:
                    changes.append((row, await self._anew(row)))
                except VaultError as error:
                    broken.append(_broken(row, error))
            await self._rows.exchange(changes)
            seen, changed = seen + len(page), changed + len(changes)
            report(Progress("sealing", number, seen, total, sealed + changed))
            if changes:
                await asyncio.sleep(time.monotonic() - began)
        return changed, broken

    async def _anew(self, row: SealedRow) -> bytes:
        binding = binding_of(row)
        return await self._vault.seal(await self._vault.open(row.sealed, binding), binding)

    async def _retire(self, broken: Sequence[Broken]) -> int:
        """Retire the keys that have a successor and that no value which opens needs."""
        counts = await self.count()
        counts.subtract(Counter(SealedBy(BY_DATA_KEY, value.needs) for value in broken))
        needed = {by.key_id for by, values in counts.items() if values > 0}
        return await self._key_rows.retire(
            [key.id for key in _unfinished(await self._key_rows.list_all()) if key.id not in needed], self._clock.now()
        )

    async def _destroy(self) -> int:
        """Destroy the keys that were retired long ago, unless a value turned up that needs one."""
        before = self._clock.now() - DESTROYED_AFTER
        old = [key.id for key in await self._key_rows.list_all() if key.retired_at and key.retired_at < before]
        needed = {by.key_id for by in await self.count()}
        return await self._key_rows.drop([key_id for key_id in old if key_id not in needed])

    async def _pages(self) -> AsyncIterator[list[SealedRow]]:
        for table in TABLES:
            after = ""
            while page := await self._rows.list_page(table, after, PAGE):
                yield page
                after = page[-1].id


def binding_of(row: SealedRow) -> Binding:
    """What a stored value was sealed to: told from its row alone."""
    if row.principal is None:
        return own_binding(row.table, row.id, _FIELDS[row.table])
    return Binding(row.table, row.id, row.principal, row.provider, _FIELDS[row.table], row.version)


def _broken(row: SealedRow, error: VaultError) -> Broken:
    """Raises the error where it is not the value's fault."""
    if isinstance(error, KeyUnavailableError):
        raise error
    return Broken(row.table, row.id, str(error), row.sealed[1:HEAD_BYTES].hex())


def _unfinished(keys: Sequence[DataKey]) -> list[DataKey]:
    """The keys, not retired, that have a successor. `keys` come by tenant, the oldest first."""
    newest = {key.tenant: key for key in keys}
    return [key for key in keys if key is not newest[key.tenant] and key.retired_at is None]

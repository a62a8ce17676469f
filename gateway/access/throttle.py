"""How fast one may guess: so many attempts are free, for each account and from each address, then each costs a wait.

An attempt counts as a failure before anybody knows how it ends: a hundred at the same moment are a hundred. The account
need not exist. Below: the store's rows. Above: local_accounts.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import timedelta
from functools import partial
from math import ceil

from gateway.clock import Clock
from gateway.errors import TooManySignInsError
from gateway.store.throttle_rows import ThrottleRows

FREE_FOR_ACCOUNT = 5
FREE_FROM_ADDRESS = 20
_FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
FORGIVEN_AFTER = timedelta(hours=1)
_MOST_DOUBLINGS = 5


class Throttle:
    def __init__(self, rows: ThrottleRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    async def attempt(self, account: str, address: str) -> None:
        """Count an attempt to sign in. TooManySignInsError where there were too many: then nothing is to be tried."""
        now = self._clock.now()
        for name, free in ((_from(address), FREE_FROM_ADDRESS), (_for(account), FREE_FOR_ACCOUNT)):
            free_at = await self._rows.attempt(name, now, partial(_pause, free), FORGIVEN_AFTER)
            if free_at is not None:
                raise TooManySignInsError(ceil((free_at - now).total_seconds()))

    async def succeeded(self, account: str, address: str, attempts: int) -> None:
        """All of it went well, in so many attempts: the account begins anew, and they do not count for the address."""
        await self._rows.forget(_for(account))
        await self._rows.take_back(_from(address), attempts)


def _pause(free: int, failures: int) -> timedelta:
    if failures < free:
        return timedelta(0)
    return min(LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(failures - free, _MOST_DOUBLINGS)))


def _for(account: str) -> str:
    return hashlib.sha256(f"account {account}".encode()).hexdigest()


def _from(address: str) -> str:
    """An address as a person has it: of version 6, a whole network (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return hashlib.sha256(b"address").hexdigest()
    if isinstance(found, ipaddress.IPv6Address):
        address = str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return hashlib.sha256(f"address {address}".encode()).hexdigest()

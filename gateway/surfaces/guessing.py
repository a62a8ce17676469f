"""How fast one may guess keys, tokens and clients' secrets: so many wrong ones are free, then one each second.

Counted for each address, in this process's memory. None of them can be guessed, having 128 random bits and more; this
keeps somebody who tries from having the database asked for each. Whoever was let in lately still is, from whichever
address: a guesser takes nobody's place. Not counted is an address that may be many people's: this machine's own, and a
proxy inside our network, where `trusted_proxies` names none.

Not here: passwords (`gateway.access.throttle`). Above: the edge.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil

from starlette.types import Scope

from gateway.access.recent import Recent
from gateway.surfaces.doors import Door, Entrance
from gateway.surfaces.proxies import network_of
from gateway.surfaces.refusal import GUESSING, Refusal

log = logging.getLogger(__name__)

FREE = 100
"""Wrong credentials in a row. A program with a token that has ended sends one, then asks for another."""
MOST_ADDRESSES = 10_000
_RIGHT_FOR = 600.0  # seconds
_KEY_IN_THE_PATH = ("/api/", "/ws/")  # of the ATP protocol


class Guessing:
    """`knows_proxies`: a request's `client` is whoever calls, behind our own. Of more addresses than `most` the oldest
    are forgotten. `timer` counts seconds, as `time.monotonic` does."""

    def __init__(
        self, *, knows_proxies: bool = False, most: int = MOST_ADDRESSES, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._knows_proxies = knows_proxies
        self._timer = timer
        self._wrong: dict[str, tuple[float, float]] = {}
        self._right: Recent[bool] = Recent(_RIGHT_FOR, timer)
        self._warned = False

    def refusal(self, scope: Scope, headers: Mapping[str, str], shown: bytes | None) -> Refusal | None:
        """429 where too many wrong ones came from there lately, and this one is not known to be right."""
        if shown is None or not self._wrong or (address := self._address(scope, headers)) not in self._wrong:
            return None
        over = self._count(address) + 1 - FREE
        if over <= 0 or self._right.find(shown):
            return None
        return replace(GUESSING, headers={"retry-after": str(ceil(over))})

    def note(self, scope: Scope, headers: Mapping[str, str], shown: bytes | None, status: int) -> None:
        """How a request went that showed something."""
        if not shown and status != 401:
            return
        if status == 401 and shown is not None and (address := self._address(scope, headers)) is not None:
            count = self._count(address) + 1
            self._wrong.pop(address, None)
            if len(self._wrong) >= self._most:
                del self._wrong[next(iter(self._wrong))]
            self._wrong[address] = count, self._timer()
        elif 0 < status < 400 and not self._right.find(shown):
            self._right.keep(shown, found=True)

    def _address(self, scope: Scope, headers: Mapping[str, str]) -> str | None:
        """Where a request is from, a network of version 6 as one; None where others may come from there as well."""
        address = (scope.get("client") or ("",))[0]
        whose = network_of(address)
        if whose is None or (found := ipaddress.ip_address(address)).is_loopback:
            return None
        if found.is_private and "x-forwarded-for" in headers and not self._knows_proxies:
            if not self._warned:
                self._warned = True
                log.warning("a proxy at %s says for whom it asks; if it is yours, name it in trusted_proxies", found)
            return None
        return whose

    def _count(self, address: str) -> float:
        count, at = self._wrong.get(address, (0.0, 0.0))
        return max(0.0, count - (self._timer() - at))


def shown_in(scope: Scope, headers: Mapping[str, str], door: Door) -> bytes | None:
    """A digest of what a request shows to be let in. Empty where only the route can see it, None for nothing at all."""
    text = headers.get("authorization")
    if text is None and door.path.startswith(_KEY_IN_THE_PATH):
        text = scope["path"]
    if text is not None:
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    by_itself = door.entrance in (Entrance.PUBLIC, Entrance.OPEN) and scope.get("method") == "POST"
    return b"" if by_itself else None

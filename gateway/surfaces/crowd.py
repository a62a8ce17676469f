"""How many connections one address may hold: a third of all that the gateway takes, so that it leaves room for others.

A whole office may come from one address, so few would be too few. Not counted is what may be many people's without
number: this machine, and the proxies that `trusted_proxies` names. Counting costs a connection, not a request.

Below: `proxies`. Above: `server`.
"""

from __future__ import annotations

import logging
from collections import Counter

from gateway.providers.addresses import is_loopback
from gateway.surfaces.proxies import Proxies, network_of

log = logging.getLogger(__name__)


class Crowd:
    """Counts connections by address. `most` is for one address; `proxies` are our own."""

    def __init__(self, most: int, proxies: Proxies) -> None:
        self._most = most
        self._proxies = proxies
        self._there: Counter[str] = Counter()
        self._warned = False

    def enter(self, peer: str) -> bool:
        """Count a connection from there. False where it is one too many; it counts until it `leave`s all the same."""
        whose = network_of(peer)
        if whose is None or is_loopback(whose) or self._proxies.trusts(peer):
            return True
        self._there[whose] += 1
        if self._there[whose] <= self._most:
            return True
        if not self._warned:
            self._warned = True
            log.warning(
                "%s holds %d connections and gets no more; if it is a proxy of yours, name it in trusted_proxies",
                whose,
                self._most,
            )
        return False

    def leave(self, peer: str) -> None:
        """One of them has ended."""
        whose = network_of(peer)
        if whose is not None and self._there[whose] > 1:
            self._there[whose] -= 1
        elif whose is not None:
            self._there.pop(whose, None)

"""A circuit for each token endpoint: when it is down for several people, it is asked for one of them at a time.

    closed    everybody may ask; a success forgets the failures before it
    open      after failures of `TRIPS` connections in a row: nobody may, until the pause is over
    probing   one may; its success closes the circuit, its failure begins another pause

One connection's failures alone do not open it: that one may be broken by itself, and its own back-off is in its row.
Pure: times are given. In this process only; others find out for themselves. Above: refresher.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.store.times_ahead import is_ahead

TRIPS = 3
_FORGOTTEN = timedelta(hours=1)
_PROBE = timedelta(seconds=15)
"""After so long a probe that did not report is forgotten: longer than a request may take."""


@dataclass(slots=True)
class Circuit:
    """One endpoint's."""

    failed_at: datetime
    _failed: set[str] = field(default_factory=set)
    _shut_until: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """How long until it may be asked again. Zero: now."""
        if self._shut_until is None or not is_ahead(self._shut_until, now):
            return timedelta(0)
        return self._shut_until - now

    def enter(self, now: datetime) -> timedelta:
        """Somebody is about to ask: `wait`, and if they may, the others wait for what comes of it while it is open."""
        wait = self.wait(now)
        if not wait and self._shut_until is not None:
            self._shut_until = now + _PROBE
        return wait

    def failed(self, connection_id: str, now: datetime, pause: timedelta) -> None:
        """It did not serve this connection, and is to be left alone for `pause`, if it serves the others no better."""
        self.failed_at = now
        if len(self._failed) < TRIPS:
            self._failed.add(connection_id)
        if len(self._failed) >= TRIPS:
            self._shut_until = now + pause


class Circuits:
    """Circuits by name. Those of endpoints that work, or that nobody has asked for long, take no room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}

    def wait(self, name: str) -> timedelta:
        """See `Circuit`, as for the others."""
        circuit = self._circuits.get(name)
        return circuit.wait(self._clock.now()) if circuit else timedelta(0)

    def enter(self, name: str) -> timedelta:
        circuit = self._circuits.get(name)
        return circuit.enter(self._clock.now()) if circuit else timedelta(0)

    def failed(self, name: str, connection_id: str, pause: timedelta) -> None:
        now = self._clock.now()
        self._circuits = {key: one for key, one in self._circuits.items() if now - one.failed_at < _FORGOTTEN}
        self._circuits.setdefault(name, Circuit(now)).failed(connection_id, now, pause)

    def answered(self, name: str) -> None:
        """It works: it gave tokens, or a reason why it does not."""
        self._circuits.pop(name, None)

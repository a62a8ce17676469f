"""How often one may call: each person, each person each tool, and everybody of a tenant together.

A bucket for each, which holds a minute's calls and fills up evenly: after a rest they may all be made at once. A call
that is refused counts nowhere, so nobody's flood takes more of a tenant's calls than the person is allowed. In memory,
of this process: with several processes behind one address everybody has as many times more.

Source: ITU-T I.371, the generic cell rate algorithm, virtual scheduling. Above: the executor, the settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from math import ceil

from gateway.errors import RateLimitedError, SettingsError
from gateway.types import Principal

_MINUTE = 60.0
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class CallsPerMinute:
    """Calls a minute; 0: as many as one likes. `tool` is for each tool that a person calls."""

    person: int = 0
    tool: int = 0
    tenant: int = 0

    def check(self) -> None:
        """SettingsError for numbers that cannot be meant together."""
        where = "[access.calls_per_minute]"
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise SettingsError(f"{where} {field.name} is below 0. Write how many, or 0 for as many as one likes.")
        if self.tenant and not 0 < self.person <= self.tenant:
            raise SettingsError(
                f"{where} lets one person use up the {self.tenant} calls of everybody in their tenant. Set person to a "
                "part of tenant."
            )
        if self.person and self.tool > self.person:
            raise SettingsError(
                f"{where} tool is {self.tool}, and nobody gets that far: person is {self.person}. Make tool less, or "
                "leave it out."
            )


class Rates:
    """Counts calls. `timer` gives seconds that never go back."""

    def __init__(self, limits: CallsPerMinute = CallsPerMinute(), timer: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._timer = timer
        self._person = _Buckets(limits.person)
        self._tool = _Buckets(limits.tool)
        self._tenant = _Buckets(limits.tenant)
        self._counts = limits != CallsPerMinute()

    def refusal(self, principal: Principal, tool: str) -> RateLimitedError | None:
        """Count a call, and None; or why and how long it has to wait, and it is not counted."""
        if not self._counts:
            return None
        now, person = self._timer(), (principal.tenant, principal.issuer, principal.subject)
        wanted = ((self._person, person), (self._tool, (*person, tool)), (self._tenant, principal.tenant))
        waits = [buckets.wait(key, now) for buckets, key in wanted]
        if not any(waits):
            for buckets, key in wanted:
                buckets.take(key, now)
            return None
        longest = max(range(3), key=waits.__getitem__)
        return RateLimitedError(f"{self._said(tool)[longest]} Call again in {ceil(waits[longest])} s.")

    def _said(self, tool: str) -> tuple[str, str, str]:
        limits = self._limits
        return (
            f"You have made the {limits.person} calls that one person may make in a minute.",
            f"You have made the {limits.tool} calls of {tool} that one person may make in a minute.",
            f"Everybody in your tenant has made the {limits.tenant} calls that you may make together in a minute.",
        )


class _Buckets:
    """One bucket a key. Kept is when each will be full again; one that is full need not be kept.

    Bounded: where more are in use than that, who has not called for longest begins anew.
    """

    def __init__(self, a_minute: int) -> None:
        self._interval = _MINUTE / a_minute if a_minute else 0.0
        self._full_at: dict[Hashable, float] = {}

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until the next call; 0.0: now."""
        if not self._interval:
            return 0.0
        return max(0.0, self._full_at.get(key, now) + self._interval - now - _MINUTE - _ROUNDING)

    def take(self, key: Hashable, now: float) -> None:
        if not self._interval:
            return
        full_at = max(self._full_at.pop(key, now), now) + self._interval
        for _ in range(2):  # more than come in, so that what is no longer needed goes
            oldest = next(iter(self._full_at), None)
            if oldest is None or (self._full_at[oldest] > now and len(self._full_at) < _MOST):
                break
            del self._full_at[oldest]
        self._full_at[key] = full_at


_ROUNDING = 1e-6
"""Sums of a fraction of a minute end a little above it."""

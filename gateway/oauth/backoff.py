"""How long to leave a provider alone that did not serve us, and how to say it.

For ten minutes about every half a minute: one attempt in 30 seconds burdens nobody, and a provider that is back serves
everyone again within 35. Then ever more rarely, with full jitter, up to a quarter of an hour. A provider that says
when (`Retry-After`) is believed the first time, and never tried sooner than it says.

Pure but for chance. Above: refresher.
"""

from __future__ import annotations

import random
from datetime import timedelta

LONGEST = timedelta(minutes=15)
_STEADY = 20  # failures: ten minutes
_SHORTEST, _JITTER = 30.0, 4.0  # seconds


def pause(failures: int, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait after so many failures in a row; `failures` is 1 after the first."""
    if failures <= 1 and retry_after:
        return min(max(retry_after, timedelta(seconds=1)), LONGEST)
    longest = min(_SHORTEST * 2.0 ** min(failures - _STEADY, 10), LONGEST.total_seconds())
    ours = random.uniform(_SHORTEST, max(longest, _SHORTEST + _JITTER))  # noqa: S311 - spreads attempts, hides nothing
    return min(max(timedelta(seconds=ours), retry_after or timedelta(0)), LONGEST)


def in_words(wait: timedelta) -> str:
    """`wait` for a person, rounded up: never too short."""
    seconds = max(1, -(-wait // timedelta(seconds=1)))
    return f"{seconds} s" if seconds <= 120 else f"{-(-seconds // 60)} min"

"""How long a grant lives, as far as it can be foreseen: when to use it lest it die of idleness, when it ends anyway.

What the catalogue says of the provider (`gateway.providers`: idle, absolute) and what a token answer says of the
grant, worked out once with each new token and written into the row, so that upkeep finds the due ones by an index.

Pure: times are given. Above: refresher, consent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.oauth.apps import ProviderApp
from gateway.providers.grant_types import Refresh
from gateway.types import Connection

WARN_AHEAD = timedelta(hours=96)
"""The person is told three days ahead at least: a day before that, in case the gateway does not run for a day."""
_SHARE = 0.45
_SHORTEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Lifespan:
    """The columns of a Connection that look ahead. None: nothing is foreseen."""

    renew_at: datetime | None = None
    ends_at: datetime | None = None
    warn_at: datetime | None = None
    warned_at: datetime | None = None

    def on(self, connection: Connection) -> Connection:
        return replace(
            connection, renew_at=self.renew_at, ends_at=self.ends_at, warn_at=self.warn_at, warned_at=self.warned_at
        )


FOREVER = Lifespan()


def of_new_grant(app: ProviderApp, *, now: datetime, told: datetime | None, renewable: bool) -> Lifespan:
    """Of a grant that the person has just given. `told` is its end, where the token answer names one."""
    refresh = app.provider.refresh
    limits = [refresh.absolute, refresh.testing if app.testing else None]
    ends = [now + timedelta(seconds=limit) for limit in limits if limit]
    ends_at = told or min(ends, default=None)
    return _lifespan(refresh, now, ends_at, told, renewable=renewable)


def of_renewed_grant(app: ProviderApp, former: Connection, *, now: datetime, told: datetime | None) -> Lifespan:
    """Of the same grant after a refresh. An absolute end stays where it was; one that moves on is told anew."""
    ends_at = told or former.ends_at
    fresh = _lifespan(app.provider.refresh, now, ends_at, told, renewable=True)
    if ends_at is None or former.ends_at is None or ends_at - former.ends_at > timedelta(minutes=5):
        return fresh
    # The same end, give or take what clocks and whole seconds do to it: the person is told of it once.
    return Lifespan(fresh.renew_at, former.ends_at, former.warn_at, former.warned_at)


def _lifespan(
    refresh: Refresh, now: datetime, ends_at: datetime | None, told: datetime | None, *, renewable: bool
) -> Lifespan:
    return Lifespan(
        renew_at=_renewal(refresh, now, told) if renewable else None,
        ends_at=ends_at,
        warn_at=ends_at - min(WARN_AHEAD, (ends_at - now) / 2) if ends_at else None,
    )


def _renewal(refresh: Refresh, now: datetime, told: datetime | None) -> datetime | None:
    """Half-way to the limit at the latest: well before anybody is warned of an end that a refresh moves on."""
    limits = [timedelta(seconds=refresh.idle)] if refresh.idle else []
    if told is not None and refresh.rotates != "no":
        limits.append(told - now)  # the end of this refresh token: its successor may have another
    if limits and refresh.absolute:
        limits.append(timedelta(seconds=refresh.absolute))
    return now + max(min(limits) * _SHARE, _SHORTEST) if limits else None

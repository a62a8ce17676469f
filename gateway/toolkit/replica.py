"""One of several gateways with the same database, and what is said of the workers that it holds.

Below: the vocabulary. Above: `gateway.store.replica_rows`, which keeps it, and `gateway.remote`, which says what it
means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.key_types import ApiKey


@dataclass(frozen=True, slots=True)
class Replica:
    """A gateway, for as long as its process lives: `id` is random. The others reach it at `url`."""

    id: str
    url: str


class Held(NamedTuple):
    """A gateway has workers of this toolkit that came with this key."""

    tenant: str
    toolkit: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Holding:
    """Another gateway has workers of this toolkit that came with `key`, of which only what a call asks is known."""

    tenant: str
    toolkit: str
    replica: Replica
    key: ApiKey

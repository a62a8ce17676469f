"""A tool that a toolkit from afar registered, as it is kept: what was pinned of it, and what waits for review.

Below: nothing. Above: `gateway.store.remote_rows`, which keeps it, and `gateway.remote`, which says what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """One tool of one toolkit.

    `definition` is what hosts are shown, as JSON, and `code_hash` the SHA-256 of the source that came with it; both are
    empty while nobody has approved any. `proposed` is what the toolkit says now instead, with `proposed_code_hash`, and
    waits for an administrator; `rejected` is one that an administrator turned down. `changed_at` is when any of it last
    changed. `removed_at`: since when the toolkit no longer has the tool; what was pinned is kept, lest a tool come back
    changed.
    """

    tenant: str
    toolkit: str
    name: str
    changed_at: datetime
    definition: str = ""
    code_hash: str = ""
    proposed: str = ""
    proposed_code_hash: str = ""
    rejected: str = ""
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RemoteSet:
    """The tools of a toolkit as a whole: when the first was registered, and the hash of the set it last committed to.

    The hash is empty while it has not committed to any.
    """

    created_at: datetime
    toolkit_hash: str = ""

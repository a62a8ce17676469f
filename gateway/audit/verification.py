"""Whether the chains of the record are whole: read from end to end, link by link, while the gateway may go on.

What is found is the first row at which a chain is not what it has to be. Rows that were altered, moved or inserted
have another hash; rows that were removed leave a gap, or an end before the end that is noted. Pruned rows (`retention`)
leave a row that says how far, in the chain itself. Somebody who can write to the whole database can make a whole new
chain: compare with anchors, links of former days that were kept elsewhere.

Also: calls that were begun and have no end. They are under way, or the gateway was killed in the middle of them.

Below: store. Above: the command line. Not imported by what serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.audit.call_record import BEGUN
from gateway.store.audit_chain import GENESIS, Entry, Link
from gateway.store.trail_rows import TrailRows
from gateway.types import AuditEvent

_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Broken:
    """The first thing that is wrong with a chain: at which row, and what, in a sentence."""

    seq: int
    event_id: str | None
    what: str


@dataclass(slots=True)
class Chain:
    """What was found of a tenant's chain. `head` is the last row that is right, `pruned_to` the last that was pruned.

    `unfinished` are the calls that were begun and have no end, by id; `anchors` is how many were compared.
    """

    tenant: str
    rows: int = 0
    head: Link = GENESIS
    pruned_to: Link | None = None
    since: datetime | None = None
    until: datetime | None = None
    unfinished: dict[str, AuditEvent] = field(default_factory=dict)
    anchors: int = 0
    broken: Broken | None = None


async def verify(trail: TrailRows, anchors: Mapping[str, Sequence[Link]] | None = None) -> list[Chain]:
    """All chains, by tenant. `anchors` are links that are known to have been there, by tenant."""
    wanted = dict(anchors or {})
    tenants = sorted({*await trail.heads(), *wanted})
    return [await _Walk(trail, tenant, wanted.get(tenant, ())).run() for tenant in tenants]


class _BrokenError(Exception):
    def __init__(self, seq: int, what: str, event_id: str | None = None) -> None:
        super().__init__(what)
        self.found = Broken(seq, event_id, what)


class _Walk:
    """One chain, from its beginning to its end."""

    def __init__(self, trail: TrailRows, tenant: str, anchors: Sequence[Link]) -> None:
        self._trail = trail
        self._chain = Chain(tenant)
        self._anchors = {anchor.seq: anchor for anchor in anchors}

    async def run(self) -> Chain:
        try:
            while await self._read_on() or not await self._is_the_end():
                pass
            self._check_what_anchors_are_left()
        except _BrokenError as error:
            self._chain.broken = error.found
        return self._chain

    async def _read_on(self) -> bool:
        """Read all rows that are there. Whether there were any."""
        page = await self._trail.page(self._chain.tenant, self._chain.head.seq, _PAGE)
        for entry in page:
            if entry.link.seq != self._chain.head.seq + 1:
                await self._bridge(entry)
            self._take(entry)
        return bool(page)

    def _take(self, entry: Entry) -> None:
        chain, event = self._chain, entry.event
        link = chain.head.to(event)
        if link != entry.link:
            raise _BrokenError(
                entry.link.seq, "was altered, or rows were inserted or put in another order here", event.id
            )
        chain.head = link
        chain.rows += 1
        chain.since = min(chain.since or event.at, event.at)
        chain.until = max(chain.until or event.at, event.at)
        if event.action == "tool.begun":
            chain.unfinished[event.id] = event
        chain.unfinished.pop(event.id + BEGUN, None)
        self._compare(link)

    async def _bridge(self, entry: Entry) -> None:
        """Go on at this row, if everything before it was pruned, and the chain says so."""
        missing = f"{self._chain.head.seq + 1} to {entry.link.seq - 1}"
        [first] = await self._trail.page(self._chain.tenant, 0, 1) or [entry]
        known = [link for link in await self._trail.pruned_to(self._chain.tenant) if link.seq == entry.link.seq - 1]
        if not known or first.link.seq != entry.link.seq:
            raise _BrokenError(self._chain.head.seq + 1, f"is missing: rows {missing} were removed")
        self._chain.head = self._chain.pruned_to = known[0]
        self._compare(known[0])

    async def _is_the_end(self) -> bool:
        """Whether the chain ends here, as is noted. False: rows have come since."""
        tenant, here = self._chain.tenant, self._chain.head
        noted = (await self._trail.heads()).get(tenant)
        if noted is None:
            if self._chain.rows == 0:
                return True  # asked for by an anchor alone
            raise _BrokenError(here.seq, "is the last that is there, and the end of the chain is not noted any more")
        if noted.seq > here.seq:
            if await self._trail.page(tenant, here.seq, 1):
                return False
            raise _BrokenError(here.seq + 1, f"is missing: rows {here.seq + 1} to {noted.seq}, the last, were removed")
        if noted != here:
            raise _BrokenError(here.seq, f"goes beyond the end that is noted, which is row {noted.seq}")
        return True

    def _compare(self, link: Link) -> None:
        anchor = self._anchors.pop(link.seq, None)
        if anchor is None:
            return
        if anchor != link:
            raise _BrokenError(link.seq, "is not the row that the anchor is of: the chain was made anew")
        self._chain.anchors += 1

    def _check_what_anchors_are_left(self) -> None:
        """Those in the part that was pruned say nothing; those beyond the end say that it is not the end."""
        last = self._chain.head.seq
        if beyond := [seq for seq in self._anchors if seq > last]:
            raise _BrokenError(last + 1, f"is missing: row {last} is the last, and there is an anchor of {min(beyond)}")

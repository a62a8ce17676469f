"""The chain of the audit: each row's hash covers the row and the hash before it, so that none is changed unseen.

    hash(n) = SHA-256(hash(n - 1) || the row as canonical JSON)        hash(0) = 32 zero bytes

Each tenant has a chain of its own, numbered from 1: its trail can be kept, exported and verified without anybody
else's. The canonical form never changes: stored hashes stand on it. A field that is empty is left out, so that a field
which is new one day changes nothing about older rows.

What a chain shows: that rows were altered, moved, inserted, or removed. What it cannot show by itself: that somebody
with the whole database in their hands made a new chain of it. For that, keep a `Link` elsewhere, and compare.

Pure: no database. Above: `audit_rows`, `trail_rows`, `gateway.audit.verification`, and the migration that began it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Self

from gateway.store.column_types import storable
from gateway.types import AuditEvent, Principal

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_LONGEST = 400
_LONGEST_NAME = 400  # bytes: the three names of a person share an index entry, which PostgreSQL holds to 2,700
_TEXTS = ("action", "outcome", "client", "client_id", "tool", "provider", "account", "reference", "arguments")


@dataclass(frozen=True, slots=True)
class Link:
    """A place in a chain: the number of a row, and the hash of everything up to it. Written `12:9f…`."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """A link from its written form. ValueError."""
        seq, _, digest = text.partition(":")
        if len(digest) != hashlib.sha256().digest_size * 2:
            raise ValueError("a link is a number, a colon, and 64 hexadecimal digits")
        return cls(int(seq), bytes.fromhex(digest))

    def to(self, event: AuditEvent) -> Link:
        """The link of the row that comes next, if it holds this event."""
        seq = self.seq + 1
        return Link(seq, hashlib.sha256(self.hash + canonical(event, seq)).digest())


GENESIS = Link(0, bytes(32))


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the audit: the event, and its place in the chain of the tenant."""

    event: AuditEvent
    link: Link


def canonical(event: AuditEvent, seq: int) -> bytes:
    """A row as the hash covers it: JSON in UTF-8, its keys sorted, without blanks."""
    return _encode(described(event, seq)).encode()


def described(event: AuditEvent, seq: int) -> dict[str, Any]:
    """A row's fields in JSON's types, without those that are empty."""
    fields: dict[str, Any] = {
        "seq": seq,
        "id": event.id,
        "at": f"{event.at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z",
        "tenant": event.principal.tenant,
        "issuer": event.principal.issuer,
        "subject": event.principal.subject,
        "duration_ms": event.duration_ms,
        "scopes": sorted(event.scopes) or None,
        **{name: getattr(event, name) for name in _TEXTS},
    }
    return {name: value for name, value in fields.items() if value is not None}


def as_stored(event: AuditEvent) -> AuditEvent:
    """The event as it comes out of either database, however long or odd what came in was."""
    if _fits(event):
        return event
    person = event.principal
    texts: dict[str, Any] = {name: _text(value) for name in _TEXTS if (value := getattr(event, name))}
    return replace(
        event,
        principal=Principal(_name(person.issuer), _name(person.subject), _name(person.tenant)),
        duration_ms=None if event.duration_ms is None else float(event.duration_ms),
        scopes=frozenset(_text(scope) for scope in event.scopes),
        **texts,
    )


def _fits(event: AuditEvent) -> bool:
    """Whether it comes out as it goes in: nearly every one does."""
    person, took = event.principal, event.duration_ms
    texts = [getattr(event, name) for name in _TEXTS]
    every = "".join((person.issuer, person.subject, person.tenant, *filter(None, texts), *event.scopes))
    short = len(every) <= min(_LONGEST, _LONGEST_NAME)  # all of them together, then each by itself
    return short and every.isascii() and "\0" not in every and (took is None or isinstance(took, float))


def _text(text: str) -> str:
    return storable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _name(text: str) -> str:
    return storable(text).encode()[:_LONGEST_NAME].decode(errors="ignore")

"""Numbers and ids that are always the same for the same person, in whatever form a vendor has them.

Above: the vendors' twins.
"""

from __future__ import annotations

import hashlib
import uuid

from gateway.testing.grants import Person


def number_of(person: Person) -> int:
    """Eight digits."""
    return 10_000_000 + int(hashlib.sha256(person.name.encode()).hexdigest(), 16) % 90_000_000


def uuid_of(person: Person) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, person.subject))


def names_of(person: Person) -> tuple[str, str]:
    """First and last."""
    first, _, last = person.full_name.partition(" ")
    return first, last

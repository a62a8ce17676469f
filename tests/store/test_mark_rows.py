"""What a store does with marks, on each database."""

from __future__ import annotations

from gateway.store.store import Store


async def test_the_first_value_under_a_name_stays(store: Store) -> None:
    assert await store.marks.find("sentinel") is None
    assert await store.marks.put_if_absent("sentinel", b"\x00first") == b"\x00first"
    assert await store.marks.put_if_absent("sentinel", b"second") == b"\x00first"
    assert await store.marks.find("sentinel") == b"\x00first"
    assert await store.marks.find("another") is None

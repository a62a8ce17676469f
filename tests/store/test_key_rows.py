"""API keys at rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.errors import StoreUnavailableError
from gateway.key_types import ApiKey, KeyKind
from gateway.store.store import Store
from gateway.store.tables import ApiKeyRow

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def key(number: int = 1, **changes: Any) -> ApiKey:
    made = ApiKey(f"k{number}", KeyKind.APP, "Notes", "default", f"atpg_app_{number:06}", NOW)
    return replace(made, **changes)


async def test_a_key_comes_back_as_it_was_stored_and_by_its_whole_digest_alone(store: Store) -> None:
    every_field = key(
        last_used_at=NOW,
        revoked_at=NOW,
        providers=frozenset({"hubspot"}),
        may=frozenset({"call", "tokens"}),
        toolkits=frozenset({"crm"}),
        return_urls=("https://b.example/", "https://a.example/"),
    )
    await store.keys.insert(every_field, b"digest")
    await store.keys.insert(key(2, toolkits=frozenset()), b"another")

    assert await store.keys.find(b"digest") == every_field
    assert await store.keys.find(b"another") == key(2, toolkits=frozenset())
    assert await store.keys.find(b"diges") is None


async def test_any_toolkit_is_not_no_toolkit(store: Store) -> None:
    await store.keys.insert(key(1, toolkits=None), b"1")
    await store.keys.insert(key(2, toolkits=frozenset()), b"2")

    assert [each.toolkits for each in await store.keys.list_all()] == [None, frozenset()]


async def test_two_keys_never_have_one_digest(store: Store) -> None:
    await store.keys.insert(key(1), b"same")

    with pytest.raises(StoreUnavailableError) as raised:
        await store.keys.insert(key(2), b"same")

    assert isinstance(raised.value.__cause__, IntegrityError)


async def test_keys_are_called_by_id_and_by_prefix(store: Store) -> None:
    await store.keys.insert(key(1), b"1")
    await store.keys.insert(key(2, prefix=key(1).prefix), b"2")

    assert await store.keys.list_called("k1") == [key(1)]
    assert {each.id for each in await store.keys.list_called(key(1).prefix)} == {"k1", "k2"}
    assert await store.keys.list_called("atpg_app_") == []


async def test_a_key_is_revoked_once_and_the_first_time_stays(store: Store) -> None:
    await store.keys.insert(key(), b"digest")

    assert await store.keys.revoke("k1", NOW)
    assert not await store.keys.revoke("k1", NOW + MINUTE)
    assert not await store.keys.revoke("unknown", NOW)
    assert (await store.keys.find(b"digest")) == key(revoked_at=NOW)


async def test_those_who_change_a_key_at_the_same_time_undo_nothing_of_each_other(store: Store) -> None:
    await store.keys.insert(key(), b"digest")

    def grant(provider: str) -> Any:
        return lambda found: replace(found, providers=found.providers | {provider})

    await asyncio.gather(*(store.keys.change("k1", grant(str(number))) for number in range(12)))

    found = await store.keys.find(b"digest")
    assert found is not None
    assert found.providers == {str(number) for number in range(12)}


async def test_only_what_a_key_may_do_can_be_changed_and_only_while_it_lives(store: Store) -> None:
    await store.keys.insert(key(), b"digest")

    def rename(found: ApiKey) -> ApiKey:
        return replace(found, name="Other", tenant="other", kind=KeyKind.ADMIN, may=frozenset({"call"}))

    await store.keys.change("k1", rename)
    assert await store.keys.find(b"digest") == key(may=frozenset({"call"}))

    await store.keys.revoke("k1", NOW)
    assert await store.keys.change("k1", rename) is None
    assert await store.keys.change("unknown", rename) is None


async def test_the_use_of_a_key_is_noted_once_a_minute_by_all_together(store: Store) -> None:
    await store.keys.insert(key(), b"digest")

    noted = await asyncio.gather(*(store.keys.note_use("k1", NOW, MINUTE) for _ in range(8)))
    soon = await store.keys.note_use("k1", NOW + MINUTE - timedelta(seconds=1), MINUTE)
    later = await store.keys.note_use("k1", NOW + MINUTE, MINUTE)

    assert (sum(noted), soon, later) == (1, False, True)
    assert (await store.keys.list_all())[0].last_used_at == NOW + MINUTE


def test_a_row_prints_no_digest() -> None:
    row = ApiKeyRow(id="k1", digest=b"canary")

    assert "canary" not in f"{row!r} {row!s}"

"""What a store does with connections, on each database."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.store.store import Store
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)
ANNA = Principal("issuer", "anna")
BERND = Principal("issuer", "bernd")
OAUTH2 = CredentialKind.OAUTH2


def connection(connection_id: str = "c1", **changes: Any) -> Connection:
    made = Connection(
        id=connection_id,
        principal=ANNA,
        provider="acme",
        kind=OAUTH2,
        account_id=f"account of {connection_id}",
        account_label="anna@example.com",
        scopes=frozenset({"write", "read"}),
        status=ConnectionStatus.ACTIVE,
        sealed=b"\x00sealed\xff",
        created_at=NOW,
        updated_at=NOW,
        expires_at=NOW + timedelta(hours=1, microseconds=7),
        is_default=True,
    )
    return dataclasses.replace(made, **changes)


def renewed(former: Connection, **changes: Any) -> Connection:
    return dataclasses.replace(former, version=former.version + 1, sealed=b"new", **changes)


async def stored(store: Store, connection_id: str = "c1") -> Connection:
    found = await store.connections.find_by_id(ANNA, connection_id)
    assert found is not None
    return found


async def test_a_connection_comes_back_as_it_was_stored(store: Store) -> None:
    every_field = connection(
        status=ConnectionStatus.NEEDS_REAUTH,
        status_reason="refresh token revoked",
        version=7,
        lease_owner="me",
        lease_until=LATER,
        refresh_not_before=LATER,
    )
    await store.connections.insert(every_field)

    assert await stored(store) == every_field


async def test_times_come_back_aware_and_in_utc(store: Store) -> None:
    elsewhere = datetime.fromisoformat("2030-06-01T08:00:00.000001+05:30")
    await store.connections.insert(connection(expires_at=elsewhere))

    expires_at = (await stored(store)).expires_at

    assert expires_at == elsewhere
    assert expires_at is not None
    assert expires_at.tzinfo is UTC


async def test_groups_are_not_stored(store: Store) -> None:
    await store.connections.insert(connection(principal=dataclasses.replace(ANNA, groups=frozenset({"staff"}))))

    assert (await stored(store)).principal == ANNA


async def test_a_second_connection_to_one_account_is_refused_and_the_first_left_alone(store: Store) -> None:
    assert await store.connections.insert(connection("c1", account_id="a"))
    assert not await store.connections.insert(connection("c2", account_id="a", sealed=b"other"))

    assert await store.connections.list_all(ANNA) == [connection("c1", account_id="a")]


async def test_the_people_of_an_issuer_are_those_with_a_connection_that_is_not_revoked(store: Store) -> None:
    def of(subject: str, tenant: str = "default", issuer: str = "app:shop") -> Principal:
        return Principal(issuer, subject, tenant)

    people = [of("b"), of("a"), of("c", tenant="acme"), of("d", issuer="app:sho"), of("e", issuer="app:shop2")]
    for number, principal in enumerate([*people, of("a")]):
        await store.connections.insert(connection(f"c{number}", principal=principal, account_id=str(number)))
    await store.connections.insert(connection("gone", principal=of("f"), status=ConnectionStatus.REVOKED))

    assert await store.connections.list_people("default", "app:shop", 9) == [of("a"), of("b")]
    assert await store.connections.list_people("default", "app:shop", 1) == [of("a")]
    assert await store.connections.list_people("acme", "app:shop", 9) == [of("c", tenant="acme")]


async def test_an_account_belongs_to_the_person_and_provider_it_is_named_with(store: Store) -> None:
    one = connection("c1", account_id="a")
    for other in (
        connection("c2", account_id="b"),
        connection("c3", account_id="a", provider="other"),
        connection("c4", account_id="a", principal=BERND),
        connection("c5", account_id="a", principal=dataclasses.replace(ANNA, tenant="t")),
        connection("c6", account_id="a", principal=dataclasses.replace(ANNA, issuer="i")),
        one,
    ):
        assert await store.connections.insert(other)

    assert await store.connections.find_account(ANNA, "acme", OAUTH2, "a") == dataclasses.replace(one, is_default=False)


async def test_a_call_gets_the_default_and_not_the_newest_connection(store: Store) -> None:
    for number in (2, 1, 3):
        await store.connections.insert(connection(f"c{number}", created_at=NOW + timedelta(seconds=number)))

    assert await default_of(store) == ["c2"]
    found = await store.connections.find(ANNA, "acme", OAUTH2)
    assert found is not None
    assert found.id == "c2"


async def test_a_default_that_needs_reauthorization_is_not_silently_left_for_another_account(store: Store) -> None:
    await store.connections.insert(connection("c1"))
    await store.connections.insert(connection("c2"))
    assert await store.leases.give_up(await stored(store), reason="It is over.", now=LATER)

    found = await store.connections.find(ANNA, "acme", OAUTH2)

    assert found is not None
    assert (found.id, found.status) == ("c1", ConnectionStatus.NEEDS_REAUTH)


async def default_of(store: Store) -> list[str]:
    return [row.id for row in await store.connections.list_all(ANNA) if row.is_default]


async def test_an_account_connected_in_the_place_of_a_default_that_has_ended_takes_it_over(store: Store) -> None:
    await store.connections.insert(connection("c1", status=ConnectionStatus.NEEDS_REAUTH))

    kept = await store.connections.insert(connection("c2"))

    assert kept is not None
    assert kept.is_default
    assert await default_of(store) == ["c2"]


async def test_an_account_connected_again_takes_over_from_a_default_that_has_ended(store: Store) -> None:
    await store.connections.insert(connection("c1", status=ConnectionStatus.NEEDS_REAUTH))
    await store.connections.insert(connection("c2", status=ConnectionStatus.NEEDS_REAUTH))
    assert await default_of(store) == ["c2"]

    again = renewed(connection("c1"), status=ConnectionStatus.ACTIVE)
    await store.connections.replace(again, expected_version=1)

    assert await default_of(store) == ["c1"]


async def test_an_account_connected_again_leaves_a_working_default_alone(store: Store) -> None:
    await store.connections.insert(connection("c1"))
    await store.connections.insert(connection("c2"))

    for number, version in (("c1", 1), ("c2", 1), ("c1", 2)):
        row = await stored(store, number)
        assert await store.connections.replace(renewed(row), expected_version=version)

    assert await default_of(store) == ["c1"]


async def test_a_person_chooses_their_default_and_nobody_elses(store: Store) -> None:
    for made in (connection("c1"), connection("c2"), connection("c3", principal=BERND), connection("c4", provider="b")):
        await store.connections.insert(made)

    chosen = await store.connections.set_default(ANNA, "c2")

    assert chosen is not None
    assert (chosen.id, chosen.is_default) == ("c2", True)
    assert await default_of(store) == ["c2", "c4"]
    assert await store.connections.set_default(ANNA, "c3") is None
    assert await store.connections.set_default(ANNA, "c0") is None
    assert await default_of(store) == ["c2", "c4"]


async def test_the_default_passes_on_when_it_is_dropped(store: Store) -> None:
    later = {"created_at": LATER}
    for made in (
        connection("c1"),
        connection("c2", status=ConnectionStatus.NEEDS_REAUTH),
        connection("c4", **later),
        connection("c3"),
    ):
        await store.connections.insert(made)

    await store.connections.drop(ANNA, "c4")
    assert await default_of(store) == ["c1"]
    await store.connections.drop(ANNA, "c1")
    assert await default_of(store) == ["c3"]
    await store.connections.drop(ANNA, "c3")
    assert await default_of(store) == ["c2"]
    await store.connections.drop(ANNA, "c2")
    assert await store.connections.list_all(ANNA) == []


async def test_however_many_accounts_are_connected_and_chosen_at_once_there_is_one_default(store: Store) -> None:
    made = [connection(f"c{number}") for number in range(12)]

    async def keep(one: Connection) -> None:
        while await store.connections.insert(one) is None:
            pass

    await asyncio.gather(*map(keep, made))
    assert len(await default_of(store)) == 1
    await asyncio.gather(*(store.connections.set_default(ANNA, one.id) for one in made))
    assert len(await default_of(store)) == 1


async def test_the_accounts_to_choose_from_are_those_that_work_the_default_first(store: Store) -> None:
    for made in (
        connection("c1"),
        connection("c2", status=ConnectionStatus.NEEDS_REAUTH),
        connection("c3"),
        connection("c4", principal=BERND),
    ):
        await store.connections.insert(made)
    await store.connections.set_default(ANNA, "c3")

    found = await store.connections.list_accounts(ANNA)

    assert [(account.id, account.sealed) for account in found] == [("c3", b""), ("c1", b"")]


async def test_a_call_gets_one_that_needs_reauthorization_when_there_is_no_other(store: Store) -> None:
    tired = connection(status=ConnectionStatus.NEEDS_REAUTH)
    await store.connections.insert(tired)

    assert await store.connections.find(ANNA, "acme", OAUTH2) == tired


@pytest.mark.parametrize(
    "change",
    [{"status": ConnectionStatus.REVOKED}, {"kind": CredentialKind.API_KEY}, {"provider": "other"}],
)
async def test_a_call_never_gets_a_revoked_connection_or_one_of_another_kind(
    store: Store, change: dict[str, Any]
) -> None:
    await store.connections.insert(connection(**change))

    assert await store.connections.find(ANNA, "acme", OAUTH2) is None


async def test_a_persons_connections_are_listed_by_provider_the_oldest_first(store: Store) -> None:
    for made in (
        connection("c1", provider="b"),
        connection("c2", provider="a", created_at=LATER),
        connection("c3", provider="a"),
        connection("c4", principal=BERND),
    ):
        await store.connections.insert(made)

    assert [found.id for found in await store.connections.list_all(ANNA)] == ["c3", "c2", "c1"]


async def test_new_tokens_take_the_place_of_the_former_and_end_lease_and_back_off(store: Store) -> None:
    former = connection(
        lease_owner="me", lease_until=LATER, refresh_started_at=NOW, refresh_not_before=LATER, failures=3,
        status=ConnectionStatus.NEEDS_REAUTH,
    )  # fmt: skip
    await store.connections.insert(former)
    new = renewed(
        former, status=ConnectionStatus.ACTIVE, scopes=frozenset({"more"}), account_label="Anna", updated_at=LATER
    )

    assert await store.connections.replace(new, expected_version=1)
    assert await stored(store) == dataclasses.replace(
        new, lease_owner=None, lease_until=None, refresh_started_at=None, refresh_not_before=None, failures=0
    )


async def test_of_two_writers_of_the_same_version_the_second_learns_that_it_lost(store: Store) -> None:
    await store.connections.insert(connection())
    first, second = renewed(connection()), renewed(connection(), account_label="second")

    assert await store.connections.replace(first, expected_version=1)
    assert not await store.connections.replace(second, expected_version=1)
    assert await stored(store) == first


@pytest.mark.parametrize("change", [{"principal": BERND}, {"account_id": "b"}, {"provider": "b"}, {"id": "c2"}])
async def test_new_tokens_never_land_on_another_account_or_person(store: Store, change: dict[str, Any]) -> None:
    await store.connections.insert(connection())

    assert not await store.connections.replace(renewed(connection(), **change), expected_version=1)
    assert await stored(store) == connection()


async def test_new_tokens_without_a_new_version_are_a_bug(store: Store) -> None:
    await store.connections.insert(connection())

    with pytest.raises(ValueError, match="new version"):
        await store.connections.replace(connection(), expected_version=1)


async def test_a_dropped_connection_is_gone(store: Store) -> None:
    await store.connections.insert(connection())

    assert await store.connections.drop(ANNA, "c1")
    assert not await store.connections.drop(ANNA, "c1")
    assert await store.connections.find_by_id(ANNA, "c1") is None


async def test_labels_from_outside_are_stored_whatever_they_hold(store: Store) -> None:
    await store.connections.insert(connection(account_label="a\0b\ud800c ü 🎈"))

    assert (await stored(store)).account_label == "a\ufffdb?c ü 🎈"

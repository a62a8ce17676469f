"""Who may renew a connection's tokens, and what becomes of the row, on each database."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.clock import MovableClock
from gateway.store.store import Store
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)
ANNA = Principal("issuer", "anna")


def connection(**changes: Any) -> Connection:
    made = Connection(
        id="c1",
        principal=ANNA,
        provider="acme",
        kind=CredentialKind.OAUTH2,
        account_id="account",
        account_label="anna@example.com",
        scopes=frozenset({"read"}),
        status=ConnectionStatus.ACTIVE,
        sealed=b"former",
        created_at=NOW,
        updated_at=NOW,
        is_default=True,  # the first one of a person is
        expires_at=LATER,
    )
    return dataclasses.replace(made, **changes)


def renewed(**changes: Any) -> Connection:
    return connection(**{"version": 2, "sealed": b"new", "updated_at": LATER} | changes)


async def claim(store: Store, owner: str = "me", *, version: int = 1, now: datetime = NOW) -> Connection | None:
    until = now + timedelta(seconds=30)
    return await store.leases.claim(connection(version=version), owner=owner, now=now, until=until)


async def held(store: Store, owner: str = "me", *, now: datetime = NOW) -> Connection:
    found = await claim(store, owner, now=now)
    assert found is not None
    return found


async def stored(store: Store) -> Connection:
    found = await store.leases.read(connection())
    assert found is not None
    return found


async def test_a_lease_has_one_holder_until_it_runs_out(store: Store) -> None:
    await store.connections.insert(connection())

    assert (await held(store, "first")).lease_owner == "first"
    assert await claim(store, "second", now=LATER - timedelta(microseconds=1)) is None
    assert (await stored(store)).lease_owner == "first"
    assert (await held(store, "second", now=LATER)).lease_owner == "second"


async def test_whoever_takes_over_from_one_that_never_ended_sees_since_when_it_is_in_doubt(store: Store) -> None:
    await store.connections.insert(connection())

    assert (await held(store, "first")).refresh_started_at == NOW
    assert (await held(store, "second", now=LATER)).refresh_started_at == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"status": ConnectionStatus.NEEDS_REAUTH},
        {"status": ConnectionStatus.REVOKED},
        {"refresh_not_before": LATER},
        {"principal": Principal("issuer", "bernd")},
    ],
)
async def test_a_lease_is_refused_where_a_refresh_makes_no_sense(store: Store, change: dict[str, Any]) -> None:
    """Tokens that have moved on, a grant that is gone, a back-off that is running, another person's."""
    await store.connections.insert(connection(**change))

    assert await claim(store) is None


async def test_a_refresh_stores_tokens_and_ends_lease_back_off_and_doubt(store: Store) -> None:
    await store.connections.insert(connection(failures=3, refresh_not_before=NOW))
    await claim(store)

    assert await store.leases.complete(renewed(failures=3, refresh_not_before=NOW), expected_version=1)
    assert await stored(store) == renewed()


async def test_of_two_holders_the_first_to_store_wins(store: Store) -> None:
    """One was paused until its lease was over. The provider gave tokens to both, or to the first alone."""
    await store.connections.insert(connection())
    await claim(store, "slow")
    await claim(store, "quick", now=LATER)

    assert await store.leases.complete(renewed(sealed=b"slow's"), expected_version=1)
    assert not await store.leases.complete(renewed(sealed=b"quick's"), expected_version=1)
    assert (await stored(store)).sealed == b"slow's"


async def test_tokens_win_over_a_refusal_that_was_about_their_predecessors(store: Store) -> None:
    """The one that took over was refused, because the paused one had the provider rotate: and it has the tokens."""
    await store.connections.insert(connection())
    await claim(store, "slow")
    assert await store.leases.refuse(await held(store, "quick", now=LATER), reason="invalid_grant", now=LATER)

    assert await store.leases.complete(renewed(), expected_version=1)
    assert (await stored(store)).status is ConnectionStatus.ACTIVE


async def test_a_refresh_does_not_overwrite_a_new_grant(store: Store) -> None:
    await store.connections.insert(connection())
    await claim(store)
    granted = renewed(account_label="granted anew")
    await store.connections.replace(granted, expected_version=1)

    assert not await store.leases.complete(renewed(sealed=b"late"), expected_version=1)
    assert (await stored(store)).sealed == granted.sealed


async def test_a_refresh_does_not_bring_a_dropped_or_ended_connection_back(store: Store) -> None:
    await store.connections.insert(connection(status=ConnectionStatus.REVOKED))
    assert not await store.leases.complete(renewed(), expected_version=1)

    await store.connections.drop(ANNA, "c1")
    assert not await store.leases.complete(renewed(), expected_version=1)
    assert await store.connections.list_all(ANNA) == []


async def test_new_tokens_without_a_new_version_are_a_bug(store: Store) -> None:
    with pytest.raises(ValueError, match="new version"):
        await store.leases.complete(connection(), expected_version=1)


@pytest.mark.parametrize("in_doubt", [True, False])
async def test_a_failed_refresh_keeps_the_tokens_and_notes_what_is_known(store: Store, *, in_doubt: bool) -> None:
    await store.connections.insert(connection())
    mine = await held(store)

    assert await store.leases.give_back(mine, failures=4, not_before=LATER, in_doubt=in_doubt)
    doubt = NOW if in_doubt else None
    assert await stored(store) == connection(failures=4, refresh_not_before=LATER, refresh_started_at=doubt)


async def test_a_refused_refresh_marks_the_connection_and_keeps_the_row(store: Store) -> None:
    await store.connections.insert(connection(renew_at=LATER, ends_at=LATER, warn_at=LATER))

    assert await store.leases.refuse(await held(store), reason="It is gone.", now=LATER)
    assert await stored(store) == connection(
        status=ConnectionStatus.NEEDS_REAUTH, status_reason="It is gone.", updated_at=LATER
    )


async def test_what_one_without_the_lease_says_changes_nothing(store: Store) -> None:
    await store.connections.insert(connection())
    paused = await held(store, "slow")
    winner = await held(store, "quick", now=LATER)

    assert not await store.leases.refuse(paused, reason="It is gone.", now=LATER)
    assert not await store.leases.give_back(paused, failures=1, not_before=LATER, in_doubt=False)
    assert await stored(store) == winner


async def test_tokens_that_nobody_can_renew_are_given_up_unless_there_are_others(store: Store) -> None:
    await store.connections.insert(connection(version=2))

    assert not await store.leases.give_up(connection(version=1), reason="Refused.", now=LATER)
    assert await store.leases.give_up(connection(version=2), reason="Refused.", now=LATER)
    assert (await stored(store)).status is ConnectionStatus.NEEDS_REAUTH


async def test_the_databases_clock_is_compared_with_the_machines(store: Store, database_url: str) -> None:
    """SQLite has none of its own: whoever shares the file shares the machine."""
    skewed = MovableClock(datetime.now(UTC) - timedelta(minutes=5))

    ahead = await store.ahead(skewed)

    if database_url.startswith("sqlite"):
        assert ahead == timedelta(0)
    else:
        assert timedelta(minutes=4, seconds=50) < ahead < timedelta(minutes=5, seconds=10)


async def test_a_time_from_before_the_clock_was_set_back_keeps_nobody_waiting(store: Store) -> None:
    await store.connections.insert(connection())
    await held(store, "dead", now=NOW + timedelta(hours=1))
    assert (await held(store, "mine")).lease_owner == "mine"

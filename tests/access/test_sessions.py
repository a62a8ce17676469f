"""A browser's session: who it is, how long, and that its end is one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.access.people import Arrival
from gateway.access.sessions import IDLE, KEPT_FOR, LONGEST
from gateway.access.sign_in import prune
from gateway.errors import SignInError
from gateway.store.store import Store
from gateway.types import AccessKind, Principal
from tests.access.household import Household, household

COMPANY = "https://login.company.example"
ADA = Arrival(Principal(COMPANY, "ada", groups=frozenset({"sales"})), "Ada Lovelace", "Ada@Example.com", "company")
BOB = Arrival(Principal(COMPANY, "bob"), "Bob", "bob@example.com", "company")


@pytest.fixture
async def house(sqlite_url: str) -> AsyncIterator[Household]:
    """On SQLite alone, for what has nothing to do with the database."""
    store = await Store.open(sqlite_url)
    async with household(store) as made:
        yield made
    await store.close()


@pytest.fixture
async def both(store: Store) -> AsyncIterator[Household]:
    """On SQLite, and on PostgreSQL."""
    async with household(store) as made:
        yield made


async def test_a_session_is_its_persons_with_the_groups_that_the_sign_in_told(both: Household) -> None:
    text = await both.sign_in.arrive(ADA, None)

    access = await both.sessions.browser({"cookie": f"theme=dark; atp-session={text.reveal()}"})

    assert access is not None
    assert (access.principal, access.kind, access.name) == (ADA.principal, AccessKind.SESSION, "Ada Lovelace")
    assert access.principal.groups == {"sales"}


@pytest.mark.parametrize(
    "cookie", ["", "atp-session=", "atp-session=short", f"atp-session={'x' * 43}", f"other={'x' * 43}", "=;=;;", "é"]
)
async def test_what_is_no_session_is_nobody(house: Household, cookie: str) -> None:
    await house.sign_in.arrive(ADA, None)

    assert await house.sessions.browser({"cookie": cookie}) is None


async def test_two_cookies_of_the_name_are_nobody_because_one_was_planted(house: Household) -> None:
    ada, bob = [await house.sign_in.arrive(who, None) for who in (ADA, BOB)]
    both = f"atp-session={ada.reveal()}; atp-session={bob.reveal()}"

    assert await house.sessions.browser({"cookie": both}) is None


async def test_nothing_at_rest_opens_a_session(house: Household) -> None:
    text = await house.sign_in.arrive(ADA, None)

    found = await house.store.sessions.find(text.reveal())

    assert found is None


async def test_a_sign_in_makes_a_new_id_and_ends_the_one_that_the_browser_had(house: Household) -> None:
    planted = await house.sign_in.arrive(BOB, None)

    fresh = await house.sign_in.arrive(ADA, planted)

    assert fresh.reveal() != planted.reveal()
    assert await house.sessions.find(planted) is None
    assert await house.sessions.find(fresh) is not None


async def test_a_session_ends_when_nobody_has_been_seen_for_half_a_day(house: Household) -> None:
    text = await house.sign_in.arrive(ADA, None)
    for _ in range(3):
        house.clock.advance(IDLE - timedelta(minutes=10))
        house.seconds[0] += 60
        assert await house.sessions.find(text) is not None

    house.clock.advance(IDLE)
    house.seconds[0] += 60

    assert await house.sessions.find(text) is None


async def test_a_session_ends_after_a_week_however_busy(house: Household) -> None:
    text = await house.sign_in.arrive(ADA, None)
    for _ in range(27):
        house.clock.advance(LONGEST / 28)
        house.seconds[0] += 60
        assert await house.sessions.find(text) is not None

    house.clock.advance(LONGEST / 28)

    assert await house.sessions.find(text) is None


async def test_who_signs_out_is_nobody_at_once(house: Household) -> None:
    text = await house.sign_in.arrive(ADA, None)
    assert await house.sessions.find(text) is not None

    await house.sessions.end(text)

    assert await house.sessions.find(text) is None


async def test_a_disabled_person_loses_their_sessions_within_seconds_and_gets_no_new_one(both: Household) -> None:
    text, bobs = [await both.sign_in.arrive(who, None) for who in (ADA, BOB)]
    assert await both.sessions.find(text) is not None
    ada = await both.people.called("ada@example.com")

    assert await both.people.disable(ada, by=BOB.principal)

    both.seconds[0] += KEPT_FOR  # another process may have looked just before
    assert await both.sessions.find(text) is None
    assert await both.sessions.find(bobs) is not None
    with pytest.raises(SignInError, match="any more"):
        await both.sign_in.arrive(ADA, None)
    assert await both.people.enable(ada, by=BOB.principal)
    assert await both.sessions.find(await both.sign_in.arrive(ADA, None)) is not None
    assert await both.sessions.find(text) is None


@pytest.mark.parametrize("issuer", ["local", "app:shop", "app:", "https://gateway.example"])
async def test_no_company_can_vouch_for_an_apps_users_or_ours_or_the_local_person(
    house: Household, issuer: str
) -> None:
    with pytest.raises(SignInError):
        await house.sign_in.arrive(Arrival(Principal(issuer, "ada"), None, None, "company"), None)


async def test_a_local_account_is_vouched_for_by_us_alone(house: Household) -> None:
    with pytest.raises(SignInError):
        await house.sign_in.arrive(Arrival(Principal(COMPANY, "ada"), None, None, "local"), None)


async def test_what_ended_long_ago_is_deleted(both: Household) -> None:
    text = await both.sign_in.arrive(ADA, None)
    both.clock.advance(LONGEST + timedelta(days=31))

    await prune(both.store, both.clock)

    assert await both.store.sessions.find(hashlib.sha256(text.reveal().encode()).hexdigest()) is None

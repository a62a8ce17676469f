"""What a refresh token is worth after it was replaced, and after a long time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.clock import MovableClock
from gateway.testing.authorization_server import PEOPLE
from gateway.testing.behaviour import FOR_EVER, Behaviour
from gateway.testing.grants import Grant, Grants, Issued, RefusalError

ALICE = PEOPLE[0]


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour(rotates=True)


@pytest.fixture
def grants(behaviour: Behaviour, clock: MovableClock) -> Grants:
    return Grants(behaviour, clock)


def fresh(grants: Grants) -> Issued:
    return grants.issue(Grant("app", ALICE, frozenset({"contacts"})))


def renew(grants: Grants, issued: Issued) -> Issued:
    assert issued.refresh_token is not None
    return grants.refresh("app", issued.refresh_token, frozenset())


def test_within_the_window_the_old_one_still_works(grants: Grants, behaviour: Behaviour, clock: MovableClock) -> None:
    behaviour.reuse_window = timedelta(seconds=30)
    first = fresh(grants)
    second = renew(grants, first)

    clock.advance(timedelta(seconds=29))
    third = renew(grants, first)
    assert [second.generation, third.generation] == [2, 3]
    clock.advance(timedelta(seconds=1))
    with pytest.raises(RefusalError) as refusal:
        renew(grants, first)
    assert refusal.value.reason == "replaced"
    with pytest.raises(RefusalError, match="revoked"):
        renew(grants, third)


def test_reuse_need_not_end_the_family(grants: Grants, behaviour: Behaviour) -> None:
    behaviour.reuse_revokes = False
    first = fresh(grants)
    second = renew(grants, first)

    with pytest.raises(RefusalError, match="replaced before"):
        renew(grants, first)
    assert renew(grants, second).generation == 3


def test_an_old_one_may_work_for_ever(grants: Grants, behaviour: Behaviour, clock: MovableClock) -> None:
    behaviour.reuse_window = FOR_EVER
    first = fresh(grants)
    renew(grants, first)

    clock.advance(timedelta(days=60))
    assert renew(grants, first).generation == 3


def test_an_old_one_may_work_until_its_successor_has(grants: Grants, behaviour: Behaviour) -> None:
    behaviour.reuse_until_used, behaviour.reuse_revokes = True, False
    first = fresh(grants)
    second = renew(grants, first)
    renew(grants, first)
    access = grants.find_access(second.access_token)
    assert access is not None

    grants.touch(access)

    with pytest.raises(RefusalError, match="replaced before"):
        renew(grants, first)


def test_a_grant_ends_when_it_is_not_used(grants: Grants, behaviour: Behaviour, clock: MovableClock) -> None:
    behaviour.rotates, behaviour.refresh_idle = False, timedelta(days=90)
    first = fresh(grants)
    for _ in range(3):
        clock.advance(timedelta(days=89))
        renew(grants, first)
    clock.advance(timedelta(days=90))

    with pytest.raises(RefusalError, match="expired"):
        renew(grants, first)


def test_a_grant_ends_after_its_life_however_much_it_rotates(
    grants: Grants, behaviour: Behaviour, clock: MovableClock
) -> None:
    behaviour.refresh_life = timedelta(days=7)
    newest = fresh(grants)
    for _ in range(6):
        clock.advance(timedelta(days=1))
        newest = renew(grants, newest)
    clock.advance(timedelta(days=1))

    with pytest.raises(RefusalError, match="expired"):
        renew(grants, newest)


def test_one_grant_too_many_ends_the_oldest(grants: Grants, behaviour: Behaviour) -> None:
    behaviour.most_grants = 5
    oldest, second, *_ = [fresh(grants) for _ in range(6)]

    with pytest.raises(RefusalError, match="revoked"):
        renew(grants, oldest)
    assert renew(grants, second)


def test_a_session_slides_with_use(grants: Grants, behaviour: Behaviour, clock: MovableClock) -> None:
    behaviour.slides = True
    token = grants.find_access(fresh(grants).access_token)
    assert token is not None
    for _ in range(4):
        clock.advance(timedelta(minutes=20))
        assert grants.is_live(token)
        grants.touch(token)
    clock.advance(timedelta(minutes=30))

    assert not grants.is_live(token)

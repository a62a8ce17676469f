"""A program's credential: what is one, what is none, and which way takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.access import standing
from gateway.access.authenticator import Refused
from gateway.access.keys import KEPT_FOR, Keys
from gateway.access.person_keys import PersonKeys
from gateway.access.programs import LONGEST, OVERTIME, Programs
from gateway.access.scopes import EVERY
from gateway.access.standing import Standing
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.key_types import KeyKind
from gateway.people_types import Person
from gateway.store.store import Store
from gateway.types import Access, AccessKind, Principal

ADMIN = Principal("local", "ada")
BEA = Principal("https://login.example", "bea", "acme", frozenset({"sales"}))


class Marked:
    """A way that takes tokens with its mark, and finds everybody Bea until `end`."""

    def __init__(self, mark: str, clock: MovableClock) -> None:
        self.mark, self.clock, self.asked, self.stood = mark, clock, 0, True

    def takes(self, token: str) -> bool:
        return token.startswith(self.mark)

    async def find(self, token: str) -> Access | Refused:
        self.asked += 1
        if token.endswith("bad"):
            return Refused.invalid("bad")
        return Access(BEA, client=self.mark, scopes=EVERY, expires_at=self.clock.now() + timedelta(minutes=10))

    async def stands(self, token: str, access: Access) -> bool:
        return self.stood


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def ways(clock: MovableClock) -> list[Marked]:
    return [Marked("one", clock), Marked("two", clock)]


@pytest.fixture
def programs(ways: list[Marked], clock: MovableClock) -> Programs:
    return Programs(ways, clock)


def sent(header: str) -> dict[str, str]:
    return {"authorization": header}


@pytest.mark.parametrize("header", ["Bearer one-x", "bearer one-x", "BEARER   one-x", "Bearer one.-_~+/x=="])
async def test_a_bearer_token_is_found_in_the_authorization_header(programs: Programs, header: str) -> None:
    found = await programs.program(sent(header))
    assert isinstance(found, Access)
    assert found.client == "one"


@pytest.mark.parametrize("headers", [{}, sent("Basic b25lOng="), sent("DPoP one-x"), {"cookie": "token=one-x"}])
async def test_without_a_bearer_token_there_is_no_credential(
    programs: Programs, ways: list[Marked], headers: dict[str, str]
) -> None:
    assert await programs.program(headers) is None
    assert await programs.browser(headers) is None
    assert ways[0].asked == 0


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer one-x, Bearer one-y",
        "Bearer one-x one-y",
        "Bearer\tone-x",
        "Bearer one-\xe9",
        "Bearer one-x; a=b",
        'Bearer "one-x"',
        "Bearer one=x",
        "Bearer one" + "x" * LONGEST,
        "Bearerone-x",
    ],
)
async def test_what_is_not_one_whole_token_is_refused_unread(
    programs: Programs, ways: list[Marked], header: str
) -> None:
    assert isinstance(await programs.program(sent(header)), Refused)
    assert ways[0].asked == 0


async def test_each_way_is_asked_about_its_own_tokens_alone(programs: Programs, ways: list[Marked]) -> None:
    found = await programs.program(sent("Bearer two-x"))
    assert isinstance(found, Access)
    assert found.client == "two"
    assert (await programs.program(sent("Bearer two-bad"))) == Refused.invalid("bad")
    assert isinstance(await programs.program(sent("Bearer three")), Refused)
    assert [way.asked for way in ways] == [0, 2]


async def test_a_request_outlives_its_token_for_an_hour_and_no_longer(
    programs: Programs, ways: list[Marked], clock: MovableClock
) -> None:
    access = await programs.program(sent("Bearer one-x"))
    assert isinstance(access, Access)
    clock.advance(timedelta(minutes=10) + OVERTIME)
    assert await programs.stands(sent("Bearer one-x"), access)
    clock.advance(timedelta(seconds=1))
    assert not await programs.stands(sent("Bearer one-x"), access)


async def test_what_was_taken_back_does_not_stand(programs: Programs, ways: list[Marked]) -> None:
    access = await programs.program(sent("Bearer one-x"))
    assert isinstance(access, Access)
    ways[0].stood = False
    assert not await programs.stands(sent("Bearer one-x"), access)
    assert not await programs.stands({}, access)


async def test_a_person_who_is_disabled_gets_in_by_nothing_and_what_they_have_open_ends(
    store: Store, ways: list[Marked], clock: MovableClock
) -> None:
    """In another process than the one that disabled them: when what was read is KEPT_FOR seconds old."""
    timer = Timer()
    programs = Programs(ways, clock, may_enter=Standing(store.people.list_disabled, timer=timer).may_enter)
    access = await programs.program(sent("Bearer one-x"))
    assert isinstance(access, Access)
    person = await store.people.put(Person("1", BEA, "Bea", None, BEA.groups, clock.now()))
    await store.people.disable(person, clock.now())
    timer.seconds += standing.KEPT_FOR
    assert not await programs.stands(sent("Bearer one-x"), access)
    refused = await programs.program(sent("Bearer one-x"))
    assert isinstance(refused, Refused)
    assert "may not come in" in refused.description
    await store.people.enable(person.id)
    timer.seconds += standing.KEPT_FOR
    assert isinstance(await programs.program(sent("Bearer one-x")), Access)


async def test_who_may_come_in_is_asked_once_for_everybody_who_comes(store: Store, clock: MovableClock) -> None:
    """A call costs the same, however many people there are."""
    asked, timer = 0, Timer()

    async def disabled() -> list[Principal]:
        nonlocal asked
        asked += 1
        return await store.people.list_disabled()

    door = Standing(disabled, timer=timer)
    crowd = [Principal("https://idp.example", f"person {number}") for number in range(200)]
    assert all(await asyncio.gather(*map(door.may_enter, crowd)))
    assert asked == 1
    gone = await store.people.put(Person("1", crowd[7], "Gone", None, frozenset(), clock.now()))
    await store.people.disable(gone, clock.now())
    timer.seconds += standing.KEPT_FOR
    found = await asyncio.gather(*map(door.may_enter, crowd))
    assert [number for number, may in enumerate(found) if not may] == [7]
    assert asked == 2


# --- people's keys ---


class Timer:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def keys(store: Store, clock: MovableClock) -> AsyncIterator[Keys]:
    audit = AuditLog(store.audit.append, clock)
    made = Keys(store.keys, audit, clock, timer=Timer())
    yield made
    await made.close()
    await audit.close()


async def test_whoever_shows_a_persons_key_acts_as_that_person(keys: Keys, clock: MovableClock) -> None:
    _, text = await keys.create(KeyKind.PERSON, "nightly report", by=ADMIN, owner=BEA)

    found = await Programs([PersonKeys(keys.find)], clock).program(sent(f"Bearer {text.reveal()}"))

    assert found == Access(BEA, client="nightly report", scopes=EVERY, kind=AccessKind.KEY)


@pytest.mark.parametrize("kind", [kind for kind in KeyKind if kind is not KeyKind.PERSON])
async def test_a_key_for_something_else_opens_nothing(keys: Keys, clock: MovableClock, kind: KeyKind) -> None:
    _, text = await keys.create(kind, "crm", by=ADMIN)

    found = await Programs([PersonKeys(keys.find)], clock).program(sent(f"Bearer {text.reveal()}"))

    assert isinstance(found, Refused)
    assert "a person's is needed here" in found.description


async def test_a_key_that_is_revoked_stands_no_longer(keys: Keys, clock: MovableClock) -> None:
    """Here at once; in another process when what it read is KEPT_FOR seconds old."""
    key, text = await keys.create(KeyKind.PERSON, "nightly report", by=ADMIN, owner=BEA)
    programs, headers = Programs([PersonKeys(keys.find)], clock), sent(f"Bearer {text.reveal()}")
    access = await programs.program(headers)
    assert isinstance(access, Access)
    assert await programs.stands(headers, access)

    await keys.revoke(key, by=ADMIN)

    assert KEPT_FOR <= 2
    assert not await programs.stands(headers, access)
    refused = await programs.program(headers)
    assert isinstance(refused, Refused)
    assert "was revoked" in refused.description

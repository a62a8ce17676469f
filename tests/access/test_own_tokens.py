"""Tokens of our own authorization server: told from others by their looks, believed only where they were made."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.access.authenticator import Refused
from gateway.access.own_tokens import OwnTokens
from gateway.clock import MovableClock
from gateway.types import Access, Principal
from tests.access.issuing import ISSUER, Login

OURS = "https://gateway.example.com"


class House:
    """Tokens of which one is good, and grants of which one is live."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.login = Login(self.clock.now())
        self.good = self.login.token(claims={"iss": OURS})
        self.live = {"grant"}
        self.access = Access(
            Principal(OURS, "4711"), "inspector", expires_at=self.clock.now() + timedelta(minutes=10), grant_id="grant"
        )
        self.way = OwnTokens(OURS, self, self.is_live, self.clock)

    async def find(self, text: str) -> Access | None:
        ended = self.clock.now() >= self.access.expires_at
        return None if ended or text != self.good or not self.live else self.access

    async def is_live(self, grant_id: str) -> bool:
        return grant_id in self.live


@pytest.fixture
def house() -> House:
    return House()


async def test_it_takes_what_names_us_as_its_issuer_and_nothing_else(house: House) -> None:
    assert house.way.takes(house.good)
    for other in (house.login.token(), house.login.token(claims={"iss": OURS + "/"}), "opaque", "a.b.c", "..", "a.b"):
        assert not house.way.takes(other)
    assert house.login.claims()["iss"] == ISSUER


async def test_a_token_that_names_us_and_is_none_of_ours_is_refused(house: House) -> None:
    assert await house.way.find(house.good) == house.access
    assert isinstance(await house.way.find(house.login.token(claims={"iss": OURS, "sub": "0815"})), Refused)


async def test_a_revoked_grant_ends_what_is_served_and_a_token_that_has_merely_ended_does_not(house: House) -> None:
    assert await house.way.stands(house.good, house.access)
    house.clock.advance(timedelta(minutes=11))
    assert isinstance(await house.way.find(house.good), Refused)
    assert await house.way.stands(house.good, house.access)
    house.live.clear()
    assert not await house.way.stands(house.good, house.access)

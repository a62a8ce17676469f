"""Tokens that only their issuer can read: asked about, remembered for a moment, believed only when they are for us."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import anyio
import pytest

from gateway.access.authenticator import Refused
from gateway.access.claims import Expected
from gateway.access.introspected_tokens import KEPT_FOR, IntrospectedTokens
from gateway.access.introspection import Introspection, TokenInfo
from gateway.access.issuer import Issuer
from gateway.access.presets import PRESETS
from gateway.access.scopes import EVERY
from gateway.clock import MovableClock
from gateway.errors import IssuerUnavailableError
from gateway.secret import Secret
from gateway.types import Access, Principal
from tests.access.issuing import ISSUER, RESOURCE, Login


class Timer:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class House:
    """A gateway that asks an issuer, whose answer is `said`: a status and JSON, or None for silence."""

    def __init__(self, preset: str = "rfc9068", audience: str = RESOURCE) -> None:
        self.clock, self.timer = MovableClock(), Timer()
        self.login = Login(self.clock.now())
        self.said: tuple[int, dict[str, Any]] | None = (200, {"active": True, **self.login.claims(iss=None)})
        self.posted: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = []
        self.held: anyio.Event | None = None
        self.was_asked = anyio.Event()
        issuer = Issuer(ISSUER, self.login.fetch, timer=self.timer)
        expected = Expected(ISSUER, frozenset({audience}), PRESETS[preset])
        tokeninfo = PRESETS[preset].tokeninfo
        ask: Any = Introspection(issuer, "gate way", Secret("s&cret+1"), self.post)
        if tokeninfo:
            ask = TokenInfo(tokeninfo, self.post)
        self.way = IntrospectedTokens(ask, expected, self.clock, timer=self.timer)

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]] | None:
        self.posted.append((url, form, headers))
        self.was_asked.set()
        if self.held:
            await self.held.wait()
        return self.said

    def pass_by(self, seconds: float) -> None:
        self.timer.seconds += seconds
        self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def house() -> House:
    return House()


async def test_the_issuer_is_asked_as_our_client_and_never_in_an_address(house: House) -> None:
    found = await house.way.find("opaque-token")

    assert isinstance(found, Access)
    assert (found.principal.issuer, found.principal.subject, found.client) == (ISSUER, "4711", "inspector")
    [(url, form, headers)] = house.posted
    assert url == "https://login.example.com/introspect"
    assert form == {"token": "opaque-token", "token_type_hint": "access_token"}
    assert b64decode(headers["Authorization"].removeprefix("Basic ")) == b"gate+way:s%26cret%2B1"


@pytest.mark.parametrize(
    "said",
    [
        {"active": False},
        {"active": "true"},
        {"active": 1},
        {"active": True, "token_type": "refresh_token"},
        {"active": True, "aud": "https://other.example.com/mcp"},
        {"active": True, "aud": None},
        {"active": True, "iss": "https://other.example.com"},
        {"active": True, "sub": None},
        {"active": True, "exp": 1},
        {"active": True, "exp": None},
    ],
)
async def test_a_token_that_is_not_good_for_us_is_refused(house: House, said: dict[str, Any]) -> None:
    claims = {**house.login.claims(iss=None), **said}
    house.said = (200, {name: value for name, value in claims.items() if value is not None})
    assert isinstance(await house.way.find("opaque-token"), Refused)


@pytest.mark.parametrize(
    "said",
    [None, (500, {}), (503, {"active": True}), (401, {"error": "invalid_client"}), (200, {}), (302, {}), (404, {})],
)
async def test_an_issuer_that_says_nothing_lets_nobody_in_and_is_asked_again(house: House, said: Any) -> None:
    good, house.said = house.said, said
    with pytest.raises(IssuerUnavailableError):
        await house.way.find("opaque-token")
    house.said = good
    assert isinstance(await house.way.find("opaque-token"), Access)


async def test_what_the_issuer_revokes_stops_working_within_five_seconds(house: House) -> None:
    """Four at the worst: a look every two, at an answer that is three old at most."""
    access = await house.way.find("opaque-token")
    assert isinstance(access, Access)
    house.said = (200, {"active": False})
    assert isinstance(await house.way.find("opaque-token"), Access)
    house.pass_by(KEPT_FOR)
    assert isinstance(await house.way.find("opaque-token"), Refused)
    assert not await house.way.stands("opaque-token", access)
    assert KEPT_FOR + 2 <= 5


async def test_a_token_that_has_merely_ended_ends_nothing_that_is_being_served(house: House) -> None:
    access = await house.way.find("opaque-token")
    assert isinstance(access, Access)
    house.said = (200, {"active": False})
    house.pass_by(700)
    assert await house.way.stands("opaque-token", access)
    assert isinstance(await house.way.find("opaque-token"), Refused)


async def test_a_thousand_who_bring_one_token_wait_for_one_answer(house: House) -> None:
    house.held = anyio.Event()
    asked = [asyncio.ensure_future(house.way.find("opaque-token")) for _ in range(1000)]
    with anyio.fail_after(5):
        await house.was_asked.wait()
    asked[0].cancel()
    house.held.set()
    with anyio.fail_after(5):
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, Access) for each in found) == 999
    assert len(house.posted) == 1


async def test_a_token_is_remembered_by_its_digest(house: House) -> None:
    await house.way.find("CNRY-opaque-token")
    assert b"CNRY-opaque-token" not in b" ".join(house.way._recent._kept)


# --- Google, which has tokeninfo instead ---


async def test_googles_tokens_are_good_when_they_were_given_to_our_app() -> None:
    house = House("google", "our-app")
    now = int(house.clock.now().timestamp())
    said = {"azp": "our-app", "aud": "our-app", "sub": "1087", "scope": "openid", "exp": str(now + 3000)}
    house.said = (200, said)
    found = await house.way.find("ya29.token")
    assert isinstance(found, Access)
    assert found.principal == Principal(ISSUER, "1087")
    assert (found.client, found.scopes) == ("our-app", EVERY)
    assert house.posted[0][0] == "https://oauth2.googleapis.com/tokeninfo"
    assert house.posted[0][2] == {"Authorization": "Bearer ya29.token"}


@pytest.mark.parametrize("said", [(400, {"error": "invalid_token"}), (401, {}), (200, {"aud": "another-app"})])
async def test_googles_other_tokens_are_refused(said: tuple[int, dict[str, Any]]) -> None:
    house = House("google", "our-app")
    now = int(house.clock.now().timestamp())
    house.said = (said[0], {"azp": "our-app", "sub": "1087", "exp": str(now + 3000), **said[1]})
    assert isinstance(await house.way.find("ya29.token"), Refused)


async def test_google_away_lets_nobody_in() -> None:
    house = House("google", "our-app")
    house.said = (503, {})
    with pytest.raises(IssuerUnavailableError):
        await house.way.find("ya29.token")

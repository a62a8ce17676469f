"""The issuer's keys: read when they are needed, not more often, and kept while it is away."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from gateway.access.issuer import FRESH_FOR, PAUSE, USABLE_FOR, Issuer, places
from gateway.clock import SystemClock
from gateway.errors import IssuerUnavailableError
from tests.access.issuing import ISSUER, JWKS, WELL_KNOWN, Login, key


class Timer:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def login() -> Login:
    return Login(SystemClock().now())


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
async def issuer(login: Login, timer: Timer):
    made = Issuer(ISSUER, login.fetch, timer=timer)
    yield made
    await made.close()


async def settled(issuer: Issuer) -> None:
    with anyio.fail_after(5):
        await asyncio.gather(*([issuer._reading] if issuer._reading else []), return_exceptions=True)


async def test_a_thousand_requests_at_once_read_the_keys_once(issuer: Issuer, login: Login) -> None:
    found = await asyncio.gather(*(issuer.key("one") for _ in range(1000)))
    assert all(each is not None for each in found)
    assert login.asked == [WELL_KNOWN, JWKS]


async def test_a_new_key_is_found_when_the_first_token_names_it(issuer: Issuer, login: Login, timer: Timer) -> None:
    await issuer.key("one")
    login.keys = [key("RSA", "two")]
    timer.seconds += PAUSE
    assert await issuer.key("two") is not None
    assert await issuer.key("one") is None


async def test_names_that_nobody_has_do_not_make_us_ask_again_and_again(
    issuer: Issuer, login: Login, timer: Timer
) -> None:
    await issuer.key("one")
    timer.seconds += PAUSE
    for number in range(1000):
        assert await issuer.key(f"made up {number}") is None
    assert login.asked.count(JWKS) == 2


async def test_old_keys_are_used_while_they_are_read_again(issuer: Issuer, login: Login, timer: Timer) -> None:
    await issuer.key("one")
    login.keys = [key("RSA", "two")]
    timer.seconds += FRESH_FOR
    assert await issuer.key("one") is not None
    await settled(issuer)
    assert await issuer.key("one") is None
    assert await issuer.key("two") is not None


async def test_known_keys_go_on_working_for_a_day_while_the_issuer_is_away(
    issuer: Issuer, login: Login, timer: Timer
) -> None:
    await issuer.key("one")
    login.is_down = True
    timer.seconds += USABLE_FOR - 1
    assert await issuer.key("one") is not None
    await settled(issuer)
    timer.seconds += PAUSE
    with pytest.raises(IssuerUnavailableError):
        await issuer.key("one")
    login.is_down = False
    with pytest.raises(IssuerUnavailableError):  # it was asked a moment ago
        await issuer.key("one")
    timer.seconds += PAUSE
    assert await issuer.key("one") is not None


async def test_a_key_that_is_not_known_cannot_be_told_from_a_new_one_while_the_issuer_is_away(
    issuer: Issuer, login: Login, timer: Timer
) -> None:
    await issuer.key("one")
    login.is_down = True
    timer.seconds += PAUSE
    for _ in range(3):
        with pytest.raises(IssuerUnavailableError):
            await issuer.key("two")
    assert await issuer.key("one") is not None


async def test_a_caller_who_gives_up_takes_nothing_from_the_others(issuer: Issuer) -> None:
    leaves = asyncio.ensure_future(issuer.key("one"))
    stays = asyncio.ensure_future(issuer.key("one"))
    await asyncio.sleep(0)
    leaves.cancel()
    with anyio.fail_after(5):
        assert await stays is not None


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"jwks_uri": "https://evil.example/keys"},
        {"jwks_uri": "http://login.example.com/keys"},
        {"jwks_uri": "https://127.0.0.1/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"introspection_endpoint": "https://evil.example/introspect"},
    ],
)
async def test_metadata_that_points_elsewhere_is_not_believed(
    issuer: Issuer, login: Login, change: dict[str, Any]
) -> None:
    login.metadata |= change
    with pytest.raises(IssuerUnavailableError):
        await issuer.key("one")
    assert JWKS not in login.asked or "introspection_endpoint" in change


async def test_an_endpoint_is_what_the_metadata_says(issuer: Issuer, login: Login) -> None:
    assert await issuer.endpoint("introspection_endpoint") == "https://login.example.com/introspect"
    with pytest.raises(IssuerUnavailableError, match="names no"):
        await issuer.endpoint("userinfo_endpoint")


def test_metadata_is_looked_for_where_both_standards_put_it() -> None:
    assert places("https://h.example/t") == [
        "https://h.example/.well-known/oauth-authorization-server/t",
        "https://h.example/t/.well-known/openid-configuration",
        "https://h.example/.well-known/openid-configuration/t",
    ]
    assert places("https://h.example/") == [
        "https://h.example/.well-known/oauth-authorization-server",
        "https://h.example/.well-known/openid-configuration",
    ]

"""A consent on another device: RFC 8628, against a token endpoint that answers by a script."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from gateway.errors import FlowError, ProviderMisconfiguredError, SettingsError
from gateway.oauth.consent import Consent
from gateway.oauth.device import DeviceConsents
from gateway.oauth.identity import Accounts
from gateway.types import Requirement
from tests.oauth.conftest import ALICE, ScriptedEndpoint, http

NEED = Requirement("acme", scopes=frozenset({"read"}))
CODES = {
    "device_code": "the-device-code-of-this-consent",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://acme.example/device",
    "expires_in": 600,
    "interval": 5,
}
GRANTED = {"access_token": "a-token", "refresh_token": "a-refresh-token", "token_type": "Bearer", "expires_in": 3600}


def refused(error: str) -> bytes:
    return http("400 Bad Request", {"error": error})


@pytest.fixture
def at_acme(house_of: Any, endpoint: tuple[ScriptedEndpoint, str]) -> Callable[..., Any]:
    """A house with device consents, whose pauses move the clock and play the next of `replies`."""
    scripted, url = endpoint

    @asynccontextmanager
    async def make(*replies: bytes, enabled: bool = True, device: bool = True) -> Any:
        table = {"authorization_url": f"{url}/a", "token_url": f"{url}/t"}
        async with house_of(table | ({"device": {"url": f"{url}/d"}} if device else {})) as house:
            left, pauses = list(replies), list[float]()

            async def pause(seconds: float) -> None:
                pauses.append(seconds)
                house.clock.advance(timedelta(seconds=seconds))
                scripted.reply = left.pop(0) if len(left) > 1 else left[0]

            accounts = Accounts(house.client, house.transport, house.clock)
            more = {"vault": house.vault, "audit": house.audit, "clock": house.clock}
            consent = Consent(house.client, accounts, house.grants, **more)
            scripted.reply = http("200 OK", CODES)
            yield house, DeviceConsents(
                house.client, consent, apps=house.apps, audit=house.audit, clock=house.clock, enabled=enabled,
                pause=pause,
            ), pauses  # fmt: skip

    return make


async def test_it_is_off_until_the_operator_switches_it_on(at_acme, endpoint):
    async with at_acme(enabled=False) as (_, device, _):
        with pytest.raises(SettingsError, match="device_flow = true"):
            await device.begin(ALICE, NEED)
    assert endpoint[0].requests == []


async def test_the_person_is_shown_the_code_and_the_address_and_ends_up_connected(at_acme, endpoint, tmp_path):
    pending = refused("authorization_pending")
    async with at_acme(pending, pending, http("200 OK", GRANTED)) as (house, device, pauses):
        waiting = await device.begin(ALICE, NEED)
        assert (waiting.prompt.code, waiting.prompt.address) == ("WDJB-MJHT", "https://acme.example/device")
        assert waiting.prompt.lives == timedelta(seconds=600)
        connection = await device.finish(waiting)
        assert pauses == [5, 5, 5]
        assert (await house.credential("read")).token == "a-token"
        assert connection.requested == {"read"}
        assert await house.actions() == ["connection.created", "flow.begun"]
        stored = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
        assert b"the-device-code" not in stored
    polled = parse_qs(endpoint[0].requests[1].partition(b"\r\n\r\n")[2].decode())
    assert polled["device_code"] == ["the-device-code-of-this-consent"]


async def test_slow_down_is_heeded_for_good_and_an_outage_waited_out(at_acme):
    replies = (refused("slow_down"), refused("authorization_pending"), http("503 Busy", ""), http("200 OK", GRANTED))
    async with at_acme(*replies) as (_, device, pauses):
        await device.finish(await device.begin(ALICE, NEED))
    assert pauses == [5, 10, 10, 20]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [("access_denied", "you declined"), ("expired_token", "in time"), ("invalid_grant", "no longer accepts")],
)
async def test_a_no_ends_it_at_once_and_connects_nothing(at_acme, error, sentence):
    async with at_acme(refused(error)) as (house, device, pauses):
        with pytest.raises(FlowError, match=sentence):
            await device.finish(await device.begin(ALICE, NEED))
        assert len(pauses) == 1
        assert await house.connections.list(ALICE) == []
        assert await house.actions() == ["connection.failed", "flow.begun"]


async def test_a_code_that_nobody_enters_runs_out(at_acme):
    async with at_acme(refused("authorization_pending")) as (_, device, pauses):
        with pytest.raises(FlowError, match="in time"):
            await device.finish(await device.begin(ALICE, NEED))
    assert sum(pauses) <= 600


async def test_a_provider_without_it_and_a_registration_that_may_not_say_so(at_acme, endpoint):
    async with at_acme(device=False) as (_, device, _):
        with pytest.raises(FlowError, match="without --device"):
            await device.begin(ALICE, NEED)
    async with at_acme() as (_, device, _):
        endpoint[0].reply = refused("unauthorized_client")
        with pytest.raises(ProviderMisconfiguredError, match=r"\[providers\.acme\]"):
            await device.begin(ALICE, NEED)

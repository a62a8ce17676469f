"""When a person is asked once more: always, but for what they allowed to a client that can be told from others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.types import Principal
from tests.authorization.house import ALICE, BOB, CALLBACK, House

LOOPBACK = "http://localhost/callback"
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"


async def is_asked(
    house: House, client_id: str, person: Principal = ALICE, came_from: str | None = "none", **changes: str
) -> bool:
    request, _ = await house.ask(client_id, **changes)
    remembered = await house.elsewhere.consents.last_given(request, person)
    return not (remembered and house.server.consents.may_be_skipped(request, came_from))


async def allow(house: House, client_id: str, **changes: str) -> None:
    request, _ = await house.ask(client_id, **changes)
    await house.server.consents.remember(request, ALICE)


async def test_one_person_one_client_one_redirect_uri_one_set_of_scopes(house: House) -> None:
    client = await house.client(redirect_uris=[CALLBACK, CALLBACK + "2"])
    twin = await house.client(redirect_uris=[CALLBACK])
    await allow(house, client.id)

    assert not await is_asked(house, client.id)
    assert not await is_asked(house, client.id, scope="tools")
    assert await is_asked(house, client.id, BOB)
    assert await is_asked(house, twin.id)
    assert await is_asked(house, client.id, redirect_uri=CALLBACK + "2")
    assert await is_asked(house, client.id, scope="tools offline_access")


@pytest.mark.parametrize("uri", [LOOPBACK, CURSOR])
async def test_a_program_on_the_persons_machine_is_asked_about_every_time(light: House, uri: str) -> None:
    client = await light.client(redirect_uris=[uri])
    await allow(light, client.id, redirect_uri=uri)

    assert await is_asked(light, client.id, redirect_uri=uri)


async def test_one_that_proves_itself_with_a_secret_is_not(light: House) -> None:
    client = await light.client(redirect_uris=[LOOPBACK], token_endpoint_auth_method="client_secret_post")
    await allow(light, client.id, redirect_uri=LOOPBACK)

    assert not await is_asked(light, client.id, redirect_uri=LOOPBACK)


@pytest.mark.parametrize(
    ("came_from", "asked"),
    [("none", False), ("same-origin", False), ("cross-site", True), ("same-site", True), ("", True), (None, True)],
)
async def test_a_click_on_another_site_is_no_consent(light: House, came_from: str | None, asked: bool) -> None:
    client = await light.client()
    await allow(light, client.id)

    assert await is_asked(light, client.id, came_from=came_from) == asked


async def test_a_client_may_want_the_person_asked_again(light: House) -> None:
    client = await light.client()
    await allow(light, client.id)

    assert await is_asked(light, client.id, prompt="consent")


async def test_a_yes_said_again_is_as_old_as_the_last_time(house: House) -> None:
    client = await house.client()
    request, _ = await house.ask(client.id)
    await house.server.consents.remember(request, ALICE)
    house.clock.advance(timedelta(days=1))
    await house.server.consents.remember(request, ALICE)

    assert await house.server.consents.last_given(request, ALICE) == house.clock.now()
    assert await house.server.consents.last_given(request, BOB) is None


async def test_who_ends_what_a_program_may_is_asked_again(house: House) -> None:
    client = await house.client()
    request, _ = await house.ask(client.id)
    await house.server.consents.remember(request, ALICE)
    await house.tokens(client)
    [grant] = await house.server.grants.list_live(ALICE)

    assert not await house.server.grants.end(grant.id, BOB)
    assert await house.server.consents.last_given(request, ALICE) is not None
    assert await house.server.grants.end(grant.id, ALICE)
    assert await house.server.consents.last_given(request, ALICE) is None
    assert (await house.actions())[-1] == "grant.revoked"

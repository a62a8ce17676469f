"""Codes and refresh tokens: what each is bound to, and what a replay ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.authorization.grants import CODE_LIFE, REFRESH_LIFE
from gateway.authorization_types import RegisteredClient
from gateway.errors import AuthorizationError
from gateway.types import AccessKind, Principal
from tests.authorization.house import (
    ALICE,
    BOB,
    CALLBACK,
    ISSUER,
    RESOURCE,
    House,
    error_of,
    parameters,
    pkce,
)


async def is_alive(house: House, tokens: dict[str, Any]) -> bool:
    house.timer.seconds += 3
    return await house.server.tokens.find(tokens["access_token"]) is not None


async def test_a_code_becomes_tokens_that_say_who_may_do_what_by_which_program(house: House) -> None:
    client = await house.client()

    tokens = await house.tokens(client)

    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 600, "tools")
    access = await house.elsewhere.tokens.find(tokens["access_token"])
    assert access is not None
    assert (access.principal, access.client, access.scopes) == (ALICE, client.id, frozenset({"tools"}))
    assert access.kind is AccessKind.TOKEN
    grant = (await house.server.grants.list_live(ALICE))[0]
    assert access.grant_id == grant.id
    assert await house.actions() == ["client.registered", "grant.issued"]


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": None},
        {"code_verifier": "short"},
        {"code_verifier": "another-verifier-" * 3},
        {"redirect_uri": None},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": "https://app.example:443/callback"},
        {"code": "another"},
        {"code": None},
    ],
    ids=str,
)
async def test_a_code_is_worth_nothing_without_all_that_it_is_bound_to_and_is_not_used_up(
    light: House, change: dict[str, str | None]
) -> None:
    client = await light.client()
    code, verifier = await light.code(client.id)

    changed: dict[str, str | None] = {"code": code, "code_verifier": verifier, "redirect_uri": CALLBACK} | change
    assert await error_of(light.server.grants.exchange_code(client, parameters(**changed))) == "invalid_grant"
    assert await light.exchange(client, code, verifier)


async def test_the_challenge_itself_is_no_verifier(light: House) -> None:
    """As `plain` would have it."""
    client, (verifier, challenge) = await light.client(), pkce()
    request, _ = await light.ask(client.id, code_challenge=challenge)
    code = (await light.server.grants.issue_code(request, ALICE)).reveal()

    assert await error_of(light.exchange(client, code, challenge)) == "invalid_grant"
    assert await light.exchange(client, code, verifier)


async def test_a_code_is_its_own_clients(light: House) -> None:
    client, thief = await light.client(), await light.client()
    code, verifier = await light.code(client.id)

    assert await error_of(light.exchange(thief, code, verifier)) == "invalid_grant"
    assert await light.exchange(client, code, verifier)


async def test_a_code_lives_for_a_minute(light: House) -> None:
    client = await light.client()
    code, verifier = await light.code(client.id)

    light.clock.advance(CODE_LIFE)

    assert await error_of(light.exchange(client, code, verifier)) == "invalid_grant"


async def test_a_code_that_is_shown_twice_ends_what_it_became(house: House) -> None:
    client = await house.client()
    code, verifier = await house.code(client.id)
    tokens = await house.exchange(client, code, verifier)
    assert await is_alive(house, tokens)

    assert await error_of(house.exchange(client, code, verifier)) == "invalid_grant"

    assert not await is_alive(house, tokens)
    assert await error_of(house.refresh(client, tokens["refresh_token"])) == "invalid_grant"
    assert (await house.actions())[-1] == "grant.reused"
    assert (await house.events())[-1].principal.same_person(ALICE)


async def test_of_many_who_show_one_code_at_once_one_gets_tokens_and_they_are_dead(house: House) -> None:
    client = await house.client()
    code, verifier = await house.code(client.id)

    ended = await asyncio.gather(*(house.exchange(client, code, verifier) for _ in range(5)), return_exceptions=True)

    won = [answer for answer in ended if not isinstance(answer, BaseException)]
    assert len(won) == 1
    assert {type(answer) for answer in ended} == {dict, AuthorizationError}
    assert not await is_alive(house, won[0])


async def test_a_redirect_uri_that_was_not_sent_need_not_be_repeated(light: House) -> None:
    client = await light.client()
    code, verifier = await light.code(client.id, redirect_uri=None)
    assert await error_of(light.exchange(client, code, verifier, redirect_uri=CALLBACK + "x")) == "invalid_grant"

    assert await light.exchange(client, code, verifier, redirect_uri=None)


async def test_a_refresh_token_is_exchanged_for_the_next_one_and_everything_goes_on(house: House) -> None:
    client = await house.client()
    first = await house.tokens(client)

    house.clock.advance(timedelta(minutes=20))
    assert not await is_alive(house, first)
    second = await house.refresh(client, first["refresh_token"])
    third = await house.refresh(client, second["refresh_token"])

    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert await is_alive(house, third)
    assert (await house.actions()).count("grant.refreshed") == 2


PUBLIC, WITH_A_SECRET = "none", "client_secret_basic"


@pytest.mark.parametrize("method", [PUBLIC, WITH_A_SECRET])
async def test_ten_refreshes_at_once_all_succeed_and_make_one_chain(house: House, method: str) -> None:
    client = await house.client(token_endpoint_auth_method=method)
    first = await house.tokens(client)

    async def refresh(number: int) -> dict[str, Any]:
        server = (house.server, house.elsewhere)[number % 2]
        answer = await server.grants.refresh(client, parameters(refresh_token=first["refresh_token"]))
        return answer.told()

    answers = await asyncio.gather(*map(refresh, range(10)))

    assert len({answer["refresh_token"] for answer in answers}) == 1
    for answer in answers:
        assert await is_alive(house, answer)


async def test_an_answer_that_was_lost_is_given_again_until_its_token_has_been_used(house: House) -> None:
    client = await house.client()
    first = await house.tokens(client)
    lost = await house.refresh(client, first["refresh_token"])

    house.clock.advance(timedelta(hours=8))
    again = await house.refresh(client, first["refresh_token"])

    assert again["refresh_token"] == lost["refresh_token"]
    assert await is_alive(house, again)


async def test_whoever_comes_a_little_late_is_no_thief(house: House) -> None:
    client = await house.client()
    first = await house.tokens(client)
    second = await house.refresh(client, first["refresh_token"])
    await house.refresh(client, second["refresh_token"])

    house.clock.advance(timedelta(seconds=30))

    assert (await house.refresh(client, first["refresh_token"]))["refresh_token"] == second["refresh_token"]


async def test_a_token_that_comes_back_after_its_successor_was_used_ends_the_grant(house: House) -> None:
    client = await house.client()
    first = await house.tokens(client)
    second = await house.refresh(client, first["refresh_token"])
    third = await house.refresh(client, second["refresh_token"])

    house.clock.advance(timedelta(seconds=31))
    assert await error_of(house.refresh(client, first["refresh_token"])) == "invalid_grant"

    assert await error_of(house.refresh(client, third["refresh_token"])) == "invalid_grant"
    assert not await is_alive(house, third)
    assert (await house.actions()).count("grant.reused") == 1


async def test_a_spent_token_of_a_client_with_a_secret_ends_the_grant_at_once(house: House) -> None:
    client = await house.client(token_endpoint_auth_method=WITH_A_SECRET)
    first = await house.tokens(client)
    second = await house.refresh(client, first["refresh_token"])

    assert await error_of(house.refresh(client, first["refresh_token"])) == "invalid_grant"

    assert await error_of(house.refresh(client, second["refresh_token"])) == "invalid_grant"
    assert not await is_alive(house, second)
    assert (await house.actions()).count("grant.reused") == 1


async def test_a_refresh_token_is_its_own_clients_and_ends_after_a_month_without_use(light: House) -> None:
    client, thief = await light.client(), await light.client()
    tokens = await light.tokens(client)

    assert await error_of(light.refresh(thief, tokens["refresh_token"])) == "invalid_grant"
    assert await error_of(light.refresh(client, tokens["access_token"])) == "invalid_grant"
    light.clock.advance(REFRESH_LIFE)
    assert await error_of(light.refresh(client, tokens["refresh_token"])) == "invalid_grant"


async def test_a_fresh_token_may_be_for_less_but_never_for_more(light: House) -> None:
    client = await light.client()
    tokens = await light.tokens(client, scope="tools offline_access")

    narrower = await light.refresh(client, tokens["refresh_token"], scope="tools")
    assert narrower["scope"] == "tools"

    plain = await light.tokens(client)
    more = light.refresh(client, plain["refresh_token"], scope="tools offline_access")
    assert await error_of(more) == "invalid_scope"


async def test_the_resource_is_ours_whenever_it_is_named(light: House) -> None:
    client = await light.client()
    for name in (RESOURCE, f"{RESOURCE}/", ISSUER, f"{ISSUER}/", f"{ISSUER}/sse", None):
        tokens = await light.tokens(client, resource=name)
        claims = await light.server.tokens.claims(tokens["access_token"])
        assert claims
        assert claims["aud"] == RESOURCE
        await light.refresh(client, tokens["refresh_token"], resource=name)

    for foreign in ("https://elsewhere.example/mcp", f"{RESOURCE}/deeper", f"{RESOURCE}#x", RESOURCE.upper()):
        assert await error_of(light.ask(client.id, resource=foreign)) == "invalid_target"
        code, verifier = await light.code(client.id)
        assert await error_of(light.exchange(client, code, verifier, resource=foreign)) == "invalid_target"
        assert await error_of(light.refresh(client, tokens["refresh_token"], resource=foreign)) == "invalid_target"


async def test_a_client_that_asks_for_codes_alone_gets_no_refresh_token_unless_it_asks(light: House) -> None:
    client = await light.client(grant_types=["authorization_code"])

    assert "refresh_token" not in await light.tokens(client)
    assert "refresh_token" in await light.tokens(client, scope="tools offline_access")


async def test_a_program_without_people_gets_a_token_in_its_own_name(light: House) -> None:
    robot = await light.server.clients.find("robot")
    assert robot

    answer = await light.server.grants.issue_to_client(robot, parameters())

    access = await light.server.tokens.find(answer.told()["access_token"])
    assert access is not None
    assert (access.principal.issuer, access.principal.subject) == (ISSUER, "client:robot")
    assert answer.refresh_token is None


@pytest.mark.parametrize("name", ["intranet", None])
async def test_no_other_program_gets_a_token_in_its_own_name(light: House, name: str | None) -> None:
    client: RegisteredClient | None = (
        await light.server.clients.find(name) if name else await light.client(token_endpoint_auth_method="none")
    )
    assert client

    assert await error_of(light.server.grants.issue_to_client(client, parameters())) == "unauthorized_client"


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
async def test_a_client_ends_its_grant_by_either_token(house: House, which: str) -> None:
    client = await house.client()
    tokens = await house.tokens(client)

    await house.server.grants.revoke_token(client, tokens[which])

    assert await house.server.tokens.find(tokens["access_token"]) is None
    assert await error_of(house.refresh(client, tokens["refresh_token"])) == "invalid_grant"
    assert (await house.actions())[-1] == "grant.revoked"


async def test_revoking_what_is_unknown_is_no_error_and_what_is_anothers_is(light: House) -> None:
    client, other = await light.client(), await light.client()
    tokens = await light.tokens(client)

    await light.server.grants.revoke_token(other, "no-such-token")
    assert await error_of(light.server.grants.revoke_token(other, tokens["refresh_token"])) == "unauthorized_client"
    assert await is_alive(light, tokens)


async def test_a_person_sees_and_ends_their_own_grants_alone_and_it_bites_in_two_seconds(
    house: House,
) -> None:
    client = await house.client()
    tokens = await house.tokens(client)
    assert await house.elsewhere.tokens.find(tokens["access_token"]) is not None
    grant = (await house.server.grants.list_live(ALICE))[0]

    request, _ = await house.ask(client.id)
    await house.server.consents.remember(request, ALICE)

    assert await house.server.grants.list_live(BOB) == []
    assert not await house.server.grants.end(grant.id, BOB)
    assert await house.server.consents.last_given(request, ALICE) is not None
    assert await house.server.grants.end(grant.id, ALICE)
    assert not await house.server.grants.end(grant.id, ALICE)
    assert await house.server.consents.last_given(request, ALICE) is None

    assert await house.server.tokens.find(tokens["access_token"]) is None
    house.timer.seconds += 2
    assert await house.elsewhere.tokens.find(tokens["access_token"]) is None
    assert await house.server.grants.list_live(ALICE) == []


async def test_what_is_over_for_long_is_deleted(house: House) -> None:
    client = await house.client()
    tokens = await house.tokens(client)

    house.clock.advance(timedelta(days=2))
    assert await house.server.grants.prune() == 1
    assert await house.refresh(client, tokens["refresh_token"])

    house.clock.advance(timedelta(days=400))
    assert await house.server.grants.prune() == 3


async def test_nothing_that_opens_anything_is_in_the_database(light: House, sqlite_url: str) -> None:
    client = await light.client(token_endpoint_auth_method="client_secret_basic")
    code, verifier = await light.code(client.id)
    tokens = await light.exchange(client, code, verifier)
    more = await light.refresh(client, tokens["refresh_token"])

    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    for secret in (code, verifier, tokens["refresh_token"], more["refresh_token"], tokens["access_token"]):
        assert secret.encode() not in kept
        assert secret[-20:].encode() not in kept
    assert b'"d":' not in kept
    assert b'"crv"' not in kept


async def test_a_person_who_may_not_come_in_any_more_takes_their_programs_along(house: House) -> None:
    """And while they may, their groups are those of now."""
    people: dict[str, Principal | None] = {"alice": replace(ALICE, groups=frozenset({"support"}))}

    async def present(person: Principal) -> Principal | None:
        return people[person.subject]

    house.server.tokens._present = present
    client = await house.client()
    tokens = await house.tokens(client)
    access = await house.server.tokens.find(tokens["access_token"])
    assert access
    assert access.principal.groups == {"support"}

    people["alice"] = None
    assert not await is_alive(house, tokens)
    assert await error_of(house.refresh(client, tokens["refresh_token"])) == "invalid_grant"

    people["alice"] = ALICE
    assert await is_alive(house, tokens)
    assert await house.refresh(client, tokens["refresh_token"])

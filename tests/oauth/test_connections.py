"""What a person has connected, and taking it back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.secret import Secret
from gateway.types import CredentialKind, NeedsConnection, Requirement, TokenSet
from tests.oauth.conftest import ALICE, BOB


async def test_a_list_never_holds_tokens_not_even_sealed_ones(house):
    await house.connect()
    [connection] = await house.connections.list(ALICE)
    assert connection.sealed == b""


async def test_disconnecting_ends_use_at_once_and_the_grant_at_the_provider(house, server):
    await house.connect()
    credential = await house.credential()
    [connection] = await house.connections.list(ALICE)
    ended = await house.connections.disconnect(ALICE, connection.id)
    assert ended.revoked_at_provider == "yes"
    assert isinstance(await house.credential(), NeedsConnection)
    assert not server.grants.is_live(server.grants.find_access(credential.token))
    assert "connection.dropped" in await house.actions()


async def test_a_provider_that_fails_does_not_keep_the_tokens_alive_here(house, server):
    await house.connect()
    [connection] = await house.connections.list(ALICE)
    server.fail_next(endpoint="revoke")
    ended = await house.connections.disconnect(ALICE, connection.id)
    assert ended.revoked_at_provider == "retrying"
    assert await house.connections.list(ALICE) == []


async def test_a_provider_without_revocation_is_said_with_the_page_where_a_person_can(house_of, issuer):
    table = {
        "authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token",
        "access_page": "https://acme.example/apps",
    }  # fmt: skip
    async with house_of(table) as house:
        await house.connect("read")
        [connection] = await house.connections.list(ALICE)
        ended = await house.connections.disconnect(ALICE, connection.id)
    assert (ended.revoked_at_provider, ended.access_page) == ("unsupported", "https://acme.example/apps")


async def test_an_api_key_is_simply_forgotten(house):
    need = Requirement("my_service", CredentialKind.API_KEY)
    flow = await house.flows.begin(ALICE, "host", need, None)
    await house.flows.submit_key(flow.id, ALICE, Secret("key"))
    [connection] = await house.connections.list(ALICE)
    assert (await house.connections.disconnect(ALICE, connection.id)).revoked_at_provider == "unsupported"


async def test_another_persons_connection_does_not_exist(house):
    await house.connect()
    [connection] = await house.connections.list(ALICE)
    assert await house.connections.disconnect(BOB, connection.id) is None
    assert len(await house.connections.list(ALICE)) == 1


async def test_two_at_a_time_disconnect_once(house, server):
    await house.connect()
    [connection] = await house.connections.list(ALICE)
    results = await asyncio.gather(*(house.connections.disconnect(ALICE, connection.id) for _ in range(10)))
    assert sum(result is not None for result in results) == 1
    assert server.count("revoke", None) == 1


async def test_tokens_that_do_not_open_do_not_keep_a_person_from_disconnecting(house, server):
    await house.connect()
    row = await house.row()
    await house.store.connections.replace(replace(row, sealed=b"damaged", version=2), expected_version=1)
    ended = await house.connections.disconnect(ALICE, row.id)
    assert ended.revoked_at_provider == "no"
    assert await house.connections.list(ALICE) == []


async def test_tokens_that_were_refreshed_in_between_are_the_ones_revoked(house, server):
    """The row moves on while it is being dropped: what the provider issued last must not be left alive."""
    await house.connect()
    former = await house.row()
    newer = server.issue("alice", client_id="our id")
    tokens = TokenSet(Secret(newer.access_token), Secret(newer.refresh_token))
    prepared = house.revocations.draft

    async def slowly(connection, held):
        made = await prepared(connection, held)
        if connection.version == former.version:
            renewed = await house.grants.renewed(connection, tokens)
            await house.store.connections.replace(renewed, expected_version=former.version)
        return made

    house.revocations.draft = slowly
    assert (await house.connections.disconnect(ALICE, former.id)).revoked_at_provider == "yes"
    assert server.grants.find_grant(newer.refresh_token).revoked


@pytest.mark.parametrize("connection_id", ["", "unknown", "\x00", "x" * 10_000])
async def test_an_unknown_connection_is_none(house, connection_id):
    assert await house.connections.disconnect(ALICE, connection_id) is None

"""A live token for this person and this need: at once, after a refresh, or the way to get one."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import (
    ProviderMisconfiguredError,
    ProviderNotConfiguredError,
    ProviderUnavailableError,
    UnknownProviderError,
    VaultError,
)
from gateway.oauth.refresher import Refresher
from gateway.secret import Secret
from gateway.types import ConnectionStatus, Credential, CredentialKind, NeedsConnection, Principal, Requirement
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Vault
from tests.oauth.conftest import ALICE, BOB, SETTINGS, House, call_of
from tests.warm import python

KEY = Requirement("my_service", CredentialKind.API_KEY)
EXPIRED = timedelta(hours=2)


async def test_no_connection_is_answered_with_a_link_to_our_own_page(house):
    outcome = await house.credential("contacts.read")
    assert isinstance(outcome, NeedsConnection)
    assert outcome.url == f"http://127.0.0.1:9/connect/{outcome.flow_id}"
    assert (outcome.provider, outcome.provider_name) == ("acme", "Acme")
    assert outcome.message == (
        "No Acme account is connected yet. Open the link to connect it."
    )  # fmt: skip


async def test_asking_again_and_again_begins_one_flow(house):
    outcomes = [await house.credential("contacts.read") for _ in range(5)]
    assert len({outcome.flow_id for outcome in outcomes}) == 1


async def test_what_a_tool_gets_is_the_access_token_and_never_the_refresh_token(house):
    await house.hold("read", extras={"instance_url": "https://eu1.example.com"})
    credential = await house.credential("read")
    assert credential == Credential(
        "acme", "old-access-token", frozenset({"read"}), "alice", house.clock.now() + timedelta(hours=1),
        {"instance_url": "https://eu1.example.com"}, (await house.row()).id, 1,
    )  # fmt: skip
    assert "old-access-token" not in repr(credential)
    with pytest.raises(TypeError):
        credential.extras["instance_url"] = "https://evil.example.com"


async def test_a_scope_that_was_not_granted_is_asked_for_beside_those_that_were(house, server):
    await house.connect("contacts.read")
    outcome = await house.credential("contacts.write")
    assert isinstance(outcome, NeedsConnection)
    assert "has not granted contacts.write" in outcome.message
    view = await house.flows.describe(outcome.flow_id, ALICE)
    assert {"contacts.read", "contacts.write"} <= set(view.scopes)
    assert isinstance(await house.credential("contacts.read"), Credential)


async def test_each_person_gets_their_own_token(house):
    await house.connect(user="alice")
    await house.connect(user="bob", principal=BOB)
    mine, theirs = await house.credential(), await house.credential(principal=BOB)
    assert (mine.account, theirs.account) == ("alice@example.com", "bob@example.com")
    same_name_elsewhere = Principal(ALICE.issuer, ALICE.subject, tenant="another")
    assert isinstance(await house.credential(principal=same_name_elsewhere), NeedsConnection)


async def test_a_persons_groups_do_not_matter(house):
    await house.hold()
    assert isinstance(await house.credential(principal=replace(ALICE, groups=frozenset({"staff"}))), Credential)


async def test_an_api_key_is_asked_for_and_then_handed_out(house):
    call = call_of()
    asked = await house.broker.credential(call, KEY)
    assert isinstance(asked, NeedsConnection)
    assert "enter your API key" in asked.message
    await house.flows.submit_key(asked.flow_id, ALICE, Secret("the-key"))
    assert (await house.broker.credential(call, KEY)).token == "the-key"


async def test_what_is_wrong_with_the_set_up_comes_back_as_a_value(house):
    assert isinstance(await house.credential(provider="nobody"), UnknownProviderError)
    assert isinstance(await house.credential(provider="hubspot"), ProviderNotConfiguredError)


async def test_a_row_that_does_not_open_is_an_error_and_no_token(house, store, clock):
    await house.hold()
    stranger = Vault(Keyring([new_key()]))
    other = House(store, stranger, clock, {"acme": _table("https://acme.example")}, SETTINGS)
    assert isinstance(await other.credential(), VaultError)
    await other.close()


async def test_an_expired_token_is_refreshed_before_it_is_handed_out(house, server, clock):
    await house.connect()
    old = await house.credential()
    clock.advance(EXPIRED)
    new = await house.credential()
    assert new.token != old.token
    assert new.expires_at == clock.now() + timedelta(hours=1)
    assert server.count("refresh") == 1
    assert "connection.refreshed" in await house.actions()


async def test_shortly_before_its_end_the_old_token_is_used_while_the_new_one_is_fetched(house, server, clock):
    await house.connect()
    old = await house.credential()
    clock.advance(timedelta(minutes=57))
    server.gate.close()
    assert (await house.credential()).token == old.token
    async with asyncio.timeout(5):
        await server.gate.arrival()
    server.gate.open()
    await house.refresher.close()
    assert (await house.credential()).token != old.token
    assert server.count("refresh") == 1


async def test_an_outage_shortly_before_the_end_disturbs_nobody(house, server, clock):
    await house.connect()
    old = await house.credential()
    clock.advance(timedelta(minutes=57))
    server.fail_next(times=100)
    assert (await house.credential()).token == old.token
    await house.refresher.close()
    assert (await house.credential()).token == old.token
    clock.advance(timedelta(minutes=4))
    assert isinstance(await house.credential(), ProviderUnavailableError)


async def test_a_fresh_token_is_left_alone(house, server, clock):
    await house.connect()
    for _ in range(50):
        clock.advance(timedelta(minutes=1))
        await house.credential()
    assert server.count("refresh", None) == 0


async def test_a_token_without_a_known_end_is_used_as_it_is(house, clock):
    await house.hold(life=None)
    clock.advance(timedelta(days=400))
    assert (await house.credential()).token == "old-access-token"


async def test_access_for_a_limited_time_is_used_to_its_end_and_then_asked_for_again(house, server, clock):
    server.behaviour.refreshable = False
    await house.connect()
    clock.advance(timedelta(minutes=59, seconds=50))
    assert isinstance(await house.credential(), Credential)
    clock.advance(timedelta(seconds=11))
    outcome = await house.credential()
    assert isinstance(outcome, NeedsConnection)
    assert "for a limited time only" in outcome.message
    assert server.count("refresh", None) == 0


async def test_a_withdrawn_consent_is_said_and_connecting_again_mends_it(house, server, clock):
    await house.connect()
    server.grants.revoke_all("alice")
    clock.advance(EXPIRED)
    outcome = await house.credential()
    assert isinstance(outcome, NeedsConnection)
    assert "Acme no longer accepts the connection (invalid_grant)" in outcome.message
    [before] = await house.connections.list(ALICE)
    assert before.status is ConnectionStatus.NEEDS_REAUTH
    await house.connect()
    [after] = await house.connections.list(ALICE)
    assert (after.id, after.status, after.status_reason) == (before.id, ConnectionStatus.ACTIVE, None)
    assert isinstance(await house.credential(), Credential)


async def test_two_hundred_calls_on_an_expired_token_make_one_refresh(house, server, clock):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)
    results = await asyncio.gather(*(house.credential() for _ in range(200)))
    assert len({result.token for result in results}) == 1
    assert server.count("refresh", None) == 1


async def test_a_refresh_under_way_is_joined_and_not_begun_again(house, server, clock):
    await house.connect()
    clock.advance(EXPIRED)
    row = await house.row()
    assert house.refresher.start(row) is house.refresher.start(row)
    await house.refresher.close()
    assert server.count("refresh", None) == 1


async def test_two_gateways_on_one_database_make_one_refresh(house, server, clock, issuer):
    server.behaviour.rotates = True
    await house.connect()
    other = House(house.store, house.vault, clock, {}, replace(SETTINGS, issuer=issuer))
    clock.advance(EXPIRED)
    both = (house, other)
    results = await asyncio.gather(*(each.credential() for each in both for _ in range(20)))
    assert len({result.token for result in results}) == 1
    assert server.count("refresh", None) == 1
    await other.close()


async def test_two_processes_make_one_refresh(store, database, clock, server, issuer):
    """Rotation with reuse detection: one refresh too many would end the grant."""
    server.behaviour.rotates = True
    key = new_key()
    house = House(store, Vault(Keyring([key])), clock, {}, replace(SETTINGS, issuer=issuer))
    await house.connect()
    work = {
        "database": database, "key": key.reveal(), "issuer": issuer, "tasks": 20,
        "now": (clock.now() + EXPIRED).isoformat(),
    }  # fmt: skip
    processes = [await _contender() for _ in range(2)]
    for process in processes:
        process.stdin.write(json.dumps(work).encode() + b"\n")
    async with asyncio.timeout(60):
        for process in processes:
            assert await process.stdout.readline() == b"ready\n"
        for process in processes:
            process.stdin.write(b"go\n")
        answers = [json.loads((await process.communicate())[0]) for process in processes]
    tokens = {token for answer in answers for token in answer}
    assert len(tokens) == 1, tokens
    assert server.grants.find_access(tokens.pop())
    assert server.count("refresh", None) == 1
    await house.close()


async def _contender() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *python(Path(__file__).with_name("contender.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
    )


async def test_a_cancelled_caller_does_not_lose_the_token(house, server, clock):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)
    server.gate.close()
    callers = [asyncio.create_task(house.credential()) for _ in range(10)]
    async with asyncio.timeout(5):
        await server.gate.arrival()
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    server.gate.open()
    await house.refresher.close()
    assert isinstance(await house.credential(), Credential)
    assert (server.count("refresh"), server.count("refresh", None)) == (1, 1)
    assert (await house.row()).version == 2


async def test_the_database_failing_after_a_rotation_does_not_lose_the_token(house, server, clock, store):
    server.behaviour.rotates = True
    await house.connect()
    clock.advance(EXPIRED)
    rows = FailingRows(store.leases, failures=2)
    refresher = Refresher(
        rows, house.grants, house.unstored, apps=house.apps, client=house.client, audit=house.audit, clock=clock
    )
    renewed = await refresher.refreshed(await house.row())
    assert rows.failures == 0
    assert (await house.row()).version == renewed.version == 2


class FailingRows:
    """A database that goes away exactly when a refreshed token is to be stored."""

    def __init__(self, rows, failures: int) -> None:
        self._rows = rows
        self.failures = failures

    def __getattr__(self, name: str):
        return getattr(self._rows, name)

    async def complete(self, *arguments, **named) -> bool:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        return await self._rows.complete(*arguments, **named)


async def test_a_lease_whose_holder_died_is_taken_over(house, server, clock, store):
    await house.connect()
    clock.advance(EXPIRED)
    row = await house.row()
    now = clock.now()
    assert await store.leases.claim(row, owner="dead", now=now, until=now + timedelta(seconds=30))
    clock.advance(timedelta(seconds=31))
    assert isinstance(await house.credential(), Credential)
    assert server.count("refresh") == 1


async def test_a_late_loser_cannot_put_an_older_token_in_a_newer_ones_place(house, server, clock):
    """The connection is made anew while a refresh of the former tokens is under way."""
    await house.connect()
    clock.advance(EXPIRED)
    server.gate.close()
    caller = asyncio.create_task(house.credential())
    async with asyncio.timeout(5):
        await server.gate.arrival()
    newest = await house.hold(access="newest-access-token")
    await house.store.connections.drop(ALICE, (await _other(house, newest.id)).id)
    server.gate.open()
    await caller
    assert (await house.credential()).token == "newest-access-token"


async def _other(house, known_id: str):
    return next(row for row in await house.store.connections.list_all(ALICE) if row.id != known_id)


async def test_one_bad_registration_does_not_touch_the_connections(house, server, clock):
    await house.connect()
    server.fail_next(status=401, body={"error": "invalid_client"})
    clock.advance(EXPIRED)
    outcome = await house.credential()
    assert isinstance(outcome, ProviderMisconfiguredError)
    assert "[providers.acme]" in str(outcome)
    assert (await house.row()).status is ConnectionStatus.ACTIVE
    clock.advance(timedelta(minutes=5))
    assert isinstance(await house.credential(), Credential)


async def test_a_hot_token_needs_no_database(house, store):
    await house.hold("read")
    await house.credential("read")
    await store.connections.drop(ALICE, (await house.row()).id)
    assert (await house.credential("read")).token == "old-access-token"


async def test_a_hot_token_takes_microseconds(house):
    await house.hold("read")
    call, need = call_of(), Requirement("acme", scopes=frozenset({"read"}))
    await house.broker.credential(call, need)
    gc.collect()
    fastest = min([await _timed(house, call, need) for _ in range(20)])
    assert fastest < 10e-6, f"{fastest * 1e6:.1f} us"


async def _timed(house, call, need) -> float:
    began = time.perf_counter()
    for _ in range(1000):
        await house.broker.credential(call, need)
    return (time.perf_counter() - began) / 1000


async def test_what_another_process_changed_is_seen_within_half_a_minute(house, store, clock):
    connection = await house.hold()
    await house.credential()
    await store.connections.drop(ALICE, connection.id)
    assert isinstance(await house.credential(), Credential)
    clock.advance(timedelta(seconds=30))
    assert isinstance(await house.credential(), NeedsConnection)


async def test_a_read_that_began_before_a_change_does_not_bring_the_old_token_back(house):
    old = await house.hold()
    tokens, seen = await house.grants.open(old), house.live.changes
    await house.hold(access="newer-access-token")
    house.live.remember(old, tokens, frozenset(), until=None, seen=seen)
    assert (await house.credential()).token == "newer-access-token"


async def test_a_need_not_met_before_is_checked_although_the_token_is_hot(house):
    await house.hold("read")
    await house.credential("read")
    assert isinstance(await house.credential("write"), NeedsConnection)
    assert isinstance(await house.credential("read"), Credential)


def _table(url: str) -> dict[str, str]:
    return {"authorization_url": f"{url}/authorize", "token_url": f"{url}/token"}

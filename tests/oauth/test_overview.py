"""What a person sees of their connections, and decides there."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from gateway.secret import Secret
from gateway.types import CredentialKind, Requirement
from tests.oauth.conftest import ALICE, BOB


async def test_connections_are_shown_by_provider_the_default_first_and_without_tokens(house):
    await house.connect(user="alice")
    bob = await house.connect(user="bob")
    await house.overview.make_default(ALICE, bob.connection_id)
    entries = await house.overview.entries(ALICE)
    assert [(entry.name, entry.connection.is_default, entry.is_choice) for entry in entries] == [
        ("bob@example.com", True, True), ("alice@example.com", False, True),
    ]  # fmt: skip
    assert [entry.connection.sealed for entry in entries] == [b"", b""]
    assert {entry.provider_name for entry in entries} == {"Acme"}
    assert [entry.may_add for entry in entries] == [True, False]


async def test_choosing_the_default_is_on_record_and_for_ones_own_connections_only(house):
    await house.connect(user="alice")
    theirs = await house.connect(user="bob", principal=BOB)
    [entry] = await house.overview.entries(ALICE)
    assert (await house.overview.make_default(ALICE, entry.connection.id)).is_default
    assert await house.overview.make_default(ALICE, theirs.connection_id) is None
    assert await house.overview.ask_again(ALICE, theirs.connection_id) is None
    assert await house.overview.add_another(ALICE, theirs.connection_id) is None
    assert (await house.actions()).count("connection.default") == 1


async def test_another_account_is_asked_for_with_a_choice_and_without_a_hint(house_of, issuer):
    table = {
        "issuer": issuer,
        "authorization_url": f"{issuer}/authorize",
        "token_url": f"{issuer}/token",
        "account_hints": {"choose": {"prompt": "select_account"}, "login_hint": "login_hint"},
    }
    async with house_of(table) as house:
        kept = await house.hold("contacts.read")
        another = await house.overview.add_another(ALICE, kept.id)
        again = await house.overview.ask_again(ALICE, kept.id)
        asked = [
            parse_qs(urlsplit((await house.flows.start(flow.id, ALICE)).authorization_url).query)
            for flow in (another, again)
        ]
    assert (asked[0].get("prompt"), asked[0].get("login_hint")) == (["select_account"], None)
    assert (asked[1].get("prompt"), asked[1].get("login_hint")) == (None, ["alice"])
    assert all("contacts.read" in query["scope"][0] for query in asked)


async def test_accounts_that_the_provider_does_not_name_are_told_apart_by_what_the_person_wanted(house_of, issuer):
    table = {"authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token"}
    async with house_of(table) as house:
        first = await house.connect("read")
        second = await _finished(house, await house.overview.add_another(ALICE, first.connection_id))
        again = await _finished(house, await house.overview.ask_again(ALICE, second.connection_id))
        rows = {row.id: row for row in await house.store.connections.list_all(ALICE)}
    assert len(rows) == 2
    assert again.connection_id == second.connection_id != first.connection_id
    assert (rows[first.connection_id].version, rows[second.connection_id].version) == (1, 2)
    assert rows[first.connection_id].is_default


async def _finished(house, flow):
    back = await house.come_back(flow)
    return await house.flows.complete("acme", back.query, back.browser, ALICE)


async def test_a_key_has_no_second_one_beside_it(house):
    flow = await house.flows.begin(ALICE, "host", Requirement("my_service", CredentialKind.API_KEY), None)
    await house.flows.submit_key(flow.id, ALICE, Secret("the-key"))
    [entry] = await house.overview.entries(ALICE)
    assert (entry.name, entry.may_add) == ("API key", False)

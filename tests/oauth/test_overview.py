"""What a person sees of their connections, and decides there."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from gateway.oauth.apps import Apps, ProviderSettings
from gateway.oauth.overview import Overview
from gateway.providers.catalogue import Catalogue
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


async def test_an_account_can_be_connected_before_any_tool_asks(house):
    need = Requirement("acme", scopes=frozenset({"contacts.read"}))
    assert house.overview.can_connect(ALICE, need)
    flow = await house.overview.connect(ALICE, need)
    view = await house.flows.describe(flow.id, ALICE)
    assert (view.is_own_wish, view.tool, view.account) == (True, None, None)
    assert "contacts.read" in view.scopes
    assert (await _finished(house, flow)).connection_id


async def test_what_the_operator_has_set_up_can_be_connected_and_nothing_else(house):
    assert [need.provider for need in house.overview.configured(ALICE)] == ["acme"]
    key = Requirement("whatever", CredentialKind.API_KEY)
    assert house.overview.can_connect(ALICE, key)
    assert not house.overview.can_connect(ALICE, Requirement("hubspot"))
    assert not house.overview.can_connect(ALICE, Requirement("never_heard_of"))


async def test_an_account_can_be_asked_for_more_than_before(house):
    kept = await house.hold("contacts.read")
    flow = await house.overview.ask_again(ALICE, kept.id, frozenset({"contacts.write"}))
    assert {"contacts.read", "contacts.write"} <= flow.scopes
    assert flow.reconnects == kept.id


async def test_what_an_account_lacks_is_told_by_what_was_granted(house):
    kept = await house.hold("contacts.read")
    [entry] = await house.overview.entries(ALICE)
    assert entry.connection.id == kept.id
    wanted = frozenset({"contacts.read", "contacts.write"})
    assert house.overview.lacks(entry.connection, wanted) == {"contacts.write"}


def test_a_provider_that_is_set_up_wrongly_does_not_hide_the_others():
    wrong = ProviderSettings(client_id="us", issuer="https://issuer.example", variables={"no_such": "thing"})
    apps = Apps(
        Catalogue.load(), {"wrong": wrong, "github": ProviderSettings(client_id="us", client_secret=Secret("s"))}
    )
    overview = Overview(None, None, flows=None, apps=apps, audit=None)
    assert overview.configured(ALICE) == [Requirement("github")]

"""What is asked for again, what is not, and what the person and the agent are told."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import ScopeMissingError
from gateway.oauth.shortfall import shortfall
from gateway.providers.provider import Provider, Scopes
from gateway.types import ConnectionStatus, Credential, NeedsConnection, Requirement
from tests.oauth.conftest import ALICE
from tests.store.test_connection_rows import connection

ACME = Provider("acme", "Acme", scopes=Scopes(aliases={"mail": "https://acme.example/mail"}))


@pytest.mark.parametrize(
    ("granted", "requested", "needed", "withheld"),
    [
        ("a b", "a b", "a", None),
        ("a b", "a b", "", None),
        ("a", "a", "a b", ""),
        ("a", "a b", "a b", "b"),
        ("a", "a b", "b c", "b"),
        ("", "a b", "a b", "a b"),
        ("mail", "mail", "https://acme.example/mail", None),
        ("a", "a mail", "https://acme.example/mail", "https://acme.example/mail"),
    ],
)
def test_a_scope_that_was_asked_for_in_vain_is_withheld_and_another_one_is_only_missing(
    granted: str, requested: str, needed: str, withheld: str | None
) -> None:
    there = connection(scopes=frozenset(granted.split()), requested=frozenset(requested.split()))

    short = shortfall(there, Requirement("acme", scopes=frozenset(needed.split())), "Acme", ACME)

    assert (short.withheld if short else None) == (None if withheld is None else frozenset(withheld.split()))


def test_a_connection_that_ended_is_asked_for_again_whatever_it_lacked() -> None:
    ended = connection(
        status=ConnectionStatus.NEEDS_REAUTH,
        status_reason="It is over.",
        requested=frozenset({"a"}),
        scopes=frozenset(),
    )

    short = shortfall(ended, Requirement("acme", scopes=frozenset({"a"})), "Acme", ACME)

    assert short is not None
    assert (short.sentence, short.withheld) == ("It is over.", frozenset())


async def test_a_scope_that_a_person_leaves_unticked_is_asked_for_once_and_then_no_more(house, server):
    server.behaviour.denied_scopes = frozenset({"contacts.write"})
    await house.connect("contacts.read")
    asked = await house.credential("contacts.write")
    assert isinstance(asked, NeedsConnection)
    back = await house.come_back(await house.store.flows.find(asked.flow_id))
    flow = await house.flows.complete("acme", back.query, back.browser, ALICE)

    view = await house.flows.describe(flow.id, ALICE)
    assert (view.withheld, view.connected) == (("contacts.write",), "alice@example.com")
    for _ in range(3):
        refused = await house.credential("contacts.write")
        assert isinstance(refused, ScopeMissingError)
        for part in ("Acme", "contacts.write", "alice@example.com", "unticked", "http://127.0.0.1:9/connections"):
            assert part in refused.message
        assert "/connect/" not in refused.message
    assert isinstance(await house.credential("contacts.read"), Credential)
    assert (await house.actions()).count("flow.begun") == 2


async def test_tools_that_need_different_scopes_do_not_take_turns_in_asking(house, server):
    server.behaviour.denied_scopes = frozenset({"a", "b"})
    await house.connect("a")
    asked = await house.credential("b")
    back = await house.come_back(await house.store.flows.find(asked.flow_id))
    await house.flows.complete("acme", back.query, back.browser, ALICE)
    for scope in ("a", "b", "a", "b"):
        assert isinstance(await house.credential(scope), ScopeMissingError)


async def test_a_person_may_ask_again_on_purpose_and_it_works_once_something_has_changed(house, server):
    server.behaviour.denied_scopes = frozenset({"contacts.write"})
    first = await house.connect("contacts.read", "contacts.write")
    [entry] = await house.overview.entries(ALICE)
    assert entry.withheld == ("contacts.write",)

    flow = await house.overview.ask_again(ALICE, first.connection_id)
    view = await house.flows.describe(flow.id, ALICE)
    assert view.is_own_wish
    assert (view.withheld, view.account) == (("contacts.write",), "alice@example.com")
    server.behaviour.denied_scopes = frozenset()
    back = await house.come_back(flow)
    await house.flows.complete("acme", back.query, back.browser, ALICE)

    assert isinstance(await house.credential("contacts.read", "contacts.write"), Credential)
    row = await house.row()
    assert (row.id, row.version) == (first.connection_id, 2)
    assert (await house.overview.entries(ALICE))[0].withheld == ()


async def test_an_incremental_consent_asks_for_the_union_and_renews_the_same_row(house, server):
    first = await house.connect("contacts.read")
    asked = await house.credential("contacts.write")
    flow = await house.store.flows.find(asked.flow_id)
    assert flow.reconnects == first.connection_id
    started = await house.flows.start(flow.id, ALICE)
    scopes = parse_qs(urlsplit(started.authorization_url).query)["scope"][0].split()
    assert {"contacts.read", "contacts.write"} <= set(scopes)

    back = await house.come_back(flow)
    await house.flows.complete("acme", back.query, back.browser, ALICE)

    row = await house.row()
    assert (row.id, row.version) == (first.connection_id, 2)
    assert {"contacts.read", "contacts.write"} <= row.scopes


async def test_consenting_with_another_account_overwrites_nothing_and_everybody_is_told(house):
    first = await house.connect("contacts.read")
    asked = await house.credential("contacts.write")
    back = await house.come_back(await house.store.flows.find(asked.flow_id), "bob")
    flow = await house.flows.complete("acme", back.query, back.browser, ALICE)

    alice, bob = sorted(await house.store.connections.list_all(ALICE), key=lambda row: row.account_label)
    assert (alice.id, alice.version, alice.is_default) == (first.connection_id, 1, True)
    assert (bob.account_label, bob.version, bob.is_default) == ("bob@example.com", 1, False)
    view = await house.flows.describe(flow.id, ALICE)
    assert view.is_mistaken
    assert (view.account, view.connected) == ("alice@example.com", "bob@example.com")
    again = await house.credential("contacts.write")
    assert "connected bob@example.com" in again.message
    assert "alice@example.com is the one needed" in again.message


async def test_another_account_takes_over_where_the_wanted_one_has_ended(house, server, clock):
    first = await house.connect("contacts.read")
    ended = replace(await house.row(), status=ConnectionStatus.NEEDS_REAUTH, version=2)
    await house.store.connections.replace(ended, expected_version=1)
    house.live.forget(ALICE, "acme")
    asked = await house.credential("contacts.read")
    back = await house.come_back(await house.store.flows.find(asked.flow_id), "bob")
    await house.flows.complete("acme", back.query, back.browser, ALICE)

    credential = await house.credential("contacts.read")
    assert credential.account == "bob@example.com"
    assert credential.connection_id != first.connection_id

"""Which of a person's accounts a call uses, and what the accounts are called."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.errors import UnknownAccountError
from gateway.oauth.choice import FRESH_FOR, Choice, names
from gateway.oauth.identity import Account
from gateway.secret import Secret
from gateway.types import Connection, Credential, CredentialKind, NeedsConnection, Requirement, TokenSet
from tests.oauth.conftest import ALICE, BOB, SETTINGS, House, call_of

ACME = Requirement("acme")
TABLE = {"authorization_url": "https://acme.example/a", "token_url": "https://acme.example/t"}
BOTH = {("acme", CredentialKind.OAUTH2): ("alice@example.com", "bob@example.com")}


async def keep(house: House, account_id: str, label: str | None, principal=ALICE) -> Connection:
    """An account with a token of its own name."""
    house.clock.advance(timedelta(seconds=1))
    tokens = TokenSet(Secret(f"the token of {account_id}"), None, house.clock.now() + timedelta(hours=1))
    return await house.grants.put(principal, "acme", CredentialKind.OAUTH2, Account(account_id, label), tokens)


async def ask(house: House, account: str | None = None) -> Credential | NeedsConnection | Exception:
    return await house.broker.credential(call_of(account=account), ACME)


async def test_a_call_uses_the_default_unless_it_names_another_account(house):
    await house.connect(user="alice")
    await house.connect(user="bob")
    assert (await ask(house)).account == "alice@example.com"
    assert (await ask(house, "bob@example.com")).account == "bob@example.com"
    assert (await ask(house, "alice@example.com")).account == "alice@example.com"
    assert (await ask(house)).account == "alice@example.com"


async def test_an_account_may_be_named_by_its_connections_id(house):
    first = await keep(house, "a", "anna")
    second = await keep(house, "b", "anna at work")
    assert [(await ask(house, each.id)).token for each in (first, second)] == ["the token of a", "the token of b"]


async def test_an_unknown_account_is_an_error_that_lists_the_others_and_never_another_account(house):
    await keep(house, "a", "anna")
    await keep(house, "b", "work")
    refused = await ask(house, "carol")
    assert isinstance(refused, UnknownAccountError)
    assert "'carol'" in refused.message
    assert "anna, work" in refused.message


async def test_nobody_can_name_somebody_elses_account(house):
    await keep(house, "a", "anna")
    theirs = await keep(house, "b", "bernd", principal=BOB)
    for name in ("bernd", theirs.id, "b"):
        assert isinstance(await ask(house, name), UnknownAccountError)


async def test_an_account_named_where_there_is_none_at_all_is_asked_for(house):
    assert isinstance(await ask(house, "anna"), NeedsConnection)


async def test_a_named_account_that_has_ended_is_asked_for_again_and_not_replaced_by_the_default(house, server, clock):
    await house.connect(user="alice")
    await house.connect(user="bob")
    server.grants.find_access((await ask(house, "bob@example.com")).token).grant.revoked = True
    clock.advance(timedelta(hours=2))
    asked = await ask(house, "bob@example.com")
    assert isinstance(asked, NeedsConnection)
    assert (await house.flows.describe(asked.flow_id, ALICE)).account == "bob@example.com"
    assert (await ask(house)).account == "alice@example.com"


async def test_equal_labels_are_told_apart_by_the_accounts_id(house):
    for account_id, label in (("1", "Sales"), ("2", "Sales"), ("3", "Support"), ("4", None)):
        await keep(house, account_id, label)
    called = names(await house.store.connections.list_all(ALICE))
    assert list(called.values()) == ["Sales (1)", "Sales (2)", "Support", "4"]
    assert (await ask(house, "Sales (2)")).token == "the token of 2"
    assert isinstance(await ask(house, "Sales"), UnknownAccountError)


async def test_a_choice_is_offered_only_where_there_is_more_than_one_account_that_works(house, server, clock):
    assert await house.choice.offered(ALICE) == {}
    await house.connect(user="alice")
    assert await house.choice.offered(ALICE) == {}
    await house.connect(user="bob")
    assert await house.choice.offered(ALICE) == BOTH
    assert await house.choice.offered(BOB) == {}
    [_, bob] = await house.connections.list(ALICE)
    await house.connections.disconnect(ALICE, bob.id)
    assert await house.choice.offered(ALICE) == {}


async def test_the_default_comes_first_in_what_is_offered(house):
    await house.connect(user="alice")
    bob = await house.connect(user="bob")
    await house.grants.make_default(ALICE, bob.connection_id)
    assert await house.choice.offered(ALICE) == {
        ("acme", CredentialKind.OAUTH2): ("bob@example.com", "alice@example.com")
    }
    assert (await ask(house)).account == "bob@example.com"


async def test_asking_again_what_is_offered_reads_nothing_until_something_changed_or_time_has_passed(house, clock):
    elsewhere = House(house.store, house.vault, clock, {"acme": TABLE}, SETTINGS)
    await keep(house, "a", "anna")
    assert await house.choice.offered(ALICE) == {}
    await keep(elsewhere, "b", "work")
    assert await house.choice.offered(ALICE) == {}
    clock.advance(FRESH_FOR)
    assert await house.choice.offered(ALICE) == {("acme", CredentialKind.OAUTH2): ("anna", "work")}
    await elsewhere.close()


async def test_who_was_offered_another_choice_is_announced_and_nobody_else(house):
    told: list[str] = []
    choice = Choice(house.store.connections, house.live, house.clock)
    choice.subscribe(lambda principal: told.append(principal.subject))
    await keep(house, "a", "anna")
    await choice.close()
    assert told == []  # nothing was shown to anybody yet
    await choice.offered(ALICE)
    await choice.offered(BOB)
    await keep(house, "a", "anna")
    await keep(house, "c", "bernd", principal=BOB)
    await choice.close()
    assert told == []  # one account each, as before
    await keep(house, "b", "work")
    await choice.close()
    assert told == ["alice"]


@pytest.mark.parametrize("account", [None, "anna"])
async def test_a_change_of_default_is_felt_by_the_next_call(house, account):
    await keep(house, "a", "anna")
    other = await keep(house, "b", "work")
    for _ in range(2):
        assert (await ask(house, account)).token == "the token of a"
    await house.grants.make_default(ALICE, other.id)
    assert (await ask(house, account)).token == ("the token of a" if account else "the token of b")

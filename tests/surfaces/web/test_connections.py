"""My connections over HTTP."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from gateway.types import AuditEvent, ConnectionStatus, CredentialKind, Principal

# The fixtures `site`, `alice` and `bob` are in conftest.py.


def words(page) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def event(subject: str, at, **more) -> AuditEvent:
    given = {"action": "tool.called", "outcome": "done", "client": "Cursor", "tool": "get_deals", **more}
    return AuditEvent("e1", at, Principal("https://login.example.com", subject), **given)


async def press_disconnect(browser, connection_id: str):
    token = re.search(r'name="form_token" value="([^"]+)"', (await browser.get("/connections")).text)[1]
    origin = str(browser.base_url).rstrip("/")
    path = f"/connections/{connection_id}/disconnect"
    return await browser.post(path, data={"form_token": token}, headers={"origin": origin})


async def test_the_page_lists_what_i_connected_and_what_was_done_in_my_name(site, alice) -> None:
    made = site.connections.add()
    site.connections.add(provider="google", status=ConnectionStatus.NEEDS_REAUTH, status_reason="Google ended it.")
    site.connections.add("bob", account_label="bob@example.com")
    site.connections.events = [
        event("alice", made.updated_at + timedelta(minutes=1), provider="hubspot"),
        event("bob", made.updated_at, tool="bobs_tool"),
        event("alice", made.updated_at, action="something.new", outcome="ended_somehow", tool=None, client=None),
    ]
    text = words(await alice.get("/connections"))
    for expected in (
        "HubSpot alice@example.com Active",
        "Since 30 Jan 2026, 12:00 UTC",
        "Last change 1 Mar 2026, 10:00 UTC",
        "Read contacts crm.objects.contacts.read",
        "Needs to be connected again",
        "Google ended it.",
        "Tool called get_deals",
        "Cursor",
        "Something new",
        "ended somehow",
    ):
        assert expected in text
    assert "bob" not in text


async def test_an_end_that_is_near_is_said_with_what_to_do(site, alice) -> None:
    made = site.connections.add()
    assert "Ends" not in words(await alice.get("/connections"))
    ends = {"ends_at": made.updated_at + timedelta(days=4), "account_id": "2"}
    site.connections.add(**ends)
    assert "Ends 5 Mar 2026" in words(await alice.get("/connections"))
    assert "before then" not in words(await alice.get("/connections"))
    site.connections.add(**ends | {"warned_at": made.updated_at, "account_id": "3"})
    site.connections.events = [
        event("alice", made.updated_at, action="connection.ending_soon", outcome="ends_on_2026-03-05")
    ]
    text = words(await alice.get("/connections"))
    assert "Will end on 5 Mar 2026, 10:00 UTC" in text
    assert "Connect the account again before then" in text
    assert "Access ends soon" in text
    assert "ends on 2026-03-05" in text


async def test_nothing_connected_is_explained(alice) -> None:
    text = words(await alice.get("/connections"))
    assert "Nothing is connected yet" in text
    assert "shows you a link" in text


@pytest.mark.parametrize(
    ("revoked", "expected"),
    [
        ("yes", "HubSpot Has confirmed that it ended the access too"),
        (
            "retrying",
            "Has not confirmed yet that it ended the access. It is asked again until 2 Mar 2026, 12:00",
        ),
        ("shared", "another connection here uses the same access"),
        ("unsupported", "HubSpot Offers no way to end the access from here"),
        ("no", "the gateway's copy of it was damaged"),
        ("something new", "Could not be asked to end the access"),
    ],
)
async def test_disconnect_ends_it_and_says_what_the_provider_did(site, alice, revoked: str, expected: str) -> None:
    connection = site.connections.add()
    site.connections.revoked_at_provider = revoked
    answer = await press_disconnect(alice, connection.id)
    assert answer.status_code == 200
    assert expected in words(answer)
    assert ("https://provider.example/access" in answer.text) == (revoked != "yes")
    assert site.connections.rows == []


async def test_a_disconnected_password_is_still_valid_at_the_provider_and_the_page_says_so(site, alice) -> None:
    connection = site.connections.add(kind=CredentialKind.BASIC)
    site.connections.revoked_at_provider = "unsupported"
    assert "The password itself is still valid" in words(await press_disconnect(alice, connection.id))


async def test_a_disconnected_api_key_is_still_valid_at_the_provider_and_the_page_says_so(site, alice) -> None:
    connection = site.connections.add(provider="stripe", kind=CredentialKind.API_KEY, account_label=None)
    site.connections.revoked_at_provider = "unsupported"
    assert "API key" in words(await alice.get("/connections"))
    assert "The key itself is still valid" in words(await press_disconnect(alice, connection.id))


async def test_somebody_elses_connection_is_not_there(site, alice, bob) -> None:
    site.connections.add("bob")
    connection = site.connections.add("alice")
    for connection_id in (connection.id, "unknown"):
        assert (await press_disconnect(bob, connection_id)).status_code == 404
    assert connection in site.connections.rows


async def test_a_forged_disconnect_does_nothing(site, alice) -> None:
    connection = site.connections.add()
    path = f"/connections/{connection.id}/disconnect"
    assert (await alice.post(path, headers={"origin": site.url})).status_code == 403
    assert (await alice.get(path)).status_code == 405
    assert connection in site.connections.rows


async def press_on(browser, connection_id: str, act: str, token: str | None = None):
    token = token or re.search(r'name="form_token" value="([^"]+)"', (await browser.get("/connections")).text)[1]
    origin = str(browser.base_url).rstrip("/")
    path = f"/connections/{connection_id}/{act}"
    return await browser.post(path, data={"form_token": token}, headers={"origin": origin})


async def test_the_default_is_marked_where_there_is_a_choice_and_can_be_moved(site, alice) -> None:
    first = site.connections.add(is_default=True)
    second = site.connections.add(account_id="2", account_label="alice@work.example")
    text = words(await alice.get("/connections"))
    assert "alice@example.com Default Active" in text
    assert text.count("Use by default") == 1
    answer = await press_on(alice, second.id, "default")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/connections#{second.id}")
    assert [row.is_default for row in site.connections.rows] == [False, True]
    assert first.id != second.id


async def test_a_single_account_is_not_called_the_default(site, alice) -> None:
    site.connections.add(is_default=True)
    text = words(await alice.get("/connections"))
    assert "Default" not in text
    assert "Use by default" not in text
    assert "Add another account" in text


@pytest.mark.parametrize("act", ["again", "another"])
async def test_asking_again_and_adding_lead_to_the_page_that_asks_first(site, alice, act: str) -> None:
    made = site.connections.add(status=ConnectionStatus.NEEDS_REAUTH)
    answer = await press_on(alice, made.id, act)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/connect/flow-{act}")
    assert site.connections.begun == [(act, made.id)]


@pytest.mark.parametrize("act", ["default", "again", "another"])
async def test_nothing_is_done_for_a_strangers_connection_or_without_our_form(site, alice, act: str) -> None:
    site.connections.add()
    theirs = site.connections.add("bob")
    assert (await press_on(alice, theirs.id, act)).status_code == 404
    assert (await press_on(alice, theirs.id, act, token="guessed")).status_code == 403
    assert site.connections.begun == []


async def test_what_was_withheld_is_listed_with_the_way_to_ask_again(site, alice) -> None:
    site.connections.add()
    site.connections.withheld = ("crm.objects.contacts.write",)
    text = words(await alice.get("/connections"))
    assert "HubSpot was asked for this and did not grant it: Create, change and delete contacts" in text
    assert "Ask again" in text


async def test_an_end_that_was_foreseen_is_said_with_the_way_to_prevent_it(site, alice) -> None:
    at = datetime(2026, 3, 4, 12, tzinfo=UTC)
    site.connections.add(ends_at=at)
    assert "Will end on" not in words(await alice.get("/connections"))
    site.connections.add(account_id="2", ends_at=at, warned_at=at)
    text = words(await alice.get("/connections"))
    assert "Will end on 4 Mar 2026, 12:00 UTC" in text
    assert "Connect again" in text

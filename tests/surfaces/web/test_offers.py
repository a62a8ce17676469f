"""What uses an account, and what could be connected, on the page of connections."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from gateway.toolkit.tool import Annotations
from gateway.types import ConnectionStatus, CredentialKind
from tests.surfaces.web.conftest import NOW
from tests.surfaces.web.test_connections import words

# The fixtures `site`, `alice` and `bob` are in conftest.py.
CONTACTS, NOTES = "crm.objects.contacts.read", "crm.objects.contacts.write"


async def press_new(browser, provider: str, kind: str = "oauth2", token: str | None = None):
    token = token or re.search(r'name="form_token" value="([^"]+)"', (await browser.get("/connections")).text)[1]
    sent = {"form_token": token, "provider": provider, "kind": kind}
    return await browser.post("/connections/new", data=sent, headers={"origin": str(browser.base_url).rstrip("/")})


async def test_an_account_shows_which_tools_use_it_and_what_they_ask_for(site, alice) -> None:
    site.connections.add()
    site.add_tool("get_contacts", "hubspot", CONTACTS, annotations=Annotations(title="Find contacts"))
    site.add_tool("send_mail", "google", "https://www.googleapis.com/auth/gmail.send")
    site.add_tool("add")
    text = words(await alice.get("/connections"))
    assert "Used by 1 tool get_contacts Find contacts Read contacts" in text
    assert "add" not in re.findall(r"\w+", text.partition("Disconnect")[0])


async def test_a_tool_that_a_person_may_not_see_is_on_no_page_of_theirs(site, alice) -> None:
    site.connections.add()
    site.add_tool("get_contacts", "hubspot", CONTACTS)
    site.add_tool("wipe_crm", "hubspot", NOTES)
    site.add_tool("pay", "salesforce", "api")
    site.policy.hidden = {"wipe_crm", "pay"}
    page = await alice.get("/connections")
    assert "Used by 1 tool" in words(page)
    for hidden in ("wipe_crm", "pay", "salesforce", NOTES):
        assert hidden not in page.text
    assert (await press_new(alice, "salesforce")).status_code == 404


async def test_a_tool_of_another_kind_of_credential_does_not_use_the_account(site, alice) -> None:
    site.connections.add()
    site.add_tool("report", "hubspot", kind=CredentialKind.CLIENT_CREDENTIALS)
    site.add_tool("stats", "hubspot", kind=CredentialKind.API_KEY)
    text = words(await alice.get("/connections"))
    assert "No tool here uses it" in text
    assert "report" not in text
    assert "For 1 tool : HubSpot stats" in text


async def test_when_an_account_was_last_used_is_said(site, alice) -> None:
    made = site.connections.add()
    assert "Last used Not lately" in words(await alice.get("/connections"))
    site.connections.used = {("hubspot", made.account_label): NOW - timedelta(hours=1)}
    assert "Last used 1 Mar 2026, 11:00 UTC" in words(await alice.get("/connections"))


@pytest.mark.parametrize("why", ["two of one name", "before it was connected"])
async def test_a_use_that_may_be_another_accounts_is_not_claimed(site, alice, why: str) -> None:
    made = site.connections.add()
    at = NOW - timedelta(hours=1)
    if why == "two of one name":
        site.connections.add(account_id="2")
    else:
        at = made.created_at - timedelta(seconds=1)
    site.connections.used = {("hubspot", made.account_label): at}
    assert "Last used Not lately" in words(await alice.get("/connections"))


async def test_what_tools_need_beyond_the_account_can_be_asked_for(site, alice) -> None:
    made = site.connections.add()
    site.add_tool("create_note", "hubspot", CONTACTS, NOTES)
    text = words(await alice.get("/connections"))
    assert "Tools need more than this account was asked for: Create, change and delete contacts" in text
    assert "Read contacts Create, change and delete contacts not granted" in text

    token = re.search(r'name="form_token" value="([^"]+)"', (await alice.get("/connections")).text)[1]
    path = f"/connections/{made.id}/more"
    answer = await alice.post(path, data={"form_token": token}, headers={"origin": site.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/connect/flow-again")
    assert site.connections.begun == [(f"again {CONTACTS} {NOTES}", made.id)]


async def test_what_was_asked_for_and_refused_is_not_asked_for_as_new(site, alice) -> None:
    site.connections.add()
    site.connections.withheld = (NOTES,)
    site.add_tool("create_note", "hubspot", NOTES)
    text = words(await alice.get("/connections"))
    assert "did not grant it" in text
    assert "Tools need more" not in text


async def test_an_account_that_has_ended_is_first_connected_again(site, alice) -> None:
    site.connections.add(status=ConnectionStatus.NEEDS_REAUTH)
    site.add_tool("create_note", "hubspot", NOTES)
    text = words(await alice.get("/connections"))
    assert "Connect again" in text
    assert "Tools need more" not in text


async def test_a_provider_that_does_not_answer_renewals_is_said(site, alice) -> None:
    site.connections.add(failures=2)
    assert "HubSpot did not answer. It is asked again by itself." in words(await alice.get("/connections"))


async def test_what_tools_need_and_what_is_set_up_is_offered_until_it_is_connected(site, alice) -> None:
    site.add_tool("get_contacts", "hubspot", CONTACTS)
    site.add_tool("list_events", "google")
    site.add_tool("charge", "stripe", kind=CredentialKind.API_KEY)
    site.connections.set_up = ["hubspot", "slack"]
    page = await alice.get("/connections")
    offered = re.findall(r'<button class="secondary" type="submit">Connect<span class="unseen"> <bdi>(\w+)', page.text)
    assert offered == ["HubSpot", "Stripe", "slack"]
    text = words(page)
    assert "slack No tool here needs it yet" in text
    assert "Google Not set up here yet" in text

    site.connections.add()
    assert "Connect HubSpot" not in words(await alice.get("/connections"))


async def test_an_offer_leads_to_the_page_that_asks_for_all_that_the_tools_need(site, alice) -> None:
    site.connections.set_up = ["hubspot"]
    site.add_tool("get_contacts", "hubspot", CONTACTS)
    site.add_tool("create_note", "hubspot", NOTES)
    answer = await press_new(alice, "hubspot")
    assert (answer.status_code, answer.headers["location"]) == (303, "/connect/flow-new")
    assert site.connections.begun == [("hubspot", "oauth2", CONTACTS, NOTES)]


@pytest.mark.parametrize(
    ("provider", "kind"),
    [("hubspot", "api_key"), ("google", "oauth2"), ("nowhere", "oauth2"), ("hubspot", "x"), ("", "")],
)
async def test_what_is_not_offered_cannot_be_begun(site, alice, provider: str, kind: str) -> None:
    site.connections.set_up = ["hubspot"]
    site.add_tool("list_events", "google")
    assert (await press_new(alice, provider, kind)).status_code == 404
    assert site.connections.begun == []


async def test_nothing_is_begun_without_our_form(site, alice) -> None:
    site.connections.set_up = ["hubspot"]
    assert (await press_new(alice, "hubspot", token="guessed")).status_code == 403
    assert (await alice.get("/connections/new")).status_code == 405
    assert site.connections.begun == []


async def test_five_hundred_tools_and_a_dozen_accounts_make_no_heavy_page(site, alice) -> None:
    providers = [f"provider{number}" for number in range(10)]
    for number in range(500):
        scopes = [f"https://scopes.example/{number % 7}.read", f"https://scopes.example/{number % 5}.write"]
        site.add_tool(f"a_tool_with_a_name_{number}", providers[number % 10], *scopes)
    granted = frozenset(f"https://scopes.example/{number}.read" for number in range(7))
    for number in range(12):
        site.connections.add(provider=providers[number % 8], account_id=str(number), scopes=granted)
    page = await alice.get("/connections")
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    weight = len(page.content) + sum([len((await alice.get(each)).content) for each in assets])
    assert "Used by 50 tools" in page.text
    assert len(assets) == 3
    assert "and 24 more" in page.text
    assert weight < 100_000

"""The connect page for people whom an app vouches for, and who have no sign-in here."""

from __future__ import annotations

import re
from html import unescape

import httpx2
import pytest

from gateway.surfaces.browser.plain_text import LONGEST_NAME
from gateway.types import CredentialKind, Flow, FlowStatus, Principal
from tests.surfaces.web.test_connect import form_token, leave, press

URL = "https://notes.example/connected"


def flow_of(site, user: str = "alice@example.com", **more) -> Flow:
    return site.flows.add(principal=Principal("app:Notes", user), client="Notes", tool=None, **more)


def words(page: httpx2.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", "", page.text)).split())


@pytest.fixture
async def browser(site):
    async with site.browser(None) as nobody:
        yield nobody


async def test_the_page_says_which_app_asks_and_for_which_of_its_users(site, browser) -> None:
    page = await browser.get(f"/connect/{flow_of(site).id}")

    assert page.status_code == 200
    assert "Notes asks to use your HubSpot account for its user alice@example.com." in words(page)
    assert "If that is not you, close this page." in words(page)
    assert "In the name of" not in page.text
    assert 'href="/connections"' not in page.text
    assert 'class="person"' not in page.text


async def test_a_name_that_hides_or_goes_on_for_ever_is_shown_as_what_it_is(site, browser) -> None:
    flow = flow_of(site, "\u202eecila<b>" + "x" * 200)
    page = await browser.get(f"/connect/{flow.id}")

    assert "\u202e" not in page.text
    assert "<b>x" not in page.text
    assert "x" * LONGEST_NAME not in page.text


async def test_a_consent_ends_on_a_page_that_needs_no_sign_in(site, browser) -> None:
    flow = flow_of(site)
    state = await leave(browser, flow)
    back = await browser.get("/oauth/callback/hubspot", params={"state": state, "code": "the-code"})
    done = await browser.get(back.headers["location"])

    assert back.headers["location"] == f"/connect/{flow.id}/done"
    assert "HubSpot is connected" in words(done)
    assert "You can close this tab; Notes goes on by itself." in words(done)
    assert "take the access away in your account at HubSpot" in words(done)
    assert "/connections" not in done.text


@pytest.mark.parametrize("act", ["", "/decline"])
async def test_the_app_gets_its_person_back_with_the_outcome_and_never_a_code(site, browser, act: str) -> None:
    flow = flow_of(site, return_url=URL)
    if act:
        back = await press(browser, f"/connect/{flow.id}", act)
    else:
        query = {"state": await leave(browser, flow), "code": "the-code"}
        back = await browser.get("/oauth/callback/hubspot", params=query)

    outcome = "status=declined" if act else "status=connected&connection_id=c0ffee"
    assert (back.status_code, back.headers["location"]) == (303, f"{URL}?{outcome}")


async def test_a_key_is_typed_in_without_a_sign_in_and_the_browser_sees_that_it_was_kept(site, browser) -> None:
    flow = flow_of(site, kind=CredentialKind.API_KEY, provider="stripe", scopes=frozenset())
    answer = await press(browser, f"/connect/{flow.id}", api_key="sk-1")

    assert site.flows.keys[flow.id] == "sk-1"
    assert "is connected" in words(await browser.get(answer.headers["location"]))
    async with site.browser("alice") as other:
        assert (await other.get(answer.headers["location"])).status_code == 404


async def test_a_form_for_one_user_does_not_fit_anothers_flow(site, browser) -> None:
    mine, theirs = flow_of(site), flow_of(site, "mallory@example.com")
    token = form_token(await browser.get(f"/connect/{theirs.id}"))
    answer = await browser.post(f"/connect/{mine.id}", data={"form_token": token}, headers={"origin": site.url})

    assert answer.status_code == 403
    assert site.flows.changes == 0


async def test_another_account_than_the_one_wanted_is_explained_without_my_connections(site, browser) -> None:
    flow = flow_of(site)
    site.flows.views[flow.id] = {"account": "a@x", "connected": "b@x", "is_mistaken": True, "withheld": ("crm.x",)}
    query = {"state": await leave(browser, flow), "code": "the-code"}
    back = await browser.get("/oauth/callback/hubspot", params=query)
    done = await browser.get(back.headers["location"])

    assert site.flows.rows[flow.id].status is FlowStatus.CONNECTED
    assert "Ask Notes for another link to connect a@x again" in words(done)
    assert "If you left a box unticked, ask Notes for another link." in words(done)
    assert "/connections" not in done.text

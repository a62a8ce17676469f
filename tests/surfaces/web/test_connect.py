"""The connect page over HTTP: two people, a browser each."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gateway.errors import FieldError, FlowError, ProviderUnavailableError
from gateway.types import CredentialKind, Flow, FlowStatus
from tests.surfaces.web.conftest import Field

# The fixtures `site`, `alice` and `bob`, and what they are made of, are in conftest.py.


def form_token(page: httpx2.Response) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def words(page: httpx2.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


async def press(browser: httpx2.AsyncClient, path: str, action: str = "", **fields: str) -> httpx2.Response:
    """Open the page and press its button, as a browser does."""
    token = form_token(await browser.get(path))
    origin = str(browser.base_url).rstrip("/")
    return await browser.post(path + action, data={"form_token": token, **fields}, headers={"origin": origin})


async def leave(browser: httpx2.AsyncClient, flow: Flow) -> str:
    """Press Connect; the state with which the browser leaves."""
    left = await press(browser, f"/connect/{flow.id}")
    assert left.status_code == 303, left.text
    return parse_qs(urlsplit(left.headers["location"]).query)["state"][0]


def key_flow(site, **more) -> Flow:
    return site.flows.add(kind=CredentialKind.API_KEY, provider="stripe", scopes=frozenset(), **more)


# --- the page ---


async def test_the_page_says_who_asks_for_what_where_and_for_whom(site, alice) -> None:
    flow = site.flows.add(scopes=frozenset({"crm.objects.contacts.read", "unknown.scope"}))
    page = await alice.get(f"/connect/{flow.id}")
    assert page.status_code == 200
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())
    for words in (
        "Connect HubSpot",
        "Claude Desktop asks to use your HubSpot account",
        "get_contacts",
        "alice",
        "Read contacts crm.objects.contacts.read",
        "unknown.scope",
        "HubSpot asks you to sign in",
        "1 Mar 2026, 12:10 UTC",
    ):
        assert words in text
    assert re.findall(r"<button [^>]*>([^<]+)</button>", page.text) == ["Connect", "Not now"]


async def test_looking_at_the_page_changes_nothing(site, alice) -> None:
    """Link previews and scanners open links."""
    flow = site.flows.add()
    for path in (f"/connect/{flow.id}", f"/connect/{flow.id}/done"):
        await alice.get(path)
        await alice.head(path)
    assert site.flows.changes == 0


async def test_unknown_expired_and_foreign_flows_look_the_same(site, alice, bob) -> None:
    foreign, expired = site.flows.add("bob"), site.flows.add(expires_at=site.flows.add().created_at)
    answers = []
    for flow_id in ("unknown", foreign.id, expired.id):
        answers.append(await alice.get(f"/connect/{flow_id}"))
        answers.append(await alice.get(f"/connect/{flow_id}/done"))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert "ask again" in answers[0].text
    assert (await bob.get(f"/connect/{foreign.id}")).status_code == 200


async def test_nobody_signed_in_sees_nothing(site) -> None:
    """As if there were no such flow: the page does not even say that it knows the link."""
    flow = site.flows.add()
    async with site.browser(None) as nobody:
        pages = [await nobody.get(f"/connect/{flow_id}") for flow_id in (flow.id, "unknown")]
        assert (await nobody.get("/connections")).status_code == 401
    assert [page.status_code for page in pages] == [404, 404]
    assert pages[0].text == pages[1].text


async def test_the_page_lets_its_form_lead_anywhere_by_https_and_other_pages_nowhere(site, alice) -> None:
    """Browsers hold every redirect after a form to form-action, and providers pass people on."""
    oauth, key = site.flows.add(), key_flow(site)
    policy = (await alice.get(f"/connect/{oauth.id}")).headers["content-security-policy"]
    assert "form-action 'self' https: http://127.0.0.1:* http://localhost:*;" in policy
    for path in (f"/connect/{key.id}", "/connections", "/", "/nowhere"):
        assert "form-action 'self';" in (await alice.get(path)).headers["content-security-policy"]


async def test_a_page_with_a_form_lets_the_browser_name_its_origin(site, alice) -> None:
    """Under `no-referrer` a browser sends `Origin: null` with our own form, and the edge refuses that."""
    flow = site.flows.add()
    assert (await alice.get(f"/connect/{flow.id}")).headers["referrer-policy"] == "same-origin"
    assert (await alice.get("/")).headers["referrer-policy"] == "no-referrer"


# --- Connect ---


async def test_connect_leaves_for_the_provider_and_comes_back_to_a_clean_address(site, alice) -> None:
    flow = site.flows.add()
    state = await leave(alice, flow)
    back = await alice.get("/oauth/callback/hubspot", params={"state": state, "code": "the-code"})
    assert back.status_code == 303
    assert back.headers["location"] == f"/connect/{flow.id}/done"
    assert back.headers["cache-control"] == "no-store"
    done = await alice.get(back.headers["location"])
    assert done.status_code == 200
    assert "HubSpot</bdi> is connected" in done.text
    assert "You can close this tab" in done.text
    assert (await alice.get(f"/connect/{flow.id}")).text == done.text


async def test_the_cookie_that_ties_the_answer_to_the_browser_is_guarded(site, alice) -> None:
    flow = site.flows.add()
    left = await press(alice, f"/connect/{flow.id}")
    (cookie,) = left.headers.get_list("set-cookie")
    assert re.fullmatch(r"atp-connect-[0-9a-f]{16}=[\w-]+; HttpOnly; Max-Age=600; Path=/; SameSite=lax", cookie)
    state = parse_qs(urlsplit(left.headers["location"]).query)["state"][0]
    back = await alice.get("/oauth/callback/hubspot", params={"state": state, "code": "c"})
    assert "Max-Age=0" in back.headers["set-cookie"]


async def test_several_consents_can_be_under_way_in_one_browser(site, alice) -> None:
    first, second = site.flows.add(), site.flows.add(tool="get_deals")
    states = [await leave(alice, first), await leave(alice, second)]
    for state, flow in zip(states, (first, second), strict=True):
        await alice.get("/oauth/callback/hubspot", params={"state": state, "code": "c"})
        assert site.flows.rows[flow.id].status is FlowStatus.CONNECTED


async def test_a_link_sent_to_somebody_else_opens_nothing(site, alice, bob) -> None:
    """Otherwise bob's account would end up with alice."""
    flow = site.flows.add("alice")
    token = form_token(await bob.get(f"/connect/{site.flows.add('bob').id}"))
    posted = await bob.post(f"/connect/{flow.id}", data={"form_token": token}, headers={"origin": site.url})
    assert posted.status_code == 404
    assert site.flows.changes == 0


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_an_answer_in_another_browser_connects_nothing(site, alice, name: str) -> None:
    """The reverse: a code pushed into somebody's browser; also one's own, which did not press Connect."""
    flow = site.flows.add()
    state = await leave(alice, flow)
    async with site.browser(name) as other:
        answer = await other.get("/oauth/callback/hubspot", params={"state": state, "code": "the-code"})
    assert answer.status_code == 403
    assert "Another browser began this" in answer.text
    assert site.flows.rows[flow.id].status is FlowStatus.PENDING


async def test_an_answer_that_says_a_thing_twice_is_refused(site, alice) -> None:
    flow = site.flows.add()
    state = await leave(alice, flow)
    answer = await alice.get(f"/oauth/callback/hubspot?state={state}&code=a&code=b")
    assert answer.status_code == 400
    assert site.flows.rows[flow.id].status is FlowStatus.PENDING


async def test_what_the_provider_answers_is_told_and_never_repeated(site, alice) -> None:
    flow = site.flows.add()
    for query, status, words in (
        ({}, 404, "does not work (any more)"),
        ({"state": "unknown", "code": "the-code"}, 404, "does not work (any more)"),
        ({"state": await leave(alice, flow)}, 400, "HubSpot sent no code."),
    ):
        answer = await alice.get("/oauth/callback/hubspot", params=query)
        assert answer.status_code == status
        assert words in answer.text
        assert "the-code" not in answer.text
    site.flows.refusal = ProviderUnavailableError("HubSpot does not answer. Try again in a minute.")
    answer = await alice.get("/oauth/callback/hubspot", params={"state": "s", "code": "the-code"})
    assert answer.status_code == 503
    assert "Try again in a minute" in answer.text


async def test_no_at_the_provider_is_an_answer_too(site, alice) -> None:
    flow = site.flows.add()
    state = await leave(alice, flow)
    back = await alice.get("/oauth/callback/hubspot", params={"state": state, "error": "access_denied"})
    done = await alice.get(back.headers["location"])
    assert done.status_code == 200
    assert "You said no" in done.text


async def test_a_flow_that_failed_says_why(site, alice) -> None:
    flow = site.flows.add(status=FlowStatus.FAILED, failure="HubSpot refused the client. Ask your administrator.")
    assert "HubSpot refused the client." in (await alice.get(f"/connect/{flow.id}/done")).text


async def test_done_before_it_is_done_leads_back(site, alice) -> None:
    flow = site.flows.add()
    assert (await alice.get(f"/connect/{flow.id}/done")).headers["location"] == f"/connect/{flow.id}"


async def test_not_now_ends_it(site, alice) -> None:
    flow = site.flows.add()
    answer = await press(alice, f"/connect/{flow.id}", "/decline")
    assert answer.status_code == 303
    assert site.flows.rows[flow.id].status is FlowStatus.DECLINED
    assert "You said no" in (await alice.get(answer.headers["location"])).text


async def test_pressing_a_button_of_a_page_that_is_out_of_date_shows_how_it_ended(site, alice) -> None:
    flow = site.flows.add()
    token = form_token(await alice.get(f"/connect/{flow.id}"))
    await site.flows.decline(flow.id, flow.principal)
    again = await alice.post(f"/connect/{flow.id}", data={"form_token": token}, headers={"origin": site.url})
    assert again.headers["location"] == f"/connect/{flow.id}/done"


# --- forged forms (P4) ---


@pytest.mark.parametrize("action", ["", "/decline"])
async def test_a_form_that_is_not_ours_does_nothing(site, alice, bob, action: str) -> None:
    flow = site.flows.add()
    mine = form_token(await alice.get(f"/connect/{flow.id}"))
    theirs = form_token(await bob.get(f"/connect/{site.flows.add('bob').id}"))
    ours = {"origin": site.url}
    path = f"/connect/{flow.id}{action}"
    forged = [
        await alice.post(path, headers=ours),
        await alice.post(path, data={"form_token": ""}, headers=ours),
        await alice.post(path, data={"form_token": "ü" * 64}, headers=ours),
        await alice.post(path, data={"form_token": theirs}, headers=ours),
        await alice.post(path, data={"form_token": mine}, headers={"origin": "http://evil.example"}),
        await alice.post(path, data={"form_token": mine}, headers={"origin": "null"}),
        await alice.post(path, data={"form_token": mine}, headers={**ours, "sec-fetch-site": "cross-site"}),
        await alice.post(path, data={"form_token": mine}, headers={**ours, "sec-fetch-site": "same-site"}),
        await alice.post(path, content=f"form_token={mine}", headers={**ours, "content-type": "text/plain"}),
    ]
    alice.cookies.delete("atp-form")
    forged.append(await alice.post(path, data={"form_token": mine}, headers=ours))
    assert [answer.status_code for answer in forged] == [403] * len(forged)
    assert site.flows.changes == 0


async def test_a_form_made_for_one_person_is_no_use_to_the_next_at_the_same_browser(site, alice) -> None:
    flow = site.flows.add("bob")
    token = form_token(await alice.get(f"/connect/{site.flows.add().id}"))
    alice.cookies.set("person", "bob")
    answer = await alice.post(f"/connect/{flow.id}", data={"form_token": token}, headers={"origin": site.url})
    assert answer.status_code == 403


# --- API keys ---


async def test_an_api_key_is_taken_and_never_shown(site, alice) -> None:
    flow = key_flow(site)
    page = await alice.get(f"/connect/{flow.id}")
    assert re.search(r'<input id="api_key" name="api_key" type="password" autocomplete="off"', page.text)
    answer = await press(alice, f"/connect/{flow.id}", api_key="  sk_live_4242424242\n")
    assert answer.status_code == 303
    assert site.flows.keys == {flow.id: "sk_live_4242424242"}
    done = await alice.get(answer.headers["location"])
    assert "is connected" in done.text
    assert "sk_live" not in done.text + str(answer.headers)


async def test_a_key_that_is_refused_can_be_entered_again(site, alice) -> None:
    flow = key_flow(site)
    site.flows.refusal = FlowError("Stripe does not accept this key. Copy it once more.")
    answer = await press(alice, f"/connect/{flow.id}", api_key="sk_live_wrong")
    assert answer.status_code == 400
    assert "Stripe does not accept this key. Copy it once more." in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "sk_live_wrong" not in answer.text
    assert form_token(answer)


@pytest.mark.parametrize("key", ["", "   ", "x" * 20_000, "two\nlines", "nul\0"])
async def test_what_cannot_be_a_key_is_refused_on_the_page(site, alice, key: str) -> None:
    flow = key_flow(site)
    answer = await press(alice, f"/connect/{flow.id}", api_key=key)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert site.flows.keys == {}


# --- back to the app that asked ---


async def test_an_app_that_gave_a_return_url_gets_its_person_back_with_the_outcome_alone(site, alice) -> None:
    flow = site.flows.add(return_url="https://app.example.com/back?tab=1&status=forged")
    state = await leave(alice, flow)
    back = await alice.get("/oauth/callback/hubspot", params={"state": state, "code": "the-code"})
    location = "https://app.example.com/back?tab=1&status=connected&connection_id=c0ffee"
    assert (back.status_code, back.headers["location"]) == (303, location)


async def test_a_return_url_that_cannot_be_trusted_is_not_followed(site, alice) -> None:
    flow = site.flows.add(return_url="javascript:alert(1)")
    answer = await press(alice, f"/connect/{flow.id}", "/decline")
    assert answer.headers["location"] == f"/connect/{flow.id}/done"


# --- what the person fills in ---


async def test_a_part_of_the_address_is_asked_for_and_goes_to_the_flow(site, alice) -> None:
    flow = site.flows.add(provider="google")
    site.flows.views[flow.id] = {"fields": (Field("shop", "the part before .shop.example", "former"),)}
    page = await alice.get(f"/connect/{flow.id}")
    assert 'name="variable-shop"' in page.text
    assert 'value="former"' in page.text
    assert "the part before .shop.example" in page.text
    answer = await press(alice, f"/connect/{flow.id}", **{"variable-shop": "acme", "variable-other": "x"})
    assert answer.status_code == 303
    assert site.flows.variables[flow.id] == {"shop": "acme"}


async def test_a_field_that_will_not_do_is_named_and_keeps_what_was_typed_but_for_secrets(site, alice) -> None:
    flow = site.flows.add(kind=CredentialKind.BASIC, scopes=frozenset())
    site.flows.views[flow.id] = {"fields": (Field("shop", "the part before .shop.example"),)}
    site.flows.refusal = FieldError("shop", "That does not look right.")
    typed = {"variable-shop": "<evil>", "username": "anna", "password": "correct horse"}
    answer = await press(alice, f"/connect/{flow.id}", **typed)
    assert answer.status_code == 422
    assert 'aria-describedby="variable_shop_hint variable_shop_error"' in answer.text
    assert "That does not look right." in answer.text
    assert 'value="anna"' in answer.text
    assert "&lt;evil&gt;" in answer.text
    assert "correct horse" not in answer.text
    assert answer.text.count("autofocus") == 1


async def test_a_user_name_and_password_are_typed_in(site, alice) -> None:
    flow = site.flows.add(kind=CredentialKind.BASIC, scopes=frozenset())
    answer = await press(alice, f"/connect/{flow.id}", username="anna", password=" two words ")
    assert answer.status_code == 303
    assert site.flows.keys == {flow.id: "anna: two words "}


# --- the same account again, another account, and what was not granted ---


async def test_the_page_names_the_account_that_is_wanted_again(site, alice) -> None:
    flow = site.flows.add()
    site.flows.views[flow.id] = {"account": "alice@work.example"}
    text = words(await alice.get(f"/connect/{flow.id}"))
    assert "With the account alice@work.example" in text
    assert "another account would be kept beside it" in text


async def test_a_program_cannot_pass_its_request_off_as_the_persons_own_wish(site, alice) -> None:
    flow = site.flows.add(client="My connections")
    text = words(await alice.get(f"/connect/{flow.id}"))
    assert "My connections asks to use your HubSpot account" in text
    assert "You asked for this" not in text


async def test_what_was_withheld_before_is_said_before_asking_again(site, alice) -> None:
    flow = site.flows.add(tool=None)
    site.flows.views[flow.id] = {"withheld": ("crm.objects.contacts.write",), "is_own_wish": True}
    text = words(await alice.get(f"/connect/{flow.id}"))
    assert "HubSpot was asked for this before and did not grant it." in text
    assert "crm.objects.contacts.write" in text


async def test_the_end_says_what_was_not_granted_and_which_account_it_is(site, alice) -> None:
    flow = site.flows.add(status=FlowStatus.CONNECTED)
    site.flows.views[flow.id] = {"withheld": ("tickets",), "connected": "alice@example.com"}
    text = words(await alice.get(f"/connect/{flow.id}/done"))
    assert "Not everything was granted." in text
    assert "Read and change tickets" in text
    assert "alice@example.com" in text


async def test_the_end_says_that_another_account_was_connected_and_nothing_overwritten(site, alice) -> None:
    flow = site.flows.add(status=FlowStatus.CONNECTED)
    site.flows.views[flow.id] = {"account": "alice@a.example", "connected": "bob@b.example", "is_mistaken": True}
    text = words(await alice.get(f"/connect/{flow.id}/done"))
    assert "You connected another account" in text
    assert "Nothing was overwritten: bob@b.example is kept as an account of its own" in text

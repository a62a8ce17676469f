"""Attacks that would join one person's account to another person: a table of them, none of which succeeds.

Alice and Mallory each have an account of their own here and at the provider, and a browser each. Whatever Mallory
tries, nobody ends up with a connection to an account that is not theirs, and Alice can still connect hers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.testing.browser import Browser, LostError
from tests.oauth.town import ALICE, MALLORY, PATH, Town


async def a_forwarded_link_is_opened(town: Town) -> int:
    _, url = await town.begin(MALLORY)
    return (await town.browser("alice").open(url)).status


async def a_forwarded_link_is_consented_to_as_far_as_it_goes(town: Town) -> int:
    _, url = await town.begin(MALLORY)
    return (await town.browser("alice").consent(url, "alice")).status


async def connect_is_pressed_on_a_forwarded_link_with_a_form_of_the_victims_own(town: Town) -> int:
    foreign, _ = await town.begin(MALLORY)
    _, own = await town.begin(ALICE)
    alice = town.client("alice")
    token = (await Browser(alice).open(own)).forms[0].fill({}, "")["form_token"]
    answer = await alice.post(f"/connect/{foreign.id}", data={"form_token": token}, headers={"origin": town.url})
    return answer.status_code


async def the_providers_own_address_is_forwarded(town: Town) -> int:
    """Mallory presses Connect and sends on where that led: Alice consents, and comes back with her code."""
    flow, _ = await town.begin(MALLORY)
    started = await town.house.flows.start(flow.id, MALLORY)
    return (await town.browser("alice").consent(started.authorization_url, "alice")).status


async def the_providers_own_address_is_forwarded_and_the_starter_waits_with_the_right_cookie(town: Town) -> int:
    """As before; then Mallory calls back with her own cookie and state, and has no code but her own server's none."""
    mallory = town.browser("mallory")
    _, url = await town.begin(MALLORY)
    page = await mallory.open(url)
    led_to = (await mallory.press(page, "Connect", stop_at=_issuer(town))).url
    await town.browser("alice").consent(led_to, "alice")
    state = dict(parse_qsl(urlsplit(led_to).query))["state"]
    return (await mallory.open(f"{town.url}{PATH}?{urlencode({'state': state, 'code': 'guessed'})}")).status


def _issuer(town: Town) -> str:
    return town.house.apps.settings("acme").issuer or ""


async def a_callback_is_pushed_into_the_victims_browser(town: Town) -> int:
    _, url = await town.begin(MALLORY)
    pushed = await town.until_callback(town.browser("mallory"), url, "mallory")
    return (await town.browser("alice").open(pushed)).status


async def a_callback_is_pushed_while_the_victim_has_a_consent_of_her_own_under_way(town: Town) -> int:
    alice = town.browser("alice")
    _, own = await town.begin(ALICE)
    await town.until_callback(alice, own, "alice")
    _, url = await town.begin(MALLORY)
    pushed = await town.until_callback(town.browser("mallory"), url, "mallory")
    return (await alice.open(pushed)).status


async def a_code_is_slipped_under_the_victims_state(town: Town) -> int:
    """Even with her state leaked: PKCE ties the code to the consent that it came from."""
    alice = town.browser("alice")
    _, own = await town.begin(ALICE)
    mine = await town.until_callback(alice, own, "alice")
    _, url = await town.begin(MALLORY)
    theirs = await town.until_callback(town.browser("mallory"), url, "mallory")
    query = dict(parse_qsl(urlsplit(mine).query)) | {"code": dict(parse_qsl(urlsplit(theirs).query))["code"]}
    return (await alice.open(f"{town.url}{PATH}?{urlencode(query)}")).status


async def a_cookie_is_planted_with_the_callback(town: Town) -> int:
    """A neighbour host that may set cookies: the browser matches, the person does not."""
    mallory, alice = town.client("mallory"), town.client("alice")
    _, url = await town.begin(MALLORY)
    pushed = await town.until_callback(Browser(mallory), url, "mallory")
    for cookie in mallory.cookies.jar:
        if cookie.name != "person":
            alice.cookies.set(cookie.name, cookie.value or "", domain="127.0.0.1")
    return (await alice.get(pushed)).status_code


async def a_callback_with_an_id_of_another_server_is_taken_for_ours(town: Town) -> int:
    """RFC 9207: the mix-up."""
    town.server.behaviour.redirect_issuer = "https://evil.example"
    _, url = await town.begin(ALICE)
    return (await town.browser("alice").consent(url, "alice")).status


async def a_state_is_brought_to_another_providers_callback(town: Town) -> int:
    alice = town.browser("alice")
    _, url = await town.begin(ALICE)
    mine = await town.until_callback(alice, url, "alice")
    return (await alice.open(mine.replace("/callback/acme", "/callback/evil"))).status


async def the_same_person_of_another_tenant_opens_the_link(town: Town) -> int:
    _, url = await town.begin(ALICE)
    return (await town.browser("elsewhere").open(url)).status


async def a_callback_reaches_the_same_person_of_another_tenant(town: Town) -> int:
    _, url = await town.begin(ALICE)
    mine = await town.until_callback(town.browser("alice"), url, "alice")
    return (await town.browser("elsewhere").open(mine)).status


async def a_strangers_flow_is_declined(town: Town) -> int:
    foreign, _ = await town.begin(MALLORY)
    _, own = await town.begin(ALICE)
    alice = town.client("alice")
    token = (await Browser(alice).open(own)).forms[0].fill({}, "")["form_token"]
    answer = await alice.post(f"/connect/{foreign.id}/decline", data={"form_token": token})
    return answer.status_code


async def a_strangers_connection_is_taken_as_the_pattern_for_another_account(town: Town) -> int:
    await town.connect("mallory", MALLORY)
    [theirs] = await town.house.store.connections.list_all(MALLORY)
    _, own = await town.begin(ALICE)
    alice = town.client("alice")
    token = (await Browser(alice).open(own)).forms[0].fill({}, "")["form_token"]
    statuses = {
        (await alice.post(f"/connections/{theirs.id}/{act}", data={"form_token": token})).status_code
        for act in ("again", "another", "default", "disconnect")
    }
    assert len(await town.house.store.connections.list_all(MALLORY)) == 1
    return max(statuses)


async def a_form_without_our_token_begins_a_consent(town: Town) -> int:
    """Cross-site request forgery: a page of Mallory's presses Connect in Alice's browser."""
    flow, _ = await town.begin(ALICE)
    return (await town.client("alice").post(f"/connect/{flow.id}", data={"form_token": "guessed"})).status_code


async def a_form_of_another_site_begins_a_consent(town: Town) -> int:
    flow, url = await town.begin(ALICE)
    alice = town.client("alice")
    token = (await Browser(alice).open(url)).forms[0].fill({}, "")["form_token"]
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = await alice.post(f"/connect/{flow.id}", data={"form_token": token}, headers=headers)
    return answer.status_code


async def a_finished_callback_is_played_again(town: Town) -> int:
    alice = town.browser("alice")
    _, url = await town.begin(ALICE)
    mine = await town.until_callback(alice, url, "alice")
    await alice.open(mine)
    assert town.server.count("code", None) == 1
    status = (await alice.open(mine)).status
    assert town.server.count("code", None) == 1
    return status


Attack = Callable[[Town], Awaitable[int]]
ATTACKS: list[Attack] = [
    a_forwarded_link_is_opened,
    a_forwarded_link_is_consented_to_as_far_as_it_goes,
    connect_is_pressed_on_a_forwarded_link_with_a_form_of_the_victims_own,
    the_providers_own_address_is_forwarded,
    the_providers_own_address_is_forwarded_and_the_starter_waits_with_the_right_cookie,
    a_callback_is_pushed_into_the_victims_browser,
    a_callback_is_pushed_while_the_victim_has_a_consent_of_her_own_under_way,
    a_code_is_slipped_under_the_victims_state,
    a_cookie_is_planted_with_the_callback,
    a_callback_with_an_id_of_another_server_is_taken_for_ours,
    a_state_is_brought_to_another_providers_callback,
    the_same_person_of_another_tenant_opens_the_link,
    a_callback_reaches_the_same_person_of_another_tenant,
    a_strangers_flow_is_declined,
    a_strangers_connection_is_taken_as_the_pattern_for_another_account,
    a_form_without_our_token_begins_a_consent,
    a_form_of_another_site_begins_a_consent,
    a_finished_callback_is_played_again,
]
OWN = {("default", "alice", "alice@example.com"), ("default", "mallory", "mallory@example.com")}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_joins_nobody_to_an_account_that_is_not_theirs(town: Town, attack: Attack) -> None:
    try:
        status = await attack(town)
    except LostError:
        status = 0

    assert status not in range(200, 400)
    assert await town.linked() <= OWN
    town.server.behaviour.redirect_issuer = None
    assert (await town.connect("alice", ALICE)).status == 200
    assert ("default", "alice", "alice@example.com") in await town.linked()


async def test_a_callback_in_the_wrong_browser_uses_up_nothing_and_the_right_one_can_finish(town: Town) -> None:
    """A person with two browsers, or one whose callback somebody else has opened first."""
    _, url = await town.begin(ALICE)
    right = town.browser("alice")
    mine = await town.until_callback(right, url, "alice")

    for wrong in (town.browser("alice"), town.browser("mallory")):
        assert (await wrong.open(mine)).status in (403, 404)
    assert town.server.count("code", None) == 0
    assert await town.linked() == set()

    assert "is connected" in (await right.open(mine)).text
    assert await town.linked() == {("default", "alice", "alice@example.com")}

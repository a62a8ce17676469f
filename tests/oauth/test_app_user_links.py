"""Links of people whom an app vouches for: they have no sign-in here, so the link alone lets a browser in.

What must hold all the same: nobody's account ends up with anybody else's Principal, but where the person in front of
the page presses Connect although it says, by name, for whom. Alice and Mallory are users of one app; Alice has the same
id in another app, and in the same app of another tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.errors import FlowNotFoundError
from gateway.oauth.visits import may_enter
from gateway.secret import Secret
from gateway.testing.browser import Browser, LostError
from gateway.testing.page import Page
from gateway.types import CredentialKind, FlowStatus, Principal, Requirement
from tests.oauth import town as persons
from tests.oauth.town import PATH, Town

ALICE = Principal("app:Notes", "alice@example.com")
MALLORY = Principal("app:Notes", "mallory@example.com")
OTHER_APP = Principal("app:Other", "alice@example.com")
OTHER_TENANT = Principal("app:Notes", "alice@example.com", tenant="acme")
EVERYBODY = (ALICE, MALLORY, OTHER_APP, OTHER_TENANT, persons.ALICE, persons.MALLORY)
OWN = {(ALICE, "alice@example.com"), (MALLORY, "mallory@example.com")}
NOBODY = "nobody"
"""Whom a browser is signed in as that is not signed in."""


async def link(town: Town, principal: Principal) -> str:
    flow = await town.house.flows.begin(principal, "Notes", Requirement("acme"), None)
    return await town.house.flows.url(flow)


async def joined(town: Town) -> set[tuple[Principal, str]]:
    return await town.joined(*EVERYBODY)


async def press(town: Town, browser: Browser, url: str) -> str:
    """Open a link and press Connect: where that leads, with the state in it."""
    page = await browser.open(url)
    return (await browser.press(page, "Connect", stop_at=town.house.apps.settings("acme").issuer)).url


def state_of(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["state"]


@pytest.mark.parametrize("signed_in", [NOBODY, "alice", "mallory"])
async def test_an_apps_user_connects_by_the_link_alone_whoever_the_browser_is_signed_in_as(
    town: Town, signed_in: str
) -> None:
    browser, url = town.browser(signed_in), await link(town, ALICE)

    asked = await browser.open(url)
    done = await browser.consent(url, "alice")

    assert "Notes asks to use your Acme account for its user alice@example.com" in asked.text
    assert "If that is not you, close this page." in asked.text
    assert "In the name of" not in asked.text
    assert "My connections" not in asked.text + done.text
    assert "Acme is connected" in done.text
    assert await joined(town) == {(ALICE, "alice@example.com")}


async def test_looking_at_a_link_neither_uses_it_up_nor_keeps_it(town: Town) -> None:
    """Chats and mail scanners open links before people do."""
    url = await link(town, ALICE)
    for scanner in (town.client(NOBODY), town.client(NOBODY)):
        assert [(await scanner.request(method, url)).status_code for method in ("HEAD", "GET")] == [200, 200]

    assert "is connected" in (await town.browser(NOBODY).consent(url, "alice")).text


async def test_a_forwarded_link_says_whose_it_is_before_anything_happens(town: Town) -> None:
    """That is all there is against one: whoever presses Connect has been told the name."""
    url = await link(town, MALLORY)

    page = await town.browser(NOBODY).open(url)

    assert "for its user mallory@example.com" in page.text
    assert "Whoever sent you the link could use the account" in page.text
    assert [button.label for form in page.forms for button in form.buttons] == ["Connect", "Not now"]


async def the_providers_own_address_is_forwarded(town: Town) -> int:
    """Mallory presses Connect and sends on where that led, past our page with her name on it."""
    led_to = await press(town, town.browser(NOBODY), await link(town, MALLORY))
    return (await town.browser(NOBODY).consent(led_to, "alice")).status


async def the_providers_own_address_is_forwarded_to_somebody_signed_in(town: Town) -> int:
    led_to = await press(town, town.browser(NOBODY), await link(town, MALLORY))
    return (await town.browser("alice").consent(led_to, "alice")).status


async def the_providers_own_address_is_forwarded_and_the_starter_guesses_the_code(town: Town) -> int:
    mallory = town.browser(NOBODY)
    led_to = await press(town, mallory, await link(town, MALLORY))
    await town.browser(NOBODY).consent(led_to, "alice")
    return (await mallory.open(f"{town.url}{PATH}?{urlencode({'state': state_of(led_to), 'code': 'guessed'})}")).status


async def connect_is_pressed_again_in_another_browser(town: Town) -> int:
    """Mallory has come by Alice's link: too late, for it is her browser's."""
    url = await link(town, ALICE)
    await press(town, town.browser(NOBODY), url)
    return (await town.browser(NOBODY).consent(url, "mallory")).status


async def connect_is_pressed_again_with_a_form_that_was_open_before(town: Town) -> int:
    url = await link(town, ALICE)
    mallory = town.browser(NOBODY)
    page = await mallory.open(url)
    await press(town, town.browser(NOBODY), url)
    return (await mallory.press(page, "Connect")).status


async def a_link_that_is_in_use_is_declined_in_another_browser(town: Town) -> int:
    url = await link(town, ALICE)
    mallory = town.browser(NOBODY)
    page = await mallory.open(url)
    await press(town, town.browser(NOBODY), url)
    return (await mallory.press(page, "Not now")).status


async def a_used_link_is_opened_in_another_browser(town: Town) -> int:
    url = await link(town, ALICE)
    await town.browser(NOBODY).consent(url, "alice")
    pages = [await town.browser(who).open(url + end) for who in (NOBODY, "alice") for end in ("", "/done")]
    assert not any("alice@example.com" in page.text for page in pages)
    return min(page.status for page in pages)


async def a_used_link_is_used_again_with_a_form_that_was_open_before(town: Town) -> int:
    url = await link(town, ALICE)
    mallory = town.browser(NOBODY)
    page = await mallory.open(url)
    await town.browser(NOBODY).consent(url, "alice")
    return (await mallory.press(page, "Connect")).status


async def a_callback_is_pushed_into_another_browser(town: Town) -> int:
    pushed = await town.until_callback(town.browser(NOBODY), await link(town, MALLORY), "mallory")
    return (await town.browser(NOBODY).open(pushed)).status


async def a_callback_is_pushed_into_a_browser_with_a_consent_of_its_own_under_way(town: Town) -> int:
    alice = town.browser(NOBODY)
    await town.until_callback(alice, await link(town, ALICE), "alice")
    pushed = await town.until_callback(town.browser(NOBODY), await link(town, MALLORY), "mallory")
    return (await alice.open(pushed)).status


async def a_code_is_slipped_under_anothers_state(town: Town) -> int:
    alice = town.browser(NOBODY)
    mine = await town.until_callback(alice, await link(town, ALICE), "alice")
    theirs = await town.until_callback(town.browser(NOBODY), await link(town, MALLORY), "mallory")
    query = dict(parse_qsl(urlsplit(mine).query)) | {"code": dict(parse_qsl(urlsplit(theirs).query))["code"]}
    return (await alice.open(f"{town.url}{PATH}?{urlencode(query)}")).status


async def a_form_for_one_user_is_sent_to_anothers_flow(town: Town) -> int:
    """Cross-site request forgery with a form that is real, but somebody else's: another app's user of the same id."""
    client = town.client(NOBODY)
    token = (await Browser(client).open(await link(town, OTHER_APP))).forms[0].fill({}, "")["form_token"]
    answer = await client.post(await link(town, ALICE), data={"form_token": token}, headers={"origin": town.url})
    return answer.status_code


async def a_form_is_sent_from_another_site(town: Town) -> int:
    client, url = town.client(NOBODY), await link(town, ALICE)
    token = (await Browser(client).open(url)).forms[0].fill({}, "")["form_token"]
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    return (await client.post(url, data={"form_token": token}, headers=headers)).status_code


async def a_form_is_sent_without_ever_seeing_the_page(town: Town) -> int:
    answer = await town.client(NOBODY).post(await link(town, ALICE), data={"form_token": "x"})
    return answer.status_code


async def a_persons_own_link_is_opened_without_a_sign_in(town: Town) -> int:
    """Of somebody whom no app vouches for: there the link alone opens nothing."""
    _, url = await town.begin(persons.ALICE)
    return (await town.browser(NOBODY).consent(url, "mallory")).status


async def a_persons_own_callback_arrives_without_a_sign_in(town: Town) -> int:
    _, url = await town.begin(persons.ALICE)
    mine = await town.until_callback(town.browser("alice"), url, "alice")
    return (await town.browser(NOBODY).open(mine)).status


async def a_finished_callback_is_played_again(town: Town) -> int:
    alice = town.browser(NOBODY)
    mine = await town.until_callback(alice, await link(town, ALICE), "alice")
    await alice.open(mine)
    again = (await alice.open(mine)).status
    assert town.server.count("code", None) == 1
    return again


Attack = Callable[[Town], Awaitable[int]]
ATTACKS: list[Attack] = [
    the_providers_own_address_is_forwarded,
    the_providers_own_address_is_forwarded_to_somebody_signed_in,
    the_providers_own_address_is_forwarded_and_the_starter_guesses_the_code,
    connect_is_pressed_again_in_another_browser,
    connect_is_pressed_again_with_a_form_that_was_open_before,
    a_link_that_is_in_use_is_declined_in_another_browser,
    a_used_link_is_opened_in_another_browser,
    a_used_link_is_used_again_with_a_form_that_was_open_before,
    a_callback_is_pushed_into_another_browser,
    a_callback_is_pushed_into_a_browser_with_a_consent_of_its_own_under_way,
    a_code_is_slipped_under_anothers_state,
    a_form_for_one_user_is_sent_to_anothers_flow,
    a_form_is_sent_from_another_site,
    a_form_is_sent_without_ever_seeing_the_page,
    a_persons_own_link_is_opened_without_a_sign_in,
    a_persons_own_callback_arrives_without_a_sign_in,
    a_finished_callback_is_played_again,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_joins_nobody_to_an_account_that_is_not_theirs(town: Town, attack: Attack) -> None:
    try:
        status = await attack(town)
    except LostError:
        status = 0

    assert status not in range(200, 400)
    assert await joined(town) <= OWN
    assert "is connected" in (await town.browser(NOBODY).consent(await link(town, ALICE), "alice")).text
    assert (ALICE, "alice@example.com") in await joined(town)


async def test_a_callback_in_another_browser_uses_up_nothing_and_the_right_one_can_finish(town: Town) -> None:
    right = town.browser(NOBODY)
    mine = await town.until_callback(right, await link(town, ALICE), "alice")

    for wrong in (NOBODY, "alice", "mallory"):
        refused = await town.browser(wrong).open(mine)
        assert (refused.status, "Another browser began this" in refused.text) == (403, True)
    assert town.server.count("code", None) == 0

    assert "is connected" in (await right.open(mine)).text


async def test_of_two_browsers_that_press_connect_at_the_same_moment_one_goes_on(town: Town) -> None:
    url = await link(town, ALICE)
    browsers = [town.browser(NOBODY) for _ in range(6)]
    pages = [await browser.open(url) for browser in browsers]
    issuer = town.house.apps.settings("acme").issuer

    async def go(browser: Browser, page: Page) -> int:
        return (await browser.press(page, "Connect", stop_at=issuer)).status

    statuses = await asyncio.gather(*map(go, browsers, pages))

    assert sorted(statuses) == [303, 404, 404, 404, 404, 404]


async def test_a_person_may_press_connect_again_in_their_own_browser_and_only_the_last_consent_counts(
    town: Town,
) -> None:
    alice, url = town.browser(NOBODY), await link(town, ALICE)
    former = await town.until_callback(alice, url, "alice")
    last = await town.until_callback(alice, url, "alice")

    assert (await alice.open(former)).status == 404
    assert "is connected" in (await alice.open(last)).text
    assert "is connected" in (await alice.open(url)).text


async def test_the_same_id_in_another_app_or_tenant_is_somebody_else(town: Town) -> None:
    for principal, user in ((OTHER_APP, "mallory"), (OTHER_TENANT, "mallory"), (ALICE, "alice")):
        await town.browser(NOBODY).consent(await link(town, principal), user)

    assert await joined(town) == {
        (OTHER_APP, "mallory@example.com"),
        (OTHER_TENANT, "mallory@example.com"),
        (ALICE, "alice@example.com"),
    }


async def test_a_link_that_is_in_use_is_not_given_out_again(town: Town) -> None:
    """A person who changes to another device asks the app again, and gets one that works there."""
    first = await link(town, ALICE)
    assert await link(town, ALICE) == first
    await press(town, town.browser(NOBODY), first)

    second = await link(town, ALICE)

    assert second != first
    assert "is connected" in (await town.browser(NOBODY).consent(second, "alice")).text


async def test_a_link_dies_after_ten_minutes(town: Town) -> None:
    url = await link(town, ALICE)
    town.house.clock.advance(timedelta(minutes=10))

    assert (await town.browser(NOBODY).open(url)).status == 404


async def test_a_no_is_this_browsers_and_nobody_elses_to_see(town: Town) -> None:
    alice, url = town.browser(NOBODY), await link(town, ALICE)

    said_no = await alice.press(await alice.open(url), "Not now")

    assert "was not connected" in said_no.text
    assert (await town.browser(NOBODY).open(url)).status == 404


async def test_a_flow_that_ended_in_no_browser_we_know_is_for_nobody_to_see(town: Town) -> None:
    flow = await town.house.flows.begin(ALICE, "Notes", Requirement("acme"), None)

    assert may_enter(flow, None, None)
    assert not may_enter(replace(flow, status=FlowStatus.CONNECTED), None, "a-token")


async def test_without_a_browsers_token_nothing_of_an_apps_users_flow_goes_on(town: Town) -> None:
    """The pages pass one; this is what holds if one of them forgets."""
    flows = town.house.flows
    typed = await flows.begin(ALICE, "Notes", Requirement("acme", CredentialKind.API_KEY), None)
    flow = await flows.begin(ALICE, "Notes", Requirement("acme"), None)

    for attempt in (
        flows.start(flow.id, ALICE),
        flows.decline(flow.id, ALICE),
        flows.submit_key(typed.id, ALICE, Secret("a-key")),
    ):
        with pytest.raises(FlowNotFoundError):
            await attempt
    assert (await flows.describe(flow.id, ALICE)).status is FlowStatus.PENDING
    assert await joined(town) == set()

"""How one gets to each page: steps of a visit, and steps in a row.

Below: hall, visit. Above: states, which names where each leads.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.async_api import Route

from gateway.access.throttle import FREE_FOR_ACCOUNT
from gateway.testing.browser import Browser
from gateway.types import Principal, Requirement
from tests.pages.hall import DEVICE, PASSWORD, SITE
from tests.pages.visit import Visit

Way = Callable[[Visit], Awaitable[None]]

ACME = Requirement("acme", scopes=frozenset({"openid", "email"}))


def to(path: str, who: str | None = None) -> Way:
    """By its address, as somebody, or nobody."""

    async def way(visit: Visit) -> None:
        await visit.be(who)
        await visit.open(path)

    return way


def and_then(*steps: Way) -> Way:
    async def way(visit: Visit) -> None:
        for step in steps:
            await step(visit)

    return way


def press(label: str) -> Way:
    return lambda visit: visit.press(label)


def follow(label: str) -> Way:
    return lambda visit: visit.follow(label)


def fill(**values: str) -> Way:
    return lambda visit: visit.fill(**values)


def forge(name: str, value: str) -> Way:
    return lambda visit: visit.forge(name, value)


# Signing in


async def too_many_tries(visit: Visit) -> None:
    sign_in = visit.hall.entry.sign_in
    assert sign_in
    assert sign_in.local
    for _ in range(FREE_FOR_ACCOUNT):
        await sign_in.local.by_password("guessed@example.com", PASSWORD, "192.0.2.7")
    await to("/login")(visit)
    await visit.fill(email="guessed@example.com", password="x")
    await visit.press("Sign in")


async def code(visit: Visit) -> None:
    await to("/login?next=/connections")(visit)
    await visit.fill(email="tess@example.com", password=PASSWORD.reveal())
    await visit.press("Sign in")


async def invitation(visit: Visit) -> None:
    await to(await visit.hall.invitation("grace@example.com", "Grace Hopper"))(visit)


async def onward(visit: Visit) -> None:
    """It goes on by itself at once; here it is put off."""

    async def put_off(route: Route) -> None:
        came = await route.fetch()
        await route.fulfill(response=came, body=(await came.text()).replace('content="0; ', 'content="72001; '))

    await visit.be("alice")
    await visit.page.route(re.compile("/login/onward"), put_off)
    await visit.open("/login/onward?next=/connections")


async def no_at_the_company(visit: Visit) -> None:
    async with visit.hall.client() as client:
        browser = Browser(client)
        left = await browser.press(
            await browser.open(f"{visit.hall.url}/login"), "Continue with", stop_at=visit.hall.issuer
        )
        await visit.take_over(client)
    error = {"state": _state(left.url), "error": "access_denied", "iss": visit.hall.issuer}
    await visit.open(f"/login/callback?{urlencode(error)}")


# Letting programs in


def program(name: str, redirect_uri: str, **more: str) -> Way:
    async def way(visit: Visit) -> None:
        await to(await visit.hall.authorize(name, redirect_uri, **more), "alice")(visit)

    return way


async def described_elsewhere(visit: Visit) -> None:
    await to(visit.hall.authorize_as(visit.hall.described, SITE), "bob")(visit)


async def allowed_before(visit: Visit) -> None:
    path = await visit.hall.authorize("Inspector", DEVICE)
    async with visit.hall.client("alice") as client:
        browser = Browser(client)
        await browser.press(await browser.open(visit.hall.url + path), "Allow", stop_at=DEVICE)
    await to(path, "alice")(visit)


async def end_a_program(visit: Visit) -> None:
    path = await visit.hall.authorize("Short-lived", DEVICE)
    await visit.hall.let_in("tess", path)
    await to("/programs", "tess")(visit)
    await visit.press("End its access")


async def wrong_redirect(visit: Visit) -> None:
    await to(visit.hall.authorize_as("intranet", "https://evil.example/"), "alice")(visit)


# Connecting


def asked(need: Requirement, who: str = "bob", **more: Any) -> Way:
    async def way(visit: Visit) -> None:
        flow = await visit.hall.flow(visit.hall.principal(who), need, **more)
        await to(f"/connect/{flow.id}", who)(visit)

    return way


def signed_in_on_the_way(need: Requirement) -> Way:
    async def way(visit: Visit) -> None:
        flow = await visit.hall.flow(visit.hall.principal("bob"), need)
        await to(f"/connect/{flow.id}")(visit)
        await _sign_in_as(visit, "bob")

    return way


async def _sign_in_as(visit: Visit, name: str) -> None:
    await visit.fill(email=f"{name}@example.com", password=PASSWORD.reveal())
    await visit.press("Sign in")


def app_user(name: str) -> Way:
    async def way(visit: Visit) -> None:
        flow = await visit.hall.flow(Principal("app:Notes", name), ACME, client="Notes")
        await to(f"/connect/{flow.id}")(visit)

    return way


def on_connection(connection: str, *labels: str) -> Way:
    """Among alice's connections, press what one is offered at this one; what is folded away is unfolded first."""

    async def way(visit: Visit) -> None:
        await to("/connections", "alice")(visit)
        for label in labels[:-1]:
            await visit.unfold(connection, label)
        await visit.press(labels[-1], connection)

    return way


def consented(need: Requirement, who: str = "bob", user: str = "alice", **more: Any) -> Way:
    """Through the provider and back, and then the page that says how it ended."""

    async def way(visit: Visit) -> None:
        flow = await visit.hall.flow(visit.hall.principal(who), need, **more)
        await visit.hall.consent(who, flow, user)
        await to(f"/connect/{flow.id}/done", who)(visit)

    return way


async def granted_less(visit: Visit) -> None:
    behaviour = visit.hall.provider.behaviour
    behaviour.denied_scopes = frozenset({"files.write"})
    await consented(Requirement("acme", scopes=frozenset({"files.write"})), "tess")(visit)
    behaviour.denied_scopes = frozenset()


async def mistaken(visit: Visit) -> None:
    """Alice's account was wanted again, and Carol is signed in at the provider."""
    wanted = await visit.hall.connection("alice", "acme")
    await consented(ACME, "alice", "carol", reconnects=wanted)(visit)


def come_back(**answer: str) -> Way:
    """Off to the provider as bob, and back with this answer of its."""

    async def way(visit: Visit) -> None:
        hall = visit.hall
        flow = await hall.flow(hall.principal("bob"), ACME, tool="come_back")
        async with hall.client("bob") as client:
            browser = Browser(client)
            page = await browser.open(f"{hall.url}/connect/{flow.id}")
            left = await browser.press(page, "Connect", stop_at=hall.issuer)
            await visit.take_over(client)
        query = {"state": _state(left.url), "iss": hall.issuer, **answer}
        await visit.open(f"/oauth/callback/acme?{urlencode(query)}")

    return way


async def provider_down(visit: Visit) -> None:
    visit.hall.provider.script.add({"on": "code", "fault": "unavailable"})
    await come_back(code="x")(visit)


async def failed(visit: Visit) -> None:
    flow = await visit.hall.flow(visit.hall.principal("bob"), ACME, tool="come_back")
    await come_back(error="server_error")(visit)
    await visit.open(f"/connect/{flow.id}/done")


def _state(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


async def forwarded(visit: Visit) -> None:
    """To somebody who has to sign in on the way, and is not the person either."""
    flow = await visit.hall.flow(visit.hall.principal("alice"), ACME, tool="forwarded")
    await to(f"/connect/{flow.id}")(visit)
    await _sign_in_as(visit, "bob")


async def expired(visit: Visit) -> None:
    flow = await visit.hall.flow(visit.hall.principal("bob"), ACME, tool="expired")
    over = replace(flow, id=f"{flow.id}x", expires_at=visit.hall.clock.now() - timedelta(minutes=1))
    await visit.hall.accounts.store.flows.put(over)
    await to(f"/connect/{over.id}", "bob")(visit)


async def another_browser(visit: Visit) -> None:
    flow = await visit.hall.flow(visit.hall.principal("bob"), ACME, tool="elsewhere")
    started = await visit.hall.accounts.flows.start(flow.id, flow.principal)
    query = {"state": _state(started.authorization_url), "code": "x"}
    await to(f"/oauth/callback/acme?{urlencode(query)}", "bob")(visit)


# What is one's own


async def before_disconnecting(visit: Visit) -> None:
    await to("/connections", "leaving")(visit)
    await visit.unfold((await visit.hall.connection("leaving", "acme")).id, "Disconnect")


async def disconnected(visit: Visit) -> None:
    await before_disconnecting(visit)
    await visit.press("Disconnect")


async def key_disconnected(visit: Visit) -> None:
    hall, key = visit.hall, await visit.hall.connection("alice", "openai")
    await hall.keep(replace(key, id="another-key", principal=hall.principal("bob"), sealed=b"sealed"))
    await to("/connections", "bob")(visit)
    await visit.unfold("another-key", "Disconnect")
    await visit.press("Disconnect", "another-key")


# Trouble


async def stale_form(visit: Visit) -> None:
    await to("/connections", "alice")(visit)
    await visit.page.locator("[name=form_token]").evaluate_all("fields => fields.forEach(f => { f.value = '0'; })")
    await visit.press("Disconnect")


async def signed_out_meanwhile(visit: Visit) -> None:
    await to("/connections", "alice")(visit)
    await visit.page.context.clear_cookies()
    await visit.press("Disconnect")


async def crash(visit: Visit) -> None:
    _break(visit, "UPDATE connections SET status = 'of a kind that nobody knows'")
    await to("/connections", "alice")(visit)


async def database_gone(visit: Visit) -> None:
    _break(visit, "ALTER TABLE connections RENAME TO lost_connections")
    await to("/connections", "alice")(visit)


async def nobody_can_tell(visit: Visit) -> None:
    _break(visit, "ALTER TABLE sessions RENAME TO lost_sessions")
    await visit.be(None, **{"atp-session": "x" * 43})
    await visit.open("/connections")


def _break(visit: Visit, how: str) -> None:
    with closing(sqlite3.connect(visit.hall.folder / "gateway.db")) as database:
        database.execute(how)
        database.commit()

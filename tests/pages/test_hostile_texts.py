"""Whatever a stranger calls themselves, on every page that shows it, to a real browser: text, and nothing else (U1).

A program's name, a host's, a tool's, a toolkit's scopes, an account's label, a provider's error, a person's own name
and what they typed, an address that anybody can have made up. Two proofs. The browser's own parser sees no element, and
no attribute of one, that it does not see with a harmless text; and on the pages that list such things nothing runs and
nothing is asked of anybody. What the eye may be deceived with is held in tests/surfaces/web/test_pages.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.errors import AuthorizationError
from gateway.testing.browser import Browser
from gateway.types import AuditEvent, ConnectionStatus, CredentialKind, Flow, FlowStatus, Principal
from tests.journeys.chromium import chromium
from tests.pages.contents import connection
from tests.pages.hall import DEVICE, NOW, Hall, hall
from tests.pages.visit import Visit

LATER = NOW + timedelta(days=3)
HARMLESS = "a harmless name"
HOSTILE = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea></style></template><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus='alert(1)",
    '" autofocus onfocus="alert(1)',
    "x onmouseover=alert(1) y=",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>click</a>",
    "{{ 7 * 7 }}{% raw %}",
    "${alert(1)}`{{constructor.constructor('alert(1)')()}}",
    "<base href=//evil.example><link rel=stylesheet href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<form action=//evil.example><button>Connect",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--",
    "--!><img src=x onerror=alert(1)>",
    "]]><svg/onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\u2028<iframe srcdoc='<script>alert(1)</script>'>",
]
LISTS = ("/connections", "/connections/history", "/connections/history?what=changes", "/programs", "/")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Hall]:
    async with hall(tmp_path) as made:
        await made.join("alice", "Alice")
        yield made


async def pages_about(there: Hall, text: str, number: int) -> dict[str, str]:
    """Every page that shows what others chose, where all of them chose this."""
    name = f"person{number}"
    there.clock.advance(timedelta(hours=1))  # or too much was typed from this address
    await there.join(name, text)
    person = there.principal(name)
    await fill(there, person, text, name)
    flows = [*flows_of(person, text, f"{number}"), *flows_of(Principal(f"app:{text}", text), text, f"{number}-app")]
    for flow in flows:
        await there.accounts.store.flows.put(flow)
    pages = {}
    async with there.client(name) as client:
        client.headers["accept"] = "text/html"
        for path in (*LISTS, "/logout", *(f"/connect/{flow.id}" for flow in flows)):
            pages[path.replace(f"-{number}", "")] = (await client.get(path)).text
        pages["callback"] = await refused_callback(there, Browser(client), person, text)
        if path := await consent(there, text):
            pages["consent"] = (await client.get(path)).text
    async with there.client() as nobody:
        nobody.headers["accept"] = "text/html"
        invitation = await there.invitation(f"guest{number}@example.com", text)
        for path in (
            invitation,
            f"/login?{urlencode({'next': text})}",
            f"/login?{urlencode({'next': '/connect/' + text})}",
        ):
            pages[path.partition("?")[0].rpartition("/")[0] + f"{len(pages)}"] = (await nobody.get(path)).text
        browser = Browser(nobody)
        typed = {"email": text, "password": text}
        pages["login"] = (await browser.press(await browser.open(f"{there.url}/login"), "Sign in", typed)).html
    return pages


async def fill(there: Hall, person: Principal, text: str, name: str) -> None:
    """What the lists show of somebody: an account, what was done, a program."""
    about = {"scopes": frozenset({text}), "requested": frozenset({text, f"more {text}"}), "status_reason": text}
    await there.keep(connection(person, text, text, id=f"{name}-broken", status=ConnectionStatus.NEEDS_REAUTH, **about))
    await there.keep(connection(person, "hubspot", text, id=f"{name}-works", **about))
    for action in ("tool.called", text, "consent.given"):
        event = AuditEvent(f"{name} {action}"[:60], NOW, person, action, text, text, text, text, text)
        there.gateway.audit.note(event)
    await there.gateway.audit.flush()
    if path := await consent(there, text):
        await there.let_in(name, path)


async def consent(there: Hall, text: str) -> str | None:
    """The path that a program of this name sends people to; None where it may not even register."""
    assert there.entry.own
    assert there.entry.own.registration
    there.entry.own.registration._allowance._began = float("-inf")  # all of them come from one address
    try:
        return await there.authorize(text, DEVICE)
    except AuthorizationError:
        return None


def flows_of(person: Principal, text: str, number: str) -> list[Flow]:
    """A consent that is asked for, in each of its ends."""
    made = [
        Flow(
            f"{kind.value}-{status.value}-{number}", person, text, text, kind, frozenset({text}), text, NOW,
            LATER, status, failure=text,
        )
        for kind in (CredentialKind.OAUTH2, CredentialKind.API_KEY, CredentialKind.BASIC)
        for status in FlowStatus
    ]  # fmt: skip
    return made if person.app is None else [flow for flow in made if flow.status is FlowStatus.PENDING]


async def refused_callback(there: Hall, browser: Browser, person: Principal, text: str) -> str:
    flow = Flow(
        f"callback-{person.subject}", person, "a host", "acme", CredentialKind.OAUTH2, frozenset(), None, NOW,
        LATER,
    )  # fmt: skip
    await there.accounts.store.flows.put(flow)
    left = await browser.press(await browser.open(f"{there.url}/connect/{flow.id}"), "Connect", stop_at=there.issuer)
    state = dict(pair.split("=") for pair in left.url.partition("?")[2].split("&"))["state"]
    error = {"state": state, "iss": there.issuer, "error": text, "error_description": text, "error_uri": text}
    return (await browser.open(f"{there.url}/oauth/callback/acme?{urlencode(error)}")).html


async def test_a_hostile_text_is_text_on_every_page(there: Hall, full: bool) -> None:
    plain = await pages_about(there, HARMLESS, 0)
    hostile = {
        text: await pages_about(there, text, number) for number, text in enumerate(HOSTILE[:: 1 if full else 4], 1)
    }
    async with chromium() as browser:
        page = await browser.new_page()
        kinds = {kind for html in plain.values() for kind in await page.evaluate(ELEMENTS, html)}
        different = [
            f"{name}, {text!r}: {kind}"
            for text, pages in hostile.items()
            for name, html in pages.items()
            for kind in await page.evaluate(ELEMENTS, html)
            if kind not in kinds
        ]

        dialogs: list[str] = []
        visit = Visit(there, page)
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(there.url) else dialogs.append(request.url))
        for number, _ in enumerate(hostile, 1):
            for path in ("/connections", "/programs"):
                await visit.be(f"person{number}")
                await visit.open(path)
                different += visit.complaints

    assert HARMLESS in "".join(plain.values())
    assert not different, "\n".join(different)
    assert dialogs == []


ELEMENTS = """(html) => {
  const chosen = new Set(["value", "datetime", "id", "content", "title"]);
  const of = (each) => [...each.attributes].map(({name, value}) => {
    const leads = ["href", "src", "action", "formaction"].includes(name);
    if (leads && !/^(\\/(?!\\/)|#)/.test(value)) return `${name} to ${value}`;
    return leads || chosen.has(name) ? name : `${name}=${value.replace(/\\d+/g, "")}`;
  });
  const all = new DOMParser().parseFromString(html, "text/html").querySelectorAll("*");
  return [...all].map((each) => `${each.tagName} ${of(each).join(" ")}`);
}"""

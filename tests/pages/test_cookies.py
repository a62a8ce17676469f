"""Where browsers reach the gateway by https: every cookie that it gives out, to the letter (U4)."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from gateway.testing.browser import Browser
from gateway.types import CredentialKind, Requirement
from tests.pages.contents import let_people_in
from tests.pages.hall import PASSWORD, Hall, hall

URL = "https://gateway.example"
COOKIE = re.compile(
    r'__Host-atp-([a-z-]+?)(?:-[0-9a-f]{16})?=(?:""|[\w.-]+); HttpOnly; Max-Age=\d+; Path=/; SameSite=lax; Secure'
)
"""No Domain, so no neighbour's; and `__Host-`, so that the browser holds us to all of it."""
ALL = {"form", "session", "second-step", "sign-in-trouble", "login", "connect", "typed"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_by_https_each_cookie_is_for_this_host_alone_and_kept_from_scripts_and_other_sites(
    tmp_path: Path,
) -> None:
    async with hall(tmp_path, URL) as there:
        await let_people_in(there)
        ours = {f"all://{URL.partition('//')[2]}": httpx2.ASGITransport(there.porch)}
        async with httpx2.AsyncClient(mounts=ours, trust_env=False, timeout=20) as client:
            await _sign_in_every_way(Browser(client))
            await _connect_every_way(Browser(client), there)
        given = [cookie for seen in there.porch.seen for cookie in seen.cookies]

    assert [cookie for cookie in given if not COOKIE.fullmatch(cookie)] == []
    assert {found[1] for cookie in given if (found := COOKIE.fullmatch(cookie))} == ALL


async def _sign_in_every_way(browser: Browser) -> None:
    """With the company: no, and yes. With a password, with a second factor; in the end as bob."""
    for decision in ("Deny", "Approve"):
        page = await browser.press(await browser.open(f"{URL}/login?prompt=login"), "Continue with")
        if "Sign in" in page.title:
            page = await browser.press(page, "Sign in")
        await browser.press(page, decision)
    page = await browser.press(await browser.open(f"{URL}/logout"), "Sign out")
    for name in ("tess", "bob"):
        typed = {"email": f"{name}@example.com", "password": PASSWORD.reveal()}
        page = await browser.press(await browser.open(f"{URL}/login"), "Sign in", typed)
    assert page.status == 200


async def _connect_every_way(browser: Browser, there: Hall) -> None:
    bob = there.principal("bob")
    for need, typed in (
        (Requirement("acme"), {}),
        (Requirement("openai", CredentialKind.API_KEY), {"api_key": "a-key"}),
    ):
        flow = await there.flow(bob, need)
        page = await browser.consent(f"{URL}/connect/{flow.id}", "alice", values=typed)
        assert "is connected" in page.text


async def test_no_script_of_ours_talks_to_other_windows() -> None:
    """U5: nothing is posted to another window, and none is opened."""
    script = (Path(__file__).parents[2] / "gateway/surfaces/browser/static/page.js").read_text()
    assert not re.search(r"postMessage|opener|window\.open|innerHTML|insertAdjacentHTML|document\.write|eval", script)

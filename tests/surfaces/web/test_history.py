"""What was done in my name, over HTTP: mine alone, page by page, in plain words."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from gateway.surfaces.web.history import PAGE
from gateway.types import AuditEvent, Principal
from tests.surfaces.web.conftest import NOW, person

HISTORY = "/connections/history"

# The fixtures `site`, `alice` and `bob` are in conftest.py.


def words(page) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def event(number: int, principal: Principal | None = None, **more) -> AuditEvent:
    given = {"action": "tool.called", "outcome": "done", "client": "Cursor", "tool": f"tool_{number}", **more}
    return AuditEvent(f"e{number}", NOW - timedelta(minutes=number), principal or person("alice"), **given)


async def test_a_call_says_when_which_tool_which_account_who_asked_and_how_it_ended(site, alice) -> None:
    site.connections.events = [
        event(1, provider="hubspot", account="alice@example.com", duration_ms=1234.0),
        event(2, outcome="tool_timeout", duration_ms=61_000.0),
        event(3, action="tool.begun", outcome="pending"),
        event(4, outcome="audit_unavailable"),
        event(5, action="connection.created", tool=None, provider="google"),
    ]
    text = words(await alice.get(HISTORY))
    for expected in (
        "1 Mar 2026, 11:59 UTC tool_1 HubSpot alice@example.com Cursor done 1.2 s",
        "tool_2 \u2013 Cursor took too long 1 min",
        "tool_3 \u2013 Cursor no end on record: under way, or cut off",
        "tool_4 \u2013 Cursor not done: it could not be put on record",
    ):
        assert expected in text
    assert "Account connected" not in text
    other = words(await alice.get(f"{HISTORY}?what=changes"))
    assert "Account connected Google" in other
    assert "tool_1" not in other


async def test_a_history_is_ones_own_though_another_is_called_alike(site, alice, bob) -> None:
    site.connections.events = [
        event(1),
        event(2, person("bob"), tool="bobs_tool"),
        event(3, Principal("alice", "https://login.example.com"), tool="mirrored_tool"),
        event(4, Principal("https://login.example.com", "alice", "elsewhere"), tool="elsewheres_tool"),
    ]
    hers, his = words(await alice.get(HISTORY)), words(await bob.get(HISTORY))
    assert "tool_1" in hers
    assert not [name for name in ("bobs_tool", "mirrored_tool", "elsewheres_tool") if name in hers]
    assert "bobs_tool" in his
    assert "tool_1" not in his
    behind = words(await alice.get(f"{HISTORY}?before=e2"))
    assert "bobs_tool" not in behind


async def test_what_does_not_fit_on_a_page_is_on_the_next(site, alice) -> None:
    site.connections.events = [event(number) for number in range(PAGE * 2 + 3)]
    path, seen, pages = HISTORY, [], 0
    while path:
        page = await alice.get(path)
        seen += re.findall(r"<bdi>(tool_\d+)</bdi>", page.text)
        assert ("Newest" in page.text) == (path != HISTORY)
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        path, pages = unescape(older[1]) if older else None, pages + 1
    assert pages == 3
    assert seen == [f"tool_{number}" for number in range(PAGE * 2 + 3)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "No calls yet"),
        ("?what=changes", "Nothing has changed yet"),
        ("?before=long-ago", "There is nothing older"),
    ],
)
async def test_an_empty_page_says_what_will_stand_there(alice, query: str, said: str) -> None:
    assert said in words(await alice.get(f"{HISTORY}{query}"))


async def test_what_strangers_are_called_deceives_nobody(site, alice) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[2J"
    site.connections.events = [event(1, client=evil, tool=evil, account=evil, provider=evil, outcome=evil)]
    page = await alice.get(HISTORY)
    assert "<script>alert" not in page.text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page.text)


async def test_nobody_in_particular_has_no_history(site) -> None:
    async with site.browser(None) as browser:
        assert (await browser.get(HISTORY)).status_code in (302, 303, 401, 403)

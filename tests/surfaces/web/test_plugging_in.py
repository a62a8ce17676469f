"""The page that says what to give to each host; and the way there from every page."""

from __future__ import annotations

import re
from html import unescape
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from gateway.surfaces.browser.pages import Pages
from gateway.surfaces.hosts import HOSTS, Http, snippet
from gateway.surfaces.web.host_page import NAME, Asks, HostPage, shown_hosts
from gateway.surfaces.web.web_pages import Rooms, WebPages
from tests.surfaces.web.test_connections import words

# The fixtures `site` and `alice` are in conftest.py.


async def test_each_host_is_given_what_it_reads_with_the_gateways_own_address(site, alice) -> None:
    page = await alice.get("/hosts")
    pasted = [
        unescape(text) for text in re.findall(r'<pre><code id="for-[\w-]+">(.*?)</code></pre>', page.text, re.DOTALL)
    ]
    assert pasted == [snippet(host, NAME, Http(f"{site.url}/mcp")) for host in HOSTS.values()]
    assert page.text.count("data-copy=") == 1 + len(HOSTS)
    assert "atp-gateway" in pasted[0]


async def test_hosts_with_a_link_for_one_click_have_it(site, alice) -> None:
    links = re.findall(r'href="([a-z]+:[^"]+)"', (await alice.get("/hosts")).text)
    assert [link.partition(":")[0] for link in links] == ["cursor", "vscode", "lmstudio"]


def test_a_host_that_comes_from_the_internet_is_told_where_it_cannot_come() -> None:
    def out_of_reach(url: str) -> set[str]:
        return {shown.host.name for shown in shown_hosts(url) if shown.is_out_of_reach}

    assert out_of_reach("http://127.0.0.1:8787/mcp") == {"Claude Desktop and claude.ai", "ChatGPT"}
    assert out_of_reach("https://gateway.example.com/mcp") == set()


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        (Asks.SIGN_IN, {"and leads you to sign in.", "Then type /mcp in Claude Code, and sign in."}),
        (Asks.KEY, {"and a key of yours.", "Authorization: Bearer"}),
        (Asks.NOTHING, {"It needs one address."}),
    ],
)
async def test_a_person_is_told_what_else_the_gateway_asks_for(asks: Asks, said: set[str]) -> None:
    page = HostPage(Pages("gateway.surfaces.web", secure=False), "http://127.0.0.1/mcp", asks)
    scope = {"type": "http", "path": "/hosts", "headers": [], "state": {"principal": None, "access": None}}
    answer = await page._show(Request(scope))
    text = words(SimpleNamespace(text=bytes(answer.body).decode()))
    assert all(each in text for each in said)
    assert ("sign in" in text) is (asks is Asks.SIGN_IN)
    assert ("Bearer" in text) is (asks is Asks.KEY)


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/", None),
        ("/connections", "/connections"),
        ("/connections/history", "/connections/history"),
        ("/connections/history?what=changes", "/connections/history"),
        ("/programs", "/programs"),
        ("/hosts", "/hosts"),
    ],
)
async def test_the_navigation_leads_everywhere_and_says_where_one_is(site, alice, path: str, here: str | None) -> None:
    page = (await alice.get(path)).text
    nav = re.search(r'<nav class="places" aria-label="Main">(.*?)</nav>', page, re.DOTALL)[1]
    assert re.findall(r'href="([^"]+)"', nav) == ["/connections", "/connections/history", "/programs", "/hosts"]
    assert re.findall(r'href="([^"]+)" aria-current="page"', nav) == ([here] if here else [])
    assert page.index('href="#main"') < page.index("<nav")


async def test_where_something_is_to_be_decided_nothing_else_is_offered(site, alice) -> None:
    assert 'class="places"' not in (await alice.get(f"/connect/{site.flows.add().id}")).text


async def test_what_there_is_not_is_not_offered(site) -> None:
    """Under `stdio` no host is given an address, and only the built-in authorization server lets programs in."""
    connections = site.connections
    rooms = Rooms(site.flows, connections, connections, connections, None, str)  # type: ignore[arg-type]
    web = WebPages(rooms, form_key=b"k" * 32, secure=False)
    assert not {"/hosts", "/programs"} & {route.path for route in web.routes()}
    assert list(web._pages._places) == ["/connections", "/connections/history"]

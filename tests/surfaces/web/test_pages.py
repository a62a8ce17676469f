"""What holds for every page: hostile names stay inert, headers, languages, files, health."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import gateway.surfaces
from gateway.errors import FlowError
from gateway.surfaces.browser.plain_text import LONGEST, LONGEST_NAME, name, visible
from gateway.surfaces.web.scope_words import scope_words
from gateway.toolkit.tool import Annotations
from gateway.types import AuditEvent, CredentialKind, FlowStatus

# The fixtures `site` and `alice` are in conftest.py.

XSS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</code><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus='alert(1)",
    '" autofocus onfocus="alert(1)',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "{{ self.__init__.__globals__ }}",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<form action=//evil.example>",
    "<style>*{display:none}</style>",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "\x00<script>",
    "+ADw-script+AD4-",
    "\u2028<script>\u2029",
    "Hub\u202eSpot\u2066\u200b\u200f",
]


TAGS = set(
    re.findall(
        r"\w+",
        "html head meta title link script body header nav main section a span strong em bdi p h1 h2 h3 ul ol li i dl "
        "div dt dd pre code form input label button time details summary table thead tbody tr th td",
    )
)


class Elements(HTMLParser):
    """Collects tags and attributes as a browser's parser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_inert(page: str, text: str) -> None:
    for tag, attributes in Elements(page).found:
        assert tag in TAGS
        assert not any(attribute.startswith("on") or attribute == "style" for attribute in attributes)
        for link in ("src", "href", "action", "formaction"):
            assert re.match(r"/(?!/)|#[\w-]+$|https://provider\.example/", attributes.get(link) or "/")
        if tag == "script":
            assert attributes["src"].startswith("/static/")
        if tag == "meta":
            assert "http-equiv" not in attributes
    assert "7 * 7" not in text or "7 * 7" in page
    assert not set(page) & set("\u202e\u2066\u200b\u200f\u2028\u2029\x00")


async def test_a_hostile_name_is_text_on_every_page(site, alice) -> None:
    for text in XSS:
        named = {"client": text, "tool": text, "provider": text, "scopes": frozenset({text})}
        flows = [site.flows.add(**named, status=status, failure=text) for status in FlowStatus]
        flows.append(site.flows.add(**named, kind=CredentialKind.API_KEY))
        connection = site.connections.add(
            provider=text, account_label=text, scopes=frozenset({text}), status_reason=text, id=f"id{text}"
        )
        site.connections.events = [
            AuditEvent("1", connection.updated_at, connection.principal, text, text, text, text, text, text)
        ]
        site.grants.add(client_name=text, scopes=frozenset({text}))
        site.add_tool(text, text, text, annotations=Annotations(title=text))
        site.add_tool(f"{text} too", f"{text} elsewhere", text)
        for path in ("/connections", "/programs", *(f"/connect/{flow.id}" for flow in flows)):
            page = await alice.get(path)
            assert page.status_code == 200
            assert_inert(page.text, text)


async def test_a_hostile_error_text_is_text(site, alice) -> None:
    site.flows.refusal = FlowError("<script>alert(1)</script>\u202e")
    answer = await alice.get("/oauth/callback/hubspot", params={"state": "s"})
    assert_inert(answer.text, "")
    assert "\u202e" not in answer.text


@pytest.mark.parametrize(
    "character", list("\u202e\u202d\u2066\u2069\u200b\u200d\u200f\u2060\ufeff\u00ad\x00\x1b\x7f\u2028\u3164\U000e0041")
)
def test_characters_that_deceive_the_eye_are_made_visible(character: str) -> None:
    assert visible(f"Hub{character}Spot") == "Hub\ufffdSpot"


def test_ordinary_names_stay_as_they_are() -> None:
    for text in ("HubSpot", "Zoë's Läden", "日本語", "עברית", "Ærø & Søn", "e\u0301", "🙂"):
        assert visible(text) == text


def test_a_text_without_end_has_one() -> None:
    assert len(visible("x" * 10_000)) == LONGEST
    assert len(name("x" * 10_000)) == LONGEST_NAME


@pytest.mark.parametrize("path", ["/", "/connections", "/programs", "/connect/{flow}", "/connect/{done}", "/nowhere"])
async def test_every_page_names_its_language_title_and_scale_and_holds_no_inline_code(site, alice, path: str) -> None:
    flow, done = site.flows.add(), site.flows.add(status=FlowStatus.CONNECTED)
    page = (await alice.get(path.format(flow=flow.id, done=done.id))).text
    assert '<html lang="en">' in page
    assert re.search(r"<title>[^<]+ · ATP Gateway</title>", page)
    assert 'name="viewport"' in page
    assert len(re.findall(r"<h1[ >]", page)) == 1
    assert_inert(page, "")
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


async def test_every_field_has_a_label(site, alice) -> None:
    flow = site.flows.add(kind=CredentialKind.API_KEY)
    elements = Elements((await alice.get(f"/connect/{flow.id}")).text).found
    labels = {attributes.get("for") for tag, attributes in elements if tag == "label"}
    fields = {attributes.get("id") for tag, attributes in elements if tag == "input" and attributes["type"] != "hidden"}
    assert fields
    assert fields <= labels


async def test_ranges_without_end_cost_nothing(site, alice) -> None:
    """T12, CVE-2025-62727: a file is sent whole, whichever parts of it are asked for."""
    ranges = "bytes=" + ",".join(f"{number}-{number + 1}" for number in range(0, 12_000, 2))
    whole = await alice.get("/static/style.css")
    answer = await alice.get("/static/style.css", headers={"range": ranges[:50_000]})

    assert (answer.status_code, answer.content) == (200, whole.content)


async def test_the_static_files_are_served_and_nothing_else(site, alice) -> None:
    page = (await alice.get("/")).text
    for link in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        async with site.browser(None) as nobody:
            answer = await nobody.get(link)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name_ in ("../pages.py", "..%2fpages.py", "templates/front.html", "", "%00"):
        assert (await alice.get(f"/static/{name_}")).status_code == 404


async def test_the_front_page_says_what_to_paste(site, alice) -> None:
    page = await alice.get("/")
    assert f'<code id="address">{site.url}/mcp</code>' in page.text
    assert 'href="/connections"' in page.text


async def test_what_does_not_exist_is_a_page_for_people_and_json_for_programs(alice) -> None:
    assert "<h1>Nothing here</h1>" in (await alice.get("/connections/x/y/z")).text
    answer = await alice.get("/connections/x/y/z", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert (await alice.get("/connect/x/")).status_code == 404
    wrong = await alice.put("/connections")
    assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


async def test_a_crash_behind_a_page_is_a_page_with_a_reference(site, alice, caplog) -> None:
    site.connections.rows = None
    answer = await alice.get("/connections")
    assert answer.status_code == 500
    assert re.search(r"under reference [0-9a-f]{8}", answer.text)
    assert "NoneType" not in answer.text


async def test_health_says_ok_or_not_and_nothing_else(site) -> None:
    async with site.browser(None) as nobody:
        assert (await nobody.get("/healthz")).json() == {"status": "ok"}
        assert (await nobody.get("/readyz")).json() == {"status": "ok"}
        for site.is_ready in (False, None):
            ready = await nobody.get("/readyz")
            assert (ready.status_code, ready.json()) == (503, {"status": "not ready"})
        assert "proof" not in (await nobody.get("/healthz", params={"challenge": "x" * 65})).json()


def test_known_scopes_have_words_and_unknown_ones_do_not() -> None:
    assert scope_words("crm.objects.contacts.write") == "Create, change and delete contacts"
    assert scope_words("https://graph.microsoft.com/Mail.Read") == "Read your mail"
    assert scope_words("Mail.Read") == "Read your mail"
    assert scope_words("<script>") is None
    assert scope_words("crm.objects.<script>.read") is None


def test_no_template_switches_escaping_off() -> None:
    templates = list(Path(gateway.surfaces.__file__).parent.rglob("templates/*.html"))
    assert len(templates) > 5
    for template in templates:
        assert not re.search(r"\|\s*safe|autoescape|Markup", template.read_text()), template.name

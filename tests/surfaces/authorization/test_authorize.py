"""The page where a person lets a program in: who is asked, about what, and who is told when it goes wrong."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gateway.outward.guarded import Answer
from tests.authorization.house import CALLBACK, query_of
from tests.surfaces.authorization.site import Site, allow, authorize_url, decide, fields_of

LOOPBACK = "http://localhost/callback"
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"
DOCUMENT = "https://vendor.example/client.json"


def document(**changes: Any) -> Answer:
    said = {"client_id": DOCUMENT, "client_name": "Vendor's App", "redirect_uris": [CALLBACK, LOOPBACK, CURSOR]}
    return Answer(200, {}, json.dumps(said | changes).encode())


async def test_a_person_says_yes_and_the_client_gets_a_code_that_is_worth_tokens(
    site: Site, alice: httpx2.AsyncClient
) -> None:
    client, verifiers = await site.register(), []

    told = await allow(alice, authorize_url(client["client_id"], verifiers))

    assert told["state"] == "st4te"
    assert told["iss"] == site.url
    async with site.program() as program:
        answer = await program.post(
            "/token",
            data={
                "grant_type": "authorization_code", "code": told["code"], "code_verifier": verifiers[0],
                "redirect_uri": CALLBACK, "client_id": client["client_id"],
            },
        )  # fmt: skip
    assert answer.status_code == 200
    assert site.server
    access = await site.server.tokens.find(answer.json()["access_token"])
    assert access
    assert (access.principal.subject, access.principal.groups) == ("alice", frozenset({"sales"}))
    assert {("alice", "consent.given"), ("alice", "grant.issued")} <= set(await site.events())


async def test_a_person_says_no_and_the_client_is_told(site: Site, alice: httpx2.AsyncClient) -> None:
    client = await site.register()
    shown = await alice.get(authorize_url(client["client_id"]))

    answered = await decide(alice, shown.text, "deny")

    assert answered.status_code == 303
    told = query_of(answered.headers["location"])
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "st4te", site.url)
    assert "code" not in told
    assert ("alice", "consent.denied") in await site.events()


async def test_whoever_is_nobody_signs_in_first_and_comes_back_to_the_same_request(site: Site) -> None:
    client = await site.register()
    url = authorize_url(client["client_id"], scope="tools offline_access")

    async with site.browser(None) as stranger:
        answer = await stranger.get(url)

    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == "/login"
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"next": [url]}


async def test_a_stranger_does_not_have_us_ask_other_machines(site: Site) -> None:
    site.documents.answers[DOCUMENT] = document()
    async with site.browser(None) as stranger:
        assert (await stranger.get(authorize_url(DOCUMENT))).headers["location"].startswith("/login?")
        assert (await stranger.get(authorize_url("https://127.0.0.1/#x"))).status_code == 400
    assert site.documents.asked == []


async def test_a_client_of_a_document_shows_the_documents_host(site: Site, alice: httpx2.AsyncClient) -> None:
    site.documents.answers[DOCUMENT] = document()

    shown = await alice.get(authorize_url(DOCUMENT))
    told = await allow(alice, authorize_url(DOCUMENT))

    assert shown.status_code == 200
    assert '<dd class="host"><bdi>vendor.example</bdi></dd>' in shown.text
    assert '<dd class="host"><bdi>app.example</bdi></dd>' in shown.text
    assert "two different sites" in shown.text
    assert "code" in told
    assert site.documents.asked == [DOCUMENT]


BAD_ADDRESSEES: list[dict[str, str | None]] = [
    {"client_id": None},
    {"client_id": ""},
    {"client_id": "nobody"},
    {"client_id": "https://vendor.example/gone.json"},
    {"client_id": "http://vendor.example/client.json"},
    {"redirect_uri": "https://evil.example/callback"},
    {"redirect_uri": CALLBACK + "/"},
    {"redirect_uri": CALLBACK + "#"},
    {"redirect_uri": "https://app.example.evil.example/callback"},
    {"redirect_uri": "https://app.example@evil.example/callback"},
    {"redirect_uri": "javascript:alert(1)"},
    {"redirect_uri": "//evil.example"},
]


@pytest.mark.parametrize("change", BAD_ADDRESSEES, ids=str)
@pytest.mark.parametrize("more", [{}, {"response_type": "token"}, {"prompt": "none"}], ids=["", "wrong", "silent"])
async def test_a_client_or_redirect_uri_that_is_not_right_is_a_page_and_sends_nobody_anywhere(
    site: Site, alice: httpx2.AsyncClient, change: dict[str, str | None], more: dict[str, str]
) -> None:
    client = await site.register()

    answer = await alice.get(authorize_url(client["client_id"], **(change | more)))

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")
    assert "evil.example" not in answer.text


@pytest.mark.parametrize("twice", ["client_id", "redirect_uri"])
async def test_nor_does_one_that_stands_twice(site: Site, alice: httpx2.AsyncClient, twice: str) -> None:
    client = await site.register()
    value = {"client_id": client["client_id"], "redirect_uri": CALLBACK}[twice]

    for more in (value, "https://evil.example/"):
        answer = await alice.get(f"{authorize_url(client['client_id'])}&{twice}={more}")
        assert answer.status_code == 400
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"prompt": "none"}, "consent_required"),
        ({"request": "x"}, "request_not_supported"),
    ],
    ids=str,
)
async def test_what_else_is_wrong_the_client_is_told_with_its_state_and_who_says_so(
    site: Site, alice: httpx2.AsyncClient, change: dict[str, str | None], error: str
) -> None:
    client = await site.register()

    answer = await alice.get(authorize_url(client["client_id"], **change))

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    told = query_of(answer.headers["location"])
    assert (told["error"], told["state"], told["iss"]) == (error, "st4te", site.url)


async def test_a_client_that_wants_no_page_learns_that_nobody_has_signed_in(site: Site) -> None:
    client = await site.register()
    async with site.browser(None) as stranger:
        answer = await stranger.get(authorize_url(client["client_id"], prompt="none"))

    assert query_of(answer.headers["location"])["error"] == "login_required"


async def test_a_client_may_have_the_person_sign_in_again_once(site: Site, alice: httpx2.AsyncClient) -> None:
    client = await site.register()

    answer = await alice.get(authorize_url(client["client_id"], prompt="login consent"))

    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["prompt"] == ["login"]
    assert parse_qs(urlsplit(query["next"][0]).query)["prompt"] == ["consent"]
    assert (await alice.get(query["next"][0])).status_code == 200


async def test_somebody_who_has_signed_out_in_between_signs_in_and_is_asked_again(
    site: Site, alice: httpx2.AsyncClient
) -> None:
    client = await site.register()
    shown = await alice.get(authorize_url(client["client_id"]))
    alice.cookies.delete("person")

    answer = await decide(alice, shown.text)

    assert answer.headers["location"].startswith("/login?next=%2Fauthorize%3F")


async def test_a_request_that_no_honest_client_sends_is_answered_in_words(
    site: Site, alice: httpx2.AsyncClient
) -> None:
    client = await site.register()
    for url in (
        authorize_url(client["client_id"], state="x" * 20000),
        "/authorize?" + "&".join(f"a{number}=1" for number in range(100)),
        "/authorize?client_id=%ff%fe",
        "/authorize",
    ):
        answer = await alice.get(url)
        assert answer.status_code == 400, url
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("uri", "host", "source"),
    [
        (CALLBACK, "<bdi>app.example</bdi>", "https:"),
        (LOOPBACK, "a program on this computer", "http://localhost:*"),
        (CURSOR, "the app <bdi>Cursor</bdi>", "cursor:"),
        ("http://[::1]/callback", "a program on this computer", "http:;"),
    ],
)
async def test_the_page_says_where_the_answer_goes_and_lets_the_form_go_there(
    site: Site, alice: httpx2.AsyncClient, uri: str, host: str, source: str
) -> None:
    client = await site.register(redirect_uris=[uri])

    shown = await alice.get(authorize_url(client["client_id"], redirect_uri=uri))

    assert f'<dd class="host">{host}</dd>' in shown.text
    assert ("could say that it was this one" in shown.text) == (uri != CALLBACK)
    policy = shown.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert source in policy
    assert shown.headers["x-frame-options"] == "DENY"
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "same-origin"
    assert shown.headers["cross-origin-opener-policy"] == "same-origin"
    assert "httponly" in shown.headers["set-cookie"].lower()
    assert "samesite=lax" in shown.headers["set-cookie"].lower()


async def test_a_name_that_was_made_up_to_deceive_stays_a_name(site: Site, alice: httpx2.AsyncClient) -> None:
    for name in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "Cl\u202e\u200bedua", "{{ 7*7 }}"):
        client = await site.register(client_name=name)
        shown = await alice.get(authorize_url(client["client_id"]))
        assert shown.status_code == 200
        assert not [bad for bad in ("<script>alert", "<img", "\u202e", "\u200b") if bad in shown.text]
        assert ("{{ 7*7 }}" in shown.text) == (name == "{{ 7*7 }}")


async def test_a_long_request_comes_back_whole(site: Site, alice: httpx2.AsyncClient) -> None:
    """What a person reads is cut; what the form carries is not."""
    client = await site.register()
    state = "s'\"<>&" * 500

    shown = await alice.get(authorize_url(client["client_id"], state=state))
    assert len(fields_of(shown.text)["request"]) > 3000
    answered = await decide(alice, shown.text)

    assert query_of(answered.headers["location"])["state"] == state


async def test_scopes_are_in_plain_words(site: Site, alice: httpx2.AsyncClient) -> None:
    client = await site.register()

    shown = await alice.get(authorize_url(client["client_id"], scope="tools offline_access"))

    assert "See the tools that you may use here" in shown.text
    assert "Go on while you are away" in shown.text
    assert ">tools<" not in shown.text


async def test_a_long_host_is_shown_to_its_end_where_it_counts(site: Site, alice: httpx2.AsyncClient) -> None:
    uri = f"https://claude.ai.{'login.' * 30}evil.example/callback"
    client = await site.register(redirect_uris=[uri], client_name="Claude")

    shown = await alice.get(authorize_url(client["client_id"], redirect_uri=uri))

    assert "login.evil.example</bdi>" in shown.text

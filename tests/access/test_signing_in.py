"""People sign in at the browser: with the company's identity provider, which we did not write, or with an account kept
here; and nobody else does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from gateway.access.throttle import FREE_FOR_ACCOUNT
from gateway.access.totp import STEP, code_at, step_at
from gateway.testing.browser import Browser
from gateway.testing.page import Page
from tests.access.office import PASSWORD, Office, bare, office

FIELD = re.compile(r'name="form_token" value="([0-9a-f]+)"')
NEXT = re.compile(r'name="next" value="([^"]*)"')


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with office(tmp_path_factory.mktemp("office")) as made:
        yield made


def text_field(page: Page, name: str) -> str:
    """What a field of a page holds."""
    return next(each["value"] for form in page.forms for each in form.inputs if each.get("name") == name)


async def send(client: httpx2.AsyncClient, path: str, **form: str) -> httpx2.Response:
    """A form with the token that the page at `path` gives out."""
    shown = await client.get(path)
    field = FIELD.search(shown.text)
    assert field, shown.text
    action = form.pop("to", path)
    return await client.post(action, data={"form_token": field[1], **form})


async def test_who_is_nobody_is_led_to_sign_in_and_back_to_what_they_wanted(house: Office) -> None:
    async with Browser() as browser:
        page = await house.by_company(browser, "ada", "/connections?from=mail")

        assert page.url == f"{house.url}/connections?from=mail"
        assert "ada" in page.text
        assert "Sign out" in [link.label for link in page.links]
        again = await browser.open(f"{house.url}/login?next=/connections")
        assert again.url == f"{house.url}/connections"


async def test_only_a_person_who_looks_at_a_page_is_led_to_sign_in(house: Office) -> None:
    async with bare(house) as client:
        led = await client.get("/connections?a=b&c=//d")
        posted = await client.post("/connections/x/default")
        program = await client.get("/connections", headers={"accept": "application/json"})

    assert (led.status_code, posted.status_code, program.status_code) == (303, 401, 401)
    assert led.headers["location"] == f"/login?{urlencode({'next': '/connections?a=b&c=//d'})}"


async def test_the_principal_is_the_companys_issuer_and_subject_with_the_groups_it_tells(house: Office) -> None:
    async with Browser() as browser:
        await house.by_company(browser, "bob")
    bob = await house.sign_in.people.called("bob@example.test")

    assert (bob.principal.issuer, bob.principal.subject, bob.groups) == (house.company, "bob", {"support"})


async def test_the_sessions_cookie_is_kept_from_scripts_and_other_sites(house: Office) -> None:
    await house.member("cookie@example.com")
    async with bare(house) as client:
        answer = await send(client, "/login", email="cookie@example.com", password=PASSWORD)

    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("atp-session="))
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert "domain" not in cookie.lower()


async def test_an_invited_person_sets_a_password_adds_a_phone_and_signs_in_with_both(house: Office) -> None:
    async with Browser() as browser:
        page = await browser.open(await house.invitation("grace@example.com", "Grace"))
        assert "Welcome, Grace" in page.text
        refused = await browser.press(page, "Set password", {"password": "password1234"})
        assert "tried first" in refused.text
        page = await browser.press(refused, "Set password", {"password": PASSWORD})
        secret = text_field(page, "secret")
        wrong = await browser.press(page, "Turn on", {"code": "000000"})
        assert "not the code of this moment" in wrong.text
        assert text_field(wrong, "secret") == secret
        page = await browser.press(wrong, "Turn on", {"code": code_at(secret, step_at(house.clock.now()))})
        assert "second factor is on" in page.text
        page = await browser.open(f"{house.url}/logout")
        page = await browser.press(page, "Sign out")
        assert "You are signed out" in page.text
        assert (await browser.open(f"{house.url}/connections")).title.startswith("Sign in")

    async with Browser() as browser, Browser() as thief:
        pages = []
        house.clock.advance(timedelta(seconds=3 * STEP))
        code = code_at(secret, step_at(house.clock.now()))
        for each in (browser, thief):
            page = await each.open(f"{house.url}/connections")
            page = await each.press(page, "Sign in", {"email": "grace@example.com", "password": PASSWORD})
            assert page.title.startswith("Your code")
            pages.append(await each.press(page, "Sign in", {"code": code}))

    assert pages[0].url == f"{house.url}/connections"
    assert "each works once" in pages[1].text  # the same code, a moment later


async def test_an_invitation_shows_itself_to_a_mail_programs_look_and_works_once(house: Office) -> None:
    link = await house.invitation("linus@example.com")
    async with Browser() as looking, Browser() as first, Browser() as second:
        for _ in range(3):
            assert (await looking.open(link)).status == 200
        pages = [await each.open(link) for each in (first, second)]
        assert "second factor" in (await first.press(pages[0], "Set password", {"password": PASSWORD})).title

        late = await second.press(pages[1], "Set password", {"password": "another four plain words"})

        assert (late.status, (await looking.open(link)).status) == (404, 404)
        assert (await second.open(f"{house.url}/connections")).title.startswith("Sign in")


async def test_a_wrong_password_and_an_unknown_account_answer_alike(house: Office) -> None:
    await house.member("known@example.com")
    bodies = []
    for email in ("known@example.com", "unknown@example.com"):
        async with bare(house) as client:
            answer = await send(client, "/login", email=email, password="not the password at all")
            assert answer.status_code == 403
            bodies.append(FIELD.sub("", answer.text).replace(email, ""))

    assert bodies[0] == bodies[1]
    assert "do not fit together" in bodies[0]


async def test_guessing_is_told_to_wait_and_the_page_says_how_long(house: Office) -> None:
    async with bare(house) as client:
        for _ in range(FREE_FOR_ACCOUNT):
            await send(client, "/login", email="guessed@example.com", password="x")
        answer = await send(client, "/login", email="guessed@example.com", password="x")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert "Wait a minute" in answer.text


async def test_a_session_that_was_planted_is_not_the_one_that_signs_in(house: Office) -> None:
    await house.member("fixed@example.com")
    async with bare(house) as client:
        client.cookies.set("atp-session", "p" * 43, "127.0.0.1")
        await send(client, "/login", email="fixed@example.com", password=PASSWORD)
        first = client.cookies["atp-session"]
        again = await send(client, "/login?prompt=login", to="/login", email="fixed@example.com", password=PASSWORD)
        assert again.status_code == 303
        assert len({"p" * 43, first, client.cookies["atp-session"]}) == 3
        assert (await client.get("/connections")).status_code == 200
    async with bare(house, cookies={"atp-session": first}) as thief:
        assert (await thief.get("/connections")).status_code == 303


FORMS = ["/login", "/login/company", "/login/code", "/logout", "/login/second-factor", "INVITATION"]


@pytest.mark.parametrize("path", FORMS)
async def test_no_form_is_taken_from_another_page_or_browser(house: Office, path: str) -> None:
    await house.member("forms@example.com")
    invited = urlsplit(await house.invitation("forged@example.com")).path
    target = invited if path == "INVITATION" else path
    filled = {"email": "forms@example.com", "password": PASSWORD, "code": "123456", "secret": "A" * 32}
    async with bare(house) as victim, bare(house) as attacker:
        await send(victim, "/login", email="forms@example.com", password=PASSWORD)
        theirs = FIELD.search((await attacker.get(invited)).text)
        assert theirs
        own = FIELD.search((await victim.get("/logout")).text)
        assert own
        about_something_else = own[1] if path != "/logout" else theirs[1]
        tried = [
            await victim.post(target, data=filled),
            await victim.post(target, data=filled | {"form_token": theirs[1]}),
            await victim.post(target, data=filled | {"form_token": about_something_else}),
            await victim.post(target, data=filled | {"form_token": own[1]}, headers={"sec-fetch-site": "cross-site"}),
            await victim.post(target, data=filled | {"form_token": own[1]}, headers={"origin": "https://evil.example"}),
        ]

        assert [answer.status_code for answer in tried] == [403] * 5
        assert (await victim.get("/connections")).status_code == 200
        assert (await attacker.get(invited)).status_code == 200


@pytest.mark.parametrize("trick", ["//evil.example", "https://evil.example", "/\\evil.example", "/login?next=/login"])
async def test_signing_in_leads_to_no_other_site(house: Office, trick: str) -> None:
    async with Browser() as browser:
        page = await browser.open(f"{house.url}/login?{urlencode({'next': trick})}")
        page = await browser.press(page, "Continue with")
        while page.url.startswith(house.company):
            page = await browser.press(page, "", user="ada")
    assert page.url == f"{house.url}/"

    async with bare(house) as client:
        onward = await client.get("/login/onward", params={"next": trick})
    assert 'content="0; url=/"' in onward.text


async def begun(house: Office, client: httpx2.AsyncClient) -> dict[str, str]:
    """What the provider was sent by a browser that has just pressed the button."""
    left = await send(client, "/login", to="/login/company", next="/connections")
    assert left.status_code == 303
    assert left.headers["location"].startswith(f"{house.company}/auth?")
    return {name: values[0] for name, values in parse_qs(urlsplit(left.headers["location"]).query).items()}


async def test_the_provider_is_asked_with_pkce_a_nonce_and_a_state_of_this_browser(house: Office) -> None:
    async with bare(house) as one, bare(house) as other:
        asked, another = await begun(house, one), await begun(house, other)

    assert asked["code_challenge_method"] == "S256"
    assert {"openid", "groups"} <= set(asked["scope"].split())
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) == 43
        assert asked[name] != another[name]
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3


async def test_an_answer_that_is_not_for_this_browser_or_not_of_that_provider_signs_nobody_in(house: Office) -> None:
    async with bare(house) as client, bare(house) as other:
        state, theirs = (await begun(house, client))["state"], (await begun(house, other))["state"]
        good = {"code": "x", "state": state, "iss": house.company}
        tries = {
            "another browser": good | {"state": theirs},
            "no state": {"code": "x", "iss": house.company},
            "a changed state": good | {"state": state[:-1] + ("A" if state[-1] != "A" else "B")},
            "a made-up code": good,
        }
        for what, query in tries.items():
            answer = await client.get("/login/callback", params=query)
            assert answer.status_code == 303, what
            assert answer.headers["location"].startswith("/login?"), what
            assert "code=" not in answer.headers["location"], what
            told = await client.get(answer.headers["location"])
            assert 'role="alert"' in told.text, what
            assert 'role="alert"' not in (await client.get("/login")).text, what
        assert "atp-session" not in client.cookies


@pytest.mark.parametrize(
    "changed",
    [{"iss": "https://evil.example"}, {"iss": None}, {"error": "access_denied"}, {"code": None}, {"x": "twice"}],
)
async def test_an_answer_that_is_wrong_in_one_place_signs_nobody_in(
    house: Office, changed: dict[str, str | None]
) -> None:
    async with bare(house) as client:
        state = (await begun(house, client))["state"]
        query = {"code": "x", "state": state, "iss": house.company} | changed
        pairs = [(name, value) for name, value in query.items() if value is not None]
        pairs += [("state", state)] if "x" in changed else []

        answer = await client.get(f"/login/callback?{urlencode(pairs)}")

        assert answer.headers["location"].startswith("/login?")
        assert "atp-session" not in client.cookies


async def test_an_answer_that_comes_too_late_signs_nobody_in(house: Office) -> None:
    async with Browser() as browser:
        page = await browser.open(f"{house.url}/connections")
        page = await browser.press(page, "Continue with")
        house.clock.advance(timedelta(minutes=11))
        while page.url.startswith(house.company):
            page = await browser.press(page, "", user="ada")

        assert "too long ago" in page.text
        assert (await browser.open(f"{house.url}/connections")).title.startswith("Sign in")


async def test_signing_out_ends_the_session_and_not_only_the_cookie(house: Office) -> None:
    await house.member("leaving@example.com")
    async with bare(house) as client:
        await send(client, "/login", email="leaving@example.com", password=PASSWORD)
        kept = client.cookies["atp-session"]
        assert (await client.get("/logout")).status_code == 200
        assert (await client.get("/connections")).status_code == 200  # to look at the page changes nothing
        await send(client, "/logout")
    async with bare(house, cookies={"atp-session": kept}) as thief:
        assert (await thief.get("/connections")).status_code == 303


@pytest.mark.parametrize("path", ["/login", "/logout", "/login/onward", "INVITATION"])
async def test_the_pages_come_with_the_whole_set_of_headers(house: Office, path: str) -> None:
    invited = urlsplit(await house.invitation("headers@example.com")).path
    async with bare(house) as client:
        page = await client.get(invited if path == "INVITATION" else path)

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "frame-ancestors 'none'; base-uri 'none'" in policy
    assert (page.headers["x-frame-options"], page.headers["cache-control"]) == ("DENY", "no-store")
    assert page.headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", page.text)

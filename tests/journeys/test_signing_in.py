"""Signing in at a real browser: legible in both themes and at both widths, without a breach of its policies, and all
the way from a program's request to the program's own address."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from playwright.async_api import Browser, expect

from gateway.access.totp import code_at, step_at
from tests.access.office import PASSWORD, Office, office
from tests.journeys.chromium import Profile, chromium, profile

LOOKS = [("light", 1280), ("dark", 390)]
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with office(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
async def program() -> AsyncIterator[str]:
    """Where a program on the person's machine waits to be called back."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<!doctype html><link rel=icon href=data:,><title>x</title><h1>Back at the program</h1>"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_an_invited_person_comes_in_with_a_phone_goes_and_comes_again(
    house: Office, browser: Browser, scheme: str, width: int
) -> None:
    email = f"{scheme}@example.com"
    async with profile(browser, color_scheme=scheme, viewport={"width": width, "height": 800}) as person:
        await person.open(await house.invitation(email, "Ada Lovelace"))
        await person.lands_on("Welcome, Ada Lovelace")
        assert await person.illegible() == []
        await person.page.get_by_label("New password").fill(PASSWORD)
        await person.page.keyboard.press("Enter")
        await person.lands_on("Add your phone as a second factor", f"{house.url}/login/second-factor")
        assert await person.illegible() == []
        secret = await person.page.locator("input[name=secret]").get_attribute("value") or ""
        assert "".join((await person.page.locator(".key code").inner_text()).split()) == secret
        await person.page.get_by_role("textbox", name="Code").fill(code_at(secret, step_at(house.clock.now())))
        await person.page.keyboard.press("Enter")
        await person.lands_on("Your second factor is on")
        await person.page.get_by_role("link", name="Sign out").click()
        await person.lands_on("Sign out?")
        await person.press("Sign out")
        await person.lands_on("You are signed out")
        assert await person.illegible() == []

        await person.open(f"{house.url}/connections")
        await sign_in(person, house, email, secret)

        await person.lands_on("My connections", f"{house.url}/connections")


async def sign_in(person: Profile, house: Office, email: str, secret: str) -> None:
    await person.lands_on("Sign in")
    assert await person.illegible() == []
    await person.page.get_by_label("E-mail address").fill(email)
    await person.page.get_by_label("Password").fill(PASSWORD)
    await person.page.keyboard.press("Enter")
    await person.lands_on("Now your code")
    assert await person.illegible() == []
    step = step_at(house.clock.now()) + 1  # the phone's clock is a little ahead; this moment's code has been used
    await person.page.get_by_role("textbox", name="Code").fill(code_at(secret, step))
    await person.page.keyboard.press("Enter")


async def test_a_program_that_was_let_in_is_ended_on_its_page(house: Office, browser: Browser, program: str) -> None:
    async with (
        httpx2.AsyncClient(base_url=house.url, trust_env=False) as http,
        profile(browser, color_scheme="dark", viewport={"width": 390, "height": 800}) as person,
    ):
        asked = await registered(house, http, program)
        await person.open(await house.invitation("grace@example.com", "Grace Hopper"))
        await person.page.get_by_label("New password").fill(PASSWORD)
        await person.page.keyboard.press("Enter")
        await person.lands_on("Add your phone as a second factor")
        await person.page.get_by_role("link", name="Not now").click()
        await person.lands_on("Tools that act for you, with your own accounts")
        assert await person.illegible() == []
        await person.page.get_by_role("link", name="Your second factor").click()
        await person.lands_on("Add your phone as a second factor")
        await person.open(f"{house.url}/programs")
        await person.reads("No program may act for you")
        await person.open(f"{house.url}/authorize?{urlencode(asked)}")
        await person.press("Allow")
        await person.lands_on("Back at the program")
        client = {"client_id": asked["client_id"]}
        code = parse_qs(urlsplit(person.page.url).query)["code"][0]
        sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": program, "code_verifier": "v" * 43}
        tokens = (await http.post("/token", data={**sent, **client})).json()
        assert await is_let_in(http, tokens)

        await person.open(f"{house.url}/programs")
        await person.reads("a program", "Answers go to a program on your computer")
        assert await person.illegible() == []
        await person.page.get_by_text("End its access", exact=True).click()
        await person.page.get_by_role("button", name="End its access").click()
        await person.reads("Its access has ended.", "No program may act for you")

        assert not await is_let_in(http, tokens)
        again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **client}
        assert (await http.post("/token", data=again)).json()["error"] == "invalid_grant"
        await person.open(f"{house.url}/connections/history?what=changes")
        async with asyncio.timeout(10):  # until it is on record
            while "The program's access ended" not in await person.page.get_by_role("main").inner_text():
                await person.page.reload()
        await person.reads("by you")
        assert await person.illegible() == []


async def registered(house: Office, http: httpx2.AsyncClient, program: str) -> dict[str, str]:
    """The request of a program that has registered itself."""
    told = {"client_name": "a program", "redirect_uris": [program], "token_endpoint_auth_method": "none"}
    client_id = (await http.post("/register", json=told)).json()["client_id"]
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": program,
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "resource": house.mcp,
    }


async def is_let_in(http: httpx2.AsyncClient, tokens: dict[str, str]) -> bool:
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    return (await http.post("/mcp", json={}, headers=headers)).status_code != 401


async def test_a_programs_request_leads_through_the_companys_sign_in_back_to_the_program(
    house: Office, browser: Browser, program: str
) -> None:
    async with httpx2.AsyncClient(base_url=house.url, trust_env=False) as http:
        asked = await registered(house, http, program)
    async with profile(browser) as person:
        await person.open(f"{house.url}/authorize?{urlencode(asked)}")
        await person.lands_on("Sign in")
        await person.press("Continue with your company")
        await person.page.locator("input[name=login]").fill("ada")
        await person.page.locator("input[name=password]").fill("x")
        await person.page.keyboard.press("Enter")
        await person.press("Continue")
        await expect(person.page).to_have_url(f"{house.url}/authorize?{urlencode(asked)}")
        await person.reads("a program")
        await person.press("Allow")
        await person.lands_on("Back at the program")
        # The provider's own pages want a font from elsewhere, and an icon that is not there.
        person.requests[:] = [url for url in person.requests if "fonts.googleapis.com" not in url]
        person.complaints[:] = [each for each in person.complaints if not each.startswith(("https://fonts.", "Failed"))]

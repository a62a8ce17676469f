"""A person's consent in a real browser: what they read, what they press, and what is left of it afterwards.

The gateway and the provider are different sites here, 127.0.0.1 and localhost, as they are in life: cookies, referrers
and form targets are the browser's to decide. The provider's log is the word on what reached it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult, Implementation
from playwright.async_api import expect

from gateway import app
from gateway.settings import load_settings
from gateway.surfaces.mcp.challenge import DECLINED
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from tests.journeys.chromium import Profile, chromium, profile

TOOLKIT = '''
import hashlib

import httpx2

from gateway import Credential, ToolKitClient

client = ToolKitClient(app_name="acme")


@client.tool(auth_provider="acme", scopes=["openid", "email"])
async def whoami(credential: Credential) -> str:
    """Ask the provider whose account this is."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get("ISSUER/userinfo", headers={"Authorization": f"Bearer {credential.token}"})
        return answer.raise_for_status().json()["email"]


@client.tool(auth_provider="ledger", auth_type="apiKey")
def fingerprint(credential: Credential) -> str:
    """Tell which key this is."""
    return hashlib.sha256(credential.token.encode()).hexdigest()
'''
HOST = Implementation(name="Desk Assistant", version="1")
CONNECTED, DISCONNECTED, NOT_CONNECTED = "Acme is connected", "Acme is disconnected", "Acme was not connected"
PHONE = {"viewport": {"width": 320, "height": 640}}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, because one browser serves it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser():
    async with chromium() as started:
        yield started


@pytest.fixture
async def someone(browser):
    """Opens a new profile: `await someone(color_scheme="dark")`."""
    async with AsyncExitStack() as profiles:
        yield lambda **options: profiles.enter_async_context(profile(browser, **options))


@dataclass
class Stage:
    """The running gateway, and the provider."""

    url: str
    provider: AuthorizationServer

    async def call(self, tool: str = "whoami", opens: Callable[[str], None] | None = None) -> str:
        """What the tool answers a host. `opens` takes the link, for a host that opens links itself."""

        async def elicited(context: Any, params: Any) -> ElicitResult:
            opens(params.url)
            return ElicitResult(action="accept")

        callback = elicited if opens else None
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
            async with Client(transport, client_info=HOST, elicitation_callback=callback) as client:
                result = await client.call_tool(tool, {})
        return result.content[0].text

    async def link(self, tool: str = "whoami") -> str:
        """The link that a call answers with."""
        found = re.search(rf"{self.url}/connect/[\w-]+", await self.call(tool))
        assert found
        return found[0]

    async def held_call(self) -> tuple[str, asyncio.Task[str]]:
        """The link of a call that waits for the person, and what it will answer."""
        opened = asyncio.get_running_loop().create_future()
        answer = asyncio.create_task(self.call(opens=opened.set_result))
        return await asyncio.wait_for(opened, 10), answer


@pytest.fixture
async def stage(tmp_path):
    client = RegisteredClient("gateway", "a secret between the two", ("http://127.0.0.1/oauth/callback/acme",))
    provider = AuthorizationServer(client)
    async with serving(provider) as address:
        issuer = address.replace("127.0.0.1", "localhost")
        toolkit = tmp_path / "acme.py"
        toolkit.write_text(TOOLKIT.replace("ISSUER", issuer))
        settings = load_settings(
            None,
            {
                "ATP_GATEWAY_SERVER_PORT": "0",
                "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
                "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
                "ATP_GATEWAY_PROVIDERS__ACME__NAME": "Acme",
                "ATP_GATEWAY_PROVIDERS__ACME__ISSUER": issuer,
                "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_ID": client.id,
                "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_SECRET": client.secret,
            },
        )
        async with app.serving(settings, [str(toolkit)]) as gateway:
            yield Stage(gateway.base_url, provider)


async def sign_in(person: Profile, decision: str) -> None:
    """At the provider's pages: who one is, and yes or no."""
    await person.page.get_by_label("User name").fill("alice")
    await person.press("Sign in")
    await person.press(decision)


async def connect(person: Profile, link: str) -> None:
    await person.open(link)
    await person.press("Connect")
    await sign_in(person, "Approve")
    await person.lands_on(CONNECTED)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_a_person_reads_who_asks_agrees_and_the_next_call_works(stage, someone, scripts):
    alice = await someone(java_script_enabled=scripts)
    link = await stage.link()

    await alice.open(link)
    await alice.lands_on("Connect Acme")
    await alice.reads("Desk Assistant asks to use your Acme account", "whoami", "openid", "email")
    expires = await alice.page.locator("time").inner_text()
    await alice.press("Connect")
    await sign_in(alice, "Approve")
    await alice.lands_on(CONNECTED, f"{link}/done")

    assert expires.endswith("UTC") is not scripts
    assert await stage.call() == "alice@example.com"


async def test_not_now_is_a_no_on_the_page_and_for_the_tool(stage, someone):
    alice = await someone()
    link, answer = await stage.held_call()

    await alice.open(link)
    await alice.press("Not now")
    await alice.lands_on(NOT_CONNECTED)
    await alice.reads("You said no, so nothing was connected.")

    assert await asyncio.wait_for(answer, 10) == DECLINED
    assert list(stage.provider.log) == []


async def test_a_no_at_the_provider_is_a_no_on_the_page_and_for_the_tool(stage, someone):
    alice = await someone()
    link, answer = await stage.held_call()

    await alice.open(link)
    await alice.press("Connect")
    await sign_in(alice, "Deny")
    await alice.lands_on(NOT_CONNECTED, f"{link}/done")
    await alice.reads("You said no, so nothing was connected.")

    assert await asyncio.wait_for(answer, 10) == DECLINED
    assert stage.provider.count("code", outcome=None) == 0


async def test_a_consent_that_one_browser_began_cannot_be_given_in_another(stage, someone):
    """Somebody presses Connect and sends the provider's address on, for another's account to become theirs."""
    first, second = await someone(), await someone()
    link = await stage.link()
    await first.open(link)
    await first.press("Connect")
    await first.lands_on("Sign in to continue to gateway")
    sent_on = next(url for url in first.requests if "/authorize?" in url)

    await second.open(link)
    await second.lands_on("Connect Acme")
    await second.open(sent_on)
    await sign_in(second, "Approve")
    await second.lands_on("Another browser began this", f"{stage.url}/oauth/callback/acme")

    assert refused(second)
    assert stage.provider.count("consent") == 1
    assert stage.provider.count("code", outcome=None) == 0

    await sign_in(first, "Approve")
    await first.lands_on(CONNECTED)

    assert stage.provider.count("code") == 1


async def test_a_callback_opened_again_in_any_browser_is_worth_nothing(stage, someone):
    first, second = await someone(), await someone()
    await connect(first, await stage.link())
    callback = next(url for url in first.requests if "code=" in url)

    for person in (first, second):
        await person.open(callback)
        await person.lands_on("This link does not work (any more)", f"{stage.url}/oauth/callback/acme")
        assert refused(person)

    assert stage.provider.count("code", outcome=None) == 1
    assert await stage.call() == "alice@example.com"


async def type_key(person: Profile, key: str) -> None:
    """Type into the field that has the focus as the page opens, and press Enter."""
    await expect(person.page.get_by_label("API key")).to_be_focused()
    await person.page.keyboard.type(key)
    await person.page.keyboard.press("Enter")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_an_api_key_is_typed_once_and_seen_nowhere_again(stage, someone, scripts):
    alice, key = await someone(java_script_enabled=scripts), secrets.token_urlsafe(24)
    link = await stage.link("fingerprint")
    await alice.open(link)
    await alice.reads("Paste a key that you made at ledger")
    await type_key(alice, key)
    await alice.lands_on("ledger is connected", f"{link}/done")
    seen = [await alice.page.content()]

    await alice.go_back()
    await alice.lands_on("ledger is connected", link)
    seen += [await alice.page.content()]
    await alice.open(f"{stage.url}/connections")
    await alice.reads("ledger", "API key")
    seen += [await alice.page.content()]

    assert [text for text in (*seen, *alice.requests) if key in text] == []
    assert await stage.call("fingerprint") == hashlib.sha256(key.encode()).hexdigest()


async def test_an_api_key_that_was_typed_and_not_sent_is_gone_when_one_comes_back(stage, someone):
    """The browser brings back the page itself, not a fresh copy."""
    alice = await someone()
    link = await stage.link("fingerprint")
    await alice.open(link)
    await alice.page.keyboard.type("not sent")
    await alice.page.get_by_role("link", name="ATP Gateway").click()
    await alice.lands_on("Tools that act for you, with your own accounts")

    await alice.go_back()
    await alice.lands_on("Connect ledger")

    assert alice.requests.count(link) == 1
    await expect(alice.page.get_by_label("API key")).to_have_value("")


async def test_a_mistyped_api_key_is_not_shown_and_can_be_typed_again(stage, someone):
    alice, key = await someone(), secrets.token_urlsafe(24)
    await alice.open(await stage.link("fingerprint"))

    await type_key(alice, f"{key} {key}")
    await alice.reads("That is not an API key")
    assert key not in await alice.page.content()
    assert refused(alice)

    await type_key(alice, key)
    await alice.lands_on("ledger is connected")
    assert await stage.call("fingerprint") == hashlib.sha256(key.encode()).hexdigest()


async def test_disconnecting_ends_the_access_here_and_at_the_provider(stage, someone):
    alice = await someone()
    await connect(alice, await stage.link())

    await alice.page.get_by_role("main").get_by_role("link", name="My connections").click()
    await alice.lands_on("My connections")
    await alice.reads("alice@example.com", "Active", "Desk Assistant")
    await alice.page.get_by_text("Disconnect", exact=True).click()
    await alice.page.get_by_role("button", name=re.compile("^Disconnect")).click()
    await alice.lands_on(DISCONNECTED)
    await alice.reads("Has confirmed that it ended the access too.")

    assert stage.provider.count("revoke") == 1
    assert await stage.link()


async def test_an_account_is_connected_before_any_tool_asks(stage, someone):
    alice = await someone()
    await alice.open(f"{stage.url}/connections")
    await alice.reads("Nothing is connected yet")
    await alice.page.get_by_text("For 1 tool: Acme").click()
    await alice.reads("whoami", "Know who you are", "See your e-mail address")

    await alice.press("Connect Acme")
    await alice.lands_on("Connect Acme")
    await alice.reads("You asked for this on your own page of connections.")
    await alice.press("Connect")
    await sign_in(alice, "Approve")
    await alice.lands_on(CONNECTED)
    await alice.page.get_by_role("link", name="Back to my connections").click()
    await alice.lands_on("My connections")
    await alice.reads("alice@example.com", "Active", "Not lately")

    assert await stage.call() == "alice@example.com"
    async with asyncio.timeout(10):  # until the call is on record
        while "Not lately" in await alice.page.get_by_role("main").inner_text():
            await alice.page.reload()
    await alice.reads("Used by 1 tool", "Desk Assistant")


async def test_what_a_host_is_given_is_copied_at_one_press(stage, someone):
    alice = await someone(permissions=["clipboard-read", "clipboard-write"])
    await alice.open(stage.url)
    await alice.page.get_by_role("link", name="Plug in").first.click()
    await alice.lands_on("Plug the gateway into your program")

    await alice.press("Copy for Claude Code")
    await expect(alice.page.get_by_role("status")).to_have_text("Copied")

    copied = await alice.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"claude mcp add --scope user --transport http atp-gateway {stage.url}/mcp"


async def test_without_scripts_no_button_promises_what_it_cannot_do(stage, someone):
    alice = await someone(java_script_enabled=False)
    await alice.open(f"{stage.url}/hosts")
    await alice.reads(f"claude mcp add --scope user --transport http atp-gateway {stage.url}/mcp")
    assert await alice.page.get_by_role("button").count() == 0


async def test_a_consent_needs_no_mouse(stage, someone):
    alice = await someone()
    keyboard = alice.page.keyboard

    await alice.open(await stage.link())
    await alice.tab_to("Connect")
    await keyboard.press("Enter")
    await expect(alice.page.get_by_label("User name")).to_be_focused()
    await keyboard.type("alice")
    await keyboard.press("Enter")
    await alice.lands_on("Allow gateway to use your account?")
    await alice.tab_to("Approve")
    await keyboard.press("Enter")
    await alice.lands_on(CONNECTED)
    await alice.tab_to("My connections")
    await keyboard.press("Enter")
    await alice.lands_on("My connections")
    await alice.tab_to("Disconnect")
    await keyboard.press("Enter")
    await alice.tab_to("Disconnect: alice@example.com")
    await keyboard.press("Enter")
    await alice.lands_on(DISCONNECTED)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_can_be_read_on_the_narrowest_phone(stage, someone, scheme):
    alice = await someone(color_scheme=scheme, **PHONE)
    trouble: list[str] = []

    async def look(heading: str) -> None:
        await alice.lands_on(heading)
        trouble.extend(f"{heading}: {found}" for found in await alice.illegible())

    await alice.open(stage.url)
    await look("Tools that act for you, with your own accounts")
    await alice.open(f"{stage.url}/hosts")
    await look("Plug the gateway into your program")
    await alice.open(await stage.link("fingerprint"))
    await look("Connect ledger")
    await alice.press("Not now")
    await look("ledger was not connected")
    await alice.open(await stage.link())
    await look("Connect Acme")
    await alice.press("Connect")
    await sign_in(alice, "Approve")
    await look(CONNECTED)
    await alice.open(f"{stage.url}/connections")
    for summary in await alice.page.locator("summary").all():
        await summary.click()
    await look("My connections")
    await alice.page.get_by_role("button", name=re.compile("^Disconnect")).click()
    await look(DISCONNECTED)
    await alice.open(f"{stage.url}/connect/gone")
    await look("This link does not work (any more)")

    assert trouble == []
    assert refused(alice)


def refused(person: Profile) -> bool:
    """Whether the browser complained of just one page: that our answer was a refusal. It is taken note of."""
    complaints, person.complaints = person.complaints, []
    return len(complaints) == 1 and bool(re.search(r"status of 4\d\d", complaints[0]))

"""The whole way of a new person: an MCP client finds the gateway, they sign in with their company, let the client in,
and use tools with their own accounts. A second person sees nothing of it.

The client is the SDK's own, the company's identity provider one that we did not write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from gateway.errors import FlowNotFoundError
from gateway.testing.browser import Browser
from gateway.testing.page import Page
from tests.access.office import CALLBACK, Office, office
from tests.kept import Kept


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with office(tmp_path_factory.mktemp("office")) as made:
        yield made


class Host:
    """An MCP host on somebody's machine, and the browser that it opens."""

    def __init__(self, house: Office, browser: Browser, person: str) -> None:
        self.house, self.browser, self.person = house, browser, person
        self.kept = Kept()
        self.seen: list[str] = []
        self.answer: dict[str, str] = {}

    async def open(self, url: str) -> None:
        """Whatever page comes, until the browser is sent back to the host."""
        page = await self.browser.open(url, stop_at=CALLBACK)
        while not page.url.startswith(CALLBACK):
            self.seen.append(page.title.partition(" · ")[0])
            page = await self._next(page)
        self.answer = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}

    async def _next(self, page: Page) -> Page:
        if page.url.startswith(self.house.company):
            return await self.browser.press(page, "", user=self.person, stop_at=CALLBACK)
        if onward := [link for link in page.links if link.label == "Go on now"]:
            return await self.browser.open(onward[0].url, stop_at=CALLBACK)
        label = "Continue with" if "/login" in page.url else "Allow"
        return await self.browser.press(page, label, stop_at=CALLBACK)

    async def come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(
            code=self.answer["code"], state=self.answer.get("state"), iss=self.answer.get("iss")
        )

    async def call(self, tool: str) -> str:
        metadata = OAuthClientMetadata(client_name="a host", redirect_uris=[CALLBACK], application_type="native")
        login = OAuthClientProvider(self.house.mcp, metadata, self.kept, self.open, self.come_back)
        async with (
            httpx2.AsyncClient(auth=login, trust_env=False, timeout=30) as http,
            Client(streamable_http_client(self.house.mcp, http_client=http)) as client,
        ):
            return str((await client.call_tool(tool, {})).content[0].text)


async def test_a_new_person_signs_in_with_the_company_lets_a_host_in_and_calls_a_tool(house: Office) -> None:
    with anyio.fail_after(90):
        async with Browser() as browser:
            host = Host(house, browser, "ada")

            assert await host.call("greet") == "hello"

            assert host.seen[0] == "Sign in"
            assert "You are signed in" in host.seen
            assert (await browser.open(f"{house.url}/connections")).url == f"{house.url}/connections"


async def test_who_is_signed_in_already_is_only_asked_about_the_host(house: Office) -> None:
    with anyio.fail_after(90):
        async with Browser() as browser:
            await house.by_company(browser, "ada")
            host = Host(house, browser, "ada")

            assert await host.call("greet") == "hello"

            assert len(host.seen) == 1


async def test_two_people_never_see_each_others_connections(house: Office) -> None:
    async with Browser() as adas, Browser() as bobs:
        for browser, name in ((adas, "ada"), (bobs, "bob")):
            await house.by_company(browser, name)
        ada, bob = [await house.sign_in.people.called(f"{name}@example.test") for name in ("ada", "bob")]
        flow = await house.begin_flow(ada.principal)

        forwarded = await bobs.open(f"{house.url}/connect/{flow.id}")
        assert forwarded.status == 404
        with pytest.raises(FlowNotFoundError):
            await house.accounts.flows.describe(flow.id, bob.principal)
        page = await adas.open(f"{house.url}/connect/{flow.id}")
        assert page.status == 200
        assert "In the name of ada" in " ".join(page.text.split())
        page = await adas.press(page, "Connect", {"api_key": "a-key-of-adas-own"})
        assert page.status == 200

        assert "Disconnect" in (await adas.open(f"{house.url}/connections")).text
        assert "Disconnect" not in (await bobs.open(f"{house.url}/connections")).text


async def test_who_is_disabled_loses_the_browser_and_the_programs(house: Office) -> None:
    with anyio.fail_after(90):
        async with Browser() as browser:
            host = Host(house, browser, "eve")
            assert await host.call("greet") == "hello"
            eve = await house.sign_in.people.called("eve@example.test")

            await house.sign_in.people.disable(eve, by=eve.principal)
            await house.sign_in.sessions.end_all(eve)  # what was believed for two seconds is over

            assert (await browser.open(f"{house.url}/connections")).title.startswith("Sign in")
            page = await house.by_company(browser, "eve")
            assert "may not sign in here any more" in page.text
            assert await house.accounts.store.grants.list_live(eve.principal, house.clock.now()) == []


async def test_whoever_signs_in_again_is_asked_by_the_company_too(house: Office) -> None:
    async with Browser() as browser:
        await house.by_company(browser, "ada")

        page = await browser.press(await browser.open(f"{house.url}/login?prompt=login&next=/connections"), "Continue")
        assert page.url.startswith(house.company)
        while page.url.startswith(house.company):
            page = await browser.press(page, "", user="ada")

        assert (page.url, page.status) == (f"{house.url}/connections", 200)

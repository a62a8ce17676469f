"""People of a team plug the gateway into their programs: one URL, a login at the company, a yes, and the tools work.

At a real browser, with two identity providers that we did not write: the company's, and the one whose accounts the
tools need. What reached that one is its own log's to say. The programs are the Python SDK's OAuth client, mcp-remote
and the MCP Inspector.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from playwright.async_api import Browser

from tests.interop.desk import Desk, desk
from tests.interop.programs import NODE, ROOT, clean_environment, free_port, run
from tests.interop.sdk_host import sdk_host
from tests.journeys.chromium import Profile, chromium, profile
from tests.journeys.team import Team, team

MCP_REMOTE = ROOT / "tests/node_modules/mcp-remote/dist/proxy.js"
INSPECTOR = ROOT / "tests/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/connect/[\w-]+")
FOREIGN = ("https://fonts.", "Failed to load resource", "Scripts may close only")
"""Complaints about pages of others: a provider's want a font from elsewhere, a program's would close themselves."""
GONE = "This link does not work (any more)"

Call = Callable[[str], Awaitable[str]]
"""Calls a tool without arguments: the text of its answer, or of its refusal."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Team]:
    async with team(tmp_path_factory.mktemp("team")) as made:
        yield made


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@dataclass
class Somebody:
    """A person of the company, at a browser of their own, with a desk that their programs open things at."""

    name: str
    team: Team
    at: Profile
    desk: Desk
    hands: anyio.Lock
    """They do one thing at a time."""

    async def attend(self) -> None:
        """Let in whatever program asks."""
        while True:
            address = await self.desk.opened(seconds=120)
            async with self.hands:
                await self.let_in(address)

    async def let_in(self, address: str) -> None:
        """Sign in if need be, say yes, and see the program have its answer."""
        await self.at.open(address)
        if await self.at.page.get_by_role("heading", name="Sign in", exact=True).count():
            await self.sign_in()
        await self.at.reads("It asks to act in your name", "a program on this computer")
        await self.at.press("Allow")
        await self.at.page.wait_for_url(lambda url: not url.startswith(self.team.url))

    async def sign_in(self) -> None:
        await self.at.press("Continue with your company")
        await self.at_a_provider()

    async def at_a_provider(self) -> None:
        """Say who one is, and yes, on the provider's own pages."""
        await self.at.page.locator("input[name=login]").fill(self.name)
        await self.at.page.locator("input[name=password]").fill("x")
        await self.at.page.keyboard.press("Enter")
        await self.at.press("Continue")

    async def reads(self, path: str, heading: str, *words: str) -> None:
        """A page of the gateway says this. They sign in if need be."""
        async with self.hands:
            await self.at.open(f"{self.team.url}{path}")
            if await self.at.page.get_by_role("heading", name="Sign in", exact=True).count():
                await self.sign_in()
            await self.at.lands_on(heading)
            await self.at.reads(*words)

    async def connect(self, link: str) -> None:
        async with self.hands:
            await self.at.open(link)
            await self.at.press("Connect")
            await self.at_a_provider()
            await self.at.lands_on("Acme CRM is connected")


Someone = Callable[[str], AbstractAsyncContextManager[Somebody]]


@pytest.fixture
async def someone(gateway: Team, browser: Browser, tmp_path: Path) -> Someone:
    """`async with someone("ada") as ada`: new to the gateway, at a new browser."""

    @asynccontextmanager
    async def arrives(name: str) -> AsyncIterator[Somebody]:
        (tmp_path / name).mkdir()
        async with profile(browser) as at, desk(tmp_path / name) as opened:
            somebody = Somebody(name, gateway, at, opened, anyio.Lock())
            async with anyio.create_task_group() as attending:
                attending.start_soon(somebody.attend)
                with anyio.fail_after(120):
                    yield somebody
                attending.cancel_scope.cancel()
            at.requests[:] = [url for url in at.requests if "fonts.googleapis.com" not in url]
            at.complaints[:] = [each for each in at.complaints if not each.startswith(FOREIGN)]

    return arrives


# --- the programs ---


@asynccontextmanager
async def python_sdk(somebody: Somebody) -> AsyncIterator[Call]:
    async with sdk_host(somebody.team.mcp, somebody.desk) as host, host.session() as client:
        yield lambda tool: answer(client, tool)


@asynccontextmanager
async def mcp_remote(somebody: Somebody) -> AsyncIterator[Call]:
    """As a desktop host starts it, over stdio."""
    bridge = StdioServerParameters(
        command=str(NODE), args=[str(MCP_REMOTE), somebody.team.mcp, "--silent"], env=environment_of(somebody)
    )
    async with Client(bridge, mode="legacy") as client:
        yield lambda tool: answer(client, tool)


@asynccontextmanager
async def inspector(somebody: Somebody) -> AsyncIterator[Call]:
    """Its command line, which is a new process for each call."""
    callback = f"http://127.0.0.1:{free_port()}/oauth/callback"
    command = [NODE, INSPECTOR, "--cli", somebody.team.mcp, "--transport", "http", "--callback-url", callback]
    environment = environment_of(somebody) | {"MCP_AUTO_OPEN_ENABLED": "true"}

    async def call(tool: str) -> str:
        _, printed = await run([*command, "--method", "tools/call", "--tool-name", tool], environment)
        text: str = json.loads(printed)["content"][0]["text"]
        return text

    yield call


async def answer(client: Client, tool: str) -> str:
    try:
        result = await client.call_tool(tool, {})
    except MCPError as error:
        return str(error)
    return result.content[0].text  # type: ignore[union-attr]


def environment_of(somebody: Somebody) -> dict[str, str]:
    home = somebody.desk.browser.parent
    return clean_environment(home) | {"BROWSER": str(somebody.desk.browser)}


PROGRAMS = {"the Python SDK": python_sdk, "mcp-remote": mcp_remote, "the Inspector": inspector}


# --- what happens ---


async def link_from(call: Call) -> str:
    found = LINK.search(said := await call("whoami"))
    assert found, said
    return found[0]


def connections(team: Team) -> list[tuple[str, str]]:
    """Whose, and of which account."""
    with closing(sqlite3.connect(team.home / "gateway.db")) as database:
        return list(database.execute("SELECT subject, account_label FROM connections"))


async def codes(team: Team) -> int:
    """How many codes were exchanged at the accounts' provider, or tried to be."""
    return sum(entry["grant"] == "authorization_code" for entry in await team.acme.log())


@pytest.mark.parametrize(("program", "name"), [*zip(PROGRAMS, ("ada", "ben", "cleo"), strict=True)])
async def test_a_new_person_adds_the_url_logs_in_connects_and_gets_the_result(
    gateway: Team, someone: Someone, program: str, name: str
) -> None:
    async with someone(name) as person, PROGRAMS[program](person) as call:
        await person.connect(await link_from(call))

        assert await call("whoami") == f"the account of {name}@example.test"
        assert (name, f"{name}@example.test") in connections(gateway)


async def test_a_second_person_sees_nothing_of_it_and_a_link_that_is_sent_on_is_refused(
    gateway: Team, someone: Someone
) -> None:
    """And so is the provider's own address, which the first one got by pressing the button."""
    async with someone("eve") as eve, someone("finn") as finn, python_sdk(eve) as eves, python_sdk(finn) as finns:
        hers, before = await link_from(eves), await codes(gateway)
        await finn.reads("/connections/history", "Done in my name", "No calls yet")

        await finn.reads(urlsplit(hers).path, GONE)
        await eve.at.open(hers)
        await eve.at.press("Connect")
        await eve.at.page.locator("input[name=login]").wait_for()
        await finn.at.open(next(url for url in eve.at.requests if url.startswith(f"{gateway.acme.issuer}/auth?")))
        await finn.at_a_provider()
        await finn.at.lands_on(GONE, f"{gateway.url}/oauth/callback/acme")
        assert await codes(gateway) == before
        assert not {"eve", "finn"} & {owner for owner, _ in connections(gateway)}

        await eve.at_a_provider()
        await eve.at.lands_on("Acme CRM is connected")
        assert await eves("whoami") == "the account of eve@example.test"
        assert await codes(gateway) == before + 1
        await eve.reads("/connections/history", "Done in my name", "whoami")

        his = await link_from(finns)
        assert his != hers
        await finn.reads(urlsplit(his).path, "Connect Acme CRM", "Desk Assistant")
        await finn.reads("/connections", "My connections", "Nothing is connected yet")
        assert "eve@" not in await finn.at.page.content()
        assert "finn" not in {owner for owner, _ in connections(gateway)}


async def test_a_rule_hides_a_tool_from_one_group_in_both_eras_lists_and_refuses_its_call(
    someone: Someone,
) -> None:
    shown, said = {}, {}
    for name in ("ada", "ivy"):  # in sales, and in support
        async with someone(name) as person, sdk_host(person.team.mcp, person.desk) as host:
            for mode in ("2026-07-28", "legacy"):
                async with host.session(mode) as client:
                    shown[name, mode] = {tool.name for tool in (await client.list_tools()).tools}
                    said[name, mode] = await answer(client, "close_books")

    everything, less = {"whoami", "add", "close_books"}, {"whoami", "add"}
    assert shown == {
        ("ada", "2026-07-28"): everything,
        ("ada", "legacy"): everything,
        ("ivy", "2026-07-28"): less,
        ("ivy", "legacy"): less,
    }
    assert [said["ada", mode] for mode in ("2026-07-28", "legacy")] == ["closed", "closed"]
    assert all("Unknown tool: close_books" in said["ivy", mode] for mode in ("2026-07-28", "legacy"))

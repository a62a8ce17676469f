"""The demo's story: an agent calls a tool that needs an account, a person connects it, and from then on it works.

Every line that a player says was really said: over MCP, over HTTP, through the pages. A step that ends otherwise than
told ends the play with a sentence. Below: a stage that `gateway.cli.demo` has set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, Tool

from gateway.cli.narrator import Narrator
from gateway.testing.browser import Browser, LostError

if TYPE_CHECKING:
    from gateway.cli.demo import World

PATIENCE = 60  # seconds for the whole play
_NEW_PEOPLE = ["rosalind.franklin@kings.example", "emmy.noether@goettingen.example"]
_NEW_COMPANY = {"name": "Analytical Engines", "domain": "engines.example"}
_LONGEST = 240  # characters of a page that are shown
_BRIEF = 120  # characters of an answer that are shown
_RANDOM = re.compile(r"[\w-]{20,}")


class PlayError(Exception):
    """A step did not end as the story tells."""


async def play(world: World, narrator: Narrator) -> str | None:
    """The story. None when everything went as told, else a sentence."""
    return await perform(world.mcp_url, narrator, lambda agent: Play(world, agent, narrator).run())


async def perform(mcp_url: str, narrator: Narrator, story: Callable[[Agent], Awaitable[None]]) -> str | None:
    """Tell a story with an agent that speaks MCP. None when everything went as told, else a sentence."""
    failure = None
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http,
        Client(streamable_http_client(mcp_url, http_client=http)) as client,
    ):
        # What goes wrong is carried out as a value: the client's task groups would wrap an exception.
        try:
            with anyio.fail_after(PATIENCE):
                await story(Agent(client, narrator))
        except TimeoutError:
            failure = f"The demo did not finish within {PATIENCE} seconds."
        except (PlayError, LostError, MCPError, httpx2.HTTPError) as error:
            failure = f"The demo stopped: {error}"
    return failure


@dataclass(slots=True)
class Agent:
    """The agent, who says what it does. `heard` is everything that it was answered."""

    client: Client
    narrator: Narrator
    heard: list[str] = field(default_factory=list)

    async def tools(self) -> list[Tool]:
        """Which tools there are."""
        self.narrator.says("agent", "tools/list")
        listed = await self.client.list_tools()
        self.heard.append(listed.model_dump_json())
        return listed.tools

    async def ask(self, name: str) -> str:
        """What a tool answers, in one line, good or bad."""
        return _text(await self._call(name, None))

    async def succeed(self, name: str, arguments: dict[str, Any] | None = None, *, brief: bool = False) -> None:
        """Call a tool and show what it answers; PlayError when that is an error. `brief`: its beginning only."""
        result = await self._call(name, arguments)
        answer = _text(result)
        if result.is_error or '"status":"error"' in answer.replace(" ", ""):
            raise PlayError(f"{name} answered: {answer}")
        for line in [_shortened(answer)] if brief else _lines(answer):
            self.narrator.says("gateway", line)

    async def _call(self, name: str, arguments: dict[str, Any] | None) -> CallToolResult:
        shown = ", ".join(f"{key}={value!r}" for key, value in (arguments or {}).items())
        self.narrator.says("agent", f"tools/call {name}({shown})")
        result = await self.client.call_tool(name, arguments or {}, progress_callback=self._progress)
        self.heard.append(result.model_dump_json())
        return result

    async def _progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.narrator.aside(f"progress {progress:g} of {total or 0:g}: {message}")


@dataclass(slots=True)
class Play:
    """One performance."""

    world: World
    agent: Agent
    narrator: Narrator

    async def run(self) -> None:
        self._introduce()
        await self._ask_for_tools()
        link = await self._call_without_account()
        await self._connect(link)
        await self._call_again()
        await self._let_time_pass()
        self._add_up()

    def _introduce(self) -> None:
        self.narrator.title(
            "atp-gateway demo",
            "An agent that wants to use a CRM, a person who has an account there, and the gateway between them. "
            "All of it runs on this machine.",
        )
        self.narrator.gap()
        self.narrator.says("CRM", f"an OAuth server and an API at {self.world.crm_url}")
        self.narrator.says("gateway", f"MCP at {self.world.mcp_url}, with a toolkit of plain Python functions")

    async def _ask_for_tools(self) -> None:
        self.narrator.step("The agent asks which tools there are")
        tools = await self.agent.tools()
        if not tools:
            raise PlayError("The gateway lists no tools.")
        for tool in tools:
            taken = ", ".join(tool.input_schema.get("properties", {}))
            self.narrator.says("gateway", f"{tool.name}({taken}): {tool.description}")
        self.narrator.good("No tool takes a token. As far as the model can see, there are none.")

    async def _call_without_account(self) -> str:
        self.narrator.step("It calls one that needs the person's account")
        answer = await self.agent.ask("list_contacts")
        link = re.search(rf"{re.escape(self.world.gateway.base_url)}/connect/[\w-]+", answer)
        if link is None:
            raise PlayError(f"Instead of a link to connect the account, the agent got: {answer}")
        self.narrator.says("gateway", f"the account has to be connected first, here: {link[0]}")
        self.narrator.good("The host shows the person this link. It leads to the gateway's own page.")
        return link[0]

    async def _connect(self, link: str) -> None:
        self.narrator.step("The person follows the link and consents")
        self.narrator.says("person", "presses Connect, signs in at the CRM as alice, and approves")
        async with Browser() as browser:
            page = await browser.consent(link, "alice")
        for request in browser.trail:
            self.narrator.aside(masked(request))
        if self.world.crm.server.count("code") != 1 or page.status != httpx2.codes.OK:
            raise PlayError(f"The consent ended on {page.title!r}, which says: {page.text[:_LONGEST]}")
        self.narrator.says("CRM", "sends the browser back with a code; the gateway swaps it for tokens and seals them")
        self.narrator.good(f"The browser shows: {page.title}")

    async def _call_again(self) -> None:
        self.narrator.step("From now on, calls simply work")
        await self.agent.succeed("list_contacts")
        await self.agent.succeed("who_am_i")
        self.narrator.good("Alice's own account: the gateway put her token into each call, and nowhere else.")
        await self.agent.succeed("import_contacts", {"emails": _NEW_PEOPLE})

    async def _let_time_pass(self) -> None:
        self.narrator.step("An hour later, Alice's token has expired")
        self.world.clock.advance(timedelta(hours=1))
        await self.agent.succeed("create_company", _NEW_COMPANY)
        self.world.clock.return_to_now()
        if self.world.crm.server.count("refresh") != 1:
            raise PlayError("The call worked, but the CRM was not asked for a new token exactly once.")
        self.narrator.good("The gateway fetched a new token before it called. Nobody was asked anything.")

    def _add_up(self) -> None:
        server, calls = self.world.crm.server, self.world.crm.calls["alice"]
        asked = [
            count(server.count("consent"), "consent"),
            count(server.count("refresh"), "refresh", "refreshes"),
            count(calls, "API call"),
        ]
        self.narrator.step("What each of them saw")
        self.narrator.says("CRM", f"{', '.join(asked)}: all of them Alice's")
        if any(server.grants.leaks_into(answer) for answer in self.agent.heard):
            raise PlayError("A token reached the agent. That must never happen: please report it (SECURITY.md).")
        answers = count(len(self.agent.heard), "answer")
        self.narrator.says("agent", f"{answers}, every one of them searched: not one code or token")


def _text(result: CallToolResult) -> str:
    return " ".join(" ".join(part.text for part in result.content if part.type == "text").split())


def _lines(answer: str) -> list[str]:
    """A JSON answer for the eye: a line for each object, without the punctuation."""
    found = json.loads(answer)
    rows = found if isinstance(found, list) else [found]
    return ["  ".join(f"{key}: {value}" for key, value in row.items()) for row in rows]


def _shortened(answer: str) -> str:
    return answer if len(answer) <= _BRIEF else f"{answer[:_BRIEF]} …"


def masked(request: str) -> str:
    """A request's line without the random parts of its address."""
    return _RANDOM.sub("…", request)


def count(number: int, one: str, many: str = "") -> str:
    """`1 call`, `2 calls`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"

"""The story of `atp-gateway demo --provider NAME`: a connection's whole life, at one vendor's twin.

Every line that a player says was really said, and what the vendor saw is its twin's own log. A step that ends otherwise
than told ends the play with a sentence. Below: a stage that `gateway.cli.demo_twin` has set, `demo_play`'s agent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx2

from gateway.cli.demo_play import Agent, PlayError, count, masked, perform
from gateway.cli.narrator import Narrator
from gateway.testing.browser import Browser

if TYPE_CHECKING:
    from gateway.cli.demo_twin import TwinWorld

_LONGEST = 240  # characters of a page that are shown


@dataclass(frozen=True, slots=True)
class Act:
    """What the agent calls at a vendor, after how long its token is dead there, and what is special about it."""

    tool: str
    life: timedelta
    special: str


ACTS = {
    "hubspot": Act(
        "get_contacts",
        timedelta(minutes=31),
        "Its scopes come as an array, its errors often without `error`, and only refresh tokens can be revoked.",
    ),
    "google": Act(
        "list_messages",
        timedelta(hours=1),
        "People may untick scopes, email comes back under another name, and a refresh brings no refresh token.",
    ),
    "salesforce": Act(
        "list_contacts",
        timedelta(hours=3),
        "Its answers name no lifetime, each organisation has a host of its own, and API errors are arrays.",
    ),
    "microsoft": Act(
        "list_messages",
        timedelta(hours=1),
        "Each refresh brings a new refresh token, errors carry AADSTS numbers, and there is no way to revoke.",
    ),
}


async def play_life(world: TwinWorld, narrator: Narrator) -> str | None:
    """The story. None when everything went as told, else a sentence."""
    return await perform(world.mcp_url, narrator, lambda agent: Life(world, agent, narrator).run())


@dataclass(slots=True)
class Life:
    """One performance."""

    world: TwinWorld
    agent: Agent
    narrator: Narrator

    @property
    def name(self) -> str:
        return self.world.twin.vendor.manners.name

    @property
    def act(self) -> Act:
        return ACTS[self.world.twin.id]

    async def run(self) -> None:
        self._introduce()
        await self._connect("It has no account to work with yet")
        await self._succeed()
        await self._expire()
        await self._lose_early()
        await self._remove()
        await self._disconnect()
        self._add_up()

    def _introduce(self) -> None:
        self.narrator.title(
            f"atp-gateway demo: {self.name}",
            f"The whole life of a connection, at a twin of {self.name} on this machine. The gateway knows it by the "
            "catalogue entry that it ships for the real one.",
        )
        self.narrator.gap()
        self.narrator.says("vendor", f"{self.name}'s twin, OAuth and API, at {self.world.twin.url}")
        self.narrator.says("gateway", f"MCP at {self.world.mcp_url}")
        self.narrator.says("vendor", self.act.special)

    async def _connect(self, title: str) -> None:
        self.narrator.step(title)
        link = await self._ask_for_link()
        self.narrator.says("person", "presses Connect, signs in as alice, and approves")
        async with Browser() as browser:
            page = await browser.consent(link, "alice")
        for request in browser.trail:
            self.narrator.aside(masked(request))
        if page.status != httpx2.codes.OK or self.world.twin.log.count("code") == 0:
            raise PlayError(f"The consent ended on {page.title!r}, which says: {page.text[:_LONGEST]}")
        self.narrator.good(f"The browser shows: {page.title}")

    async def _ask_for_link(self) -> str:
        answer = await self.agent.ask(self.act.tool)
        link = re.search(rf"{re.escape(self.world.gateway.base_url)}/connect/[\w-]+", answer)
        if link is None:
            raise PlayError(f"Instead of a link to connect the account, the agent got: {answer}")
        self.narrator.says("gateway", f"the account has to be connected first, here: {link[0]}")
        return link[0]

    async def _succeed(self) -> None:
        await self.agent.succeed(self.act.tool, brief=True)

    async def _expire(self) -> None:
        self.narrator.step(f"{self._said(self.act.life)} later, the token has expired")
        self.world.clock.advance(self.act.life)
        await self._succeed_with_refresh()
        self.narrator.good("The gateway renewed it before it called. Nobody was asked anything.")

    async def _lose_early(self) -> None:
        self.narrator.step(f"{self.name} ends the token before its time")
        self.world.clock.advance(timedelta(minutes=15))
        self.world.twin.server.grants.revoke_access("alice")
        self.narrator.says("vendor", "that token is dead; nobody told the gateway")
        await self._succeed_with_refresh()
        self.narrator.good(
            "The API said no, the gateway renewed the token and called once more: the agent saw neither."
        )

    async def _remove(self) -> None:
        self.world.twin.server.grants.revoke_all("alice")
        self.world.clock.advance(self.act.life)
        await self._connect(f"Alice removes the app at {self.name}, and wants it back")
        await self._succeed()

    async def _disconnect(self) -> None:
        self.narrator.step("Alice disconnects")
        connections = (await self.world.gateway.accounts.open()).connections
        for connection in await connections.list(self.world.gateway.principal):
            await connections.disconnect(self.world.gateway.principal, connection.id)
        revoked = self.world.twin.log.count("revoke")
        told = (
            "was told, and ended the grant" if revoked else "has no way to be told: the app's page says where to look"
        )
        self.narrator.says("vendor", told)
        await self._ask_for_link()
        self.narrator.good("The tokens are gone from the vault; the next call asks anew.")
        self.world.clock.return_to_now()

    async def _succeed_with_refresh(self) -> None:
        before = self.world.twin.log.count("refresh")
        await self._succeed()
        if self.world.twin.log.count("refresh") != before + 1:
            raise PlayError(f"The call worked, but {self.name} was not asked for a new token exactly once.")

    def _add_up(self) -> None:
        log = self.world.twin.log
        self.narrator.step(f"What {self.name} saw")
        seen = [count(log.count(what), one, many) for what, one, many in _COUNTED]
        self.narrator.says("vendor", f"{', '.join(seen)}: all of them Alice's")
        if log.replays(self.world.twin.server.behaviour.reuse_window) or log.after_revoke() or log.most_at_once() > 1:
            raise PlayError("The log shows a token that was used when it no longer should have been.")
        self.narrator.says("vendor", "no refresh token twice after its end, none at once, none after it was revoked")
        if any(self.world.twin.server.grants.leaks_into(answer) for answer in self.agent.heard):
            raise PlayError("A token reached the agent. That must never happen: please report it (SECURITY.md).")
        answers = count(len(self.agent.heard), "answer")
        self.narrator.says("agent", f"{answers}, every one of them searched: not one code or token")

    def _said(self, life: timedelta) -> str:
        hours, minutes = divmod(int(life.total_seconds()) // 60, 60)
        return count(hours, "hour") if hours else count(minutes, "minute")


_COUNTED = (
    ("consent", "consent", "consents"),
    ("refresh", "refresh", "refreshes"),
    ("revoke", "revocation", "revocations"),
    ("api", "API call", "API calls"),
)

"""`atp-gateway toolkits`: what an administrator sees of toolkits from afar, and decides."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio.to_thread
import pytest
from click.testing import CliRunner, Result

from gateway.errors import UnknownToolError
from gateway.remote.pinning import served
from gateway.store.store import Store
from gateway.types import Principal
from tests.remote.remote_world import World

Toolkits = Callable[..., Awaitable[Result]]


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """The toolkit crm, whose tool `find` wants another description and whose tool `third` is new."""
    store = await Store.open(sqlite_url)
    world = World(store, review=True)
    await world.settled({"find": {}, "list": {}, "old": {}})
    await world.settled({"find": {"description": "Says \x1b[31mred\u202e."}, "list": {}, "third": {}})
    await world.close()
    yield store
    await store.close()


@pytest.fixture
def toolkits(sqlite_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Toolkits:
    from gateway.cli.toolkits import command

    async def run(*arguments: str, typed: str = "") -> Result:
        for name in [name for name in os.environ if name.startswith("ATP_GATEWAY_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("ATP_GATEWAY_DATABASE_URL", sqlite_url)
        return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(command, arguments, input=typed))

    return run


async def described(store: Store) -> dict[str, str]:
    tools = await store.remote.list_all()
    return {tool.name: found.description for tool in tools if (found := served(tool))}


async def test_every_tool_is_listed_with_where_it_stands(toolkits: Toolkits):
    found = json.loads((await toolkits("list", "--json")).stdout)
    assert {each["tool"]: (each["standing"], each["changes"]) for each in found} == {
        "find": ("waits", ["description"]),
        "list": ("live", []),
        "old": ("removed", []),
        "third": ("hidden", ["new"]),
    }
    shown = " ".join((await toolkits("list")).stdout.split())
    assert "crm find default waits for review; the former definition is served description" in shown


async def test_what_waits_is_shown_against_what_is_pinned_and_cannot_play_tricks(toolkits: Toolkits):
    shown = (await toolkits("review", "crm", "find")).stdout
    assert '-  "description": "Finds things.",' in shown
    assert r'+  "description": "Says \u001b[31mred\u202e.",' in shown
    (compared,) = json.loads((await toolkits("review", "crm", "find", "--json")).stdout)
    assert compared["pinned"]["description"] == "Finds things."
    assert compared["proposed"]["description"].startswith("Says")


async def test_approving_takes_effect_and_goes_on_record(toolkits: Toolkits, store: Store):
    asked = await toolkits("approve", "crm", "find", typed="y\n")
    assert asked.exit_code == 0, asked.output
    assert "✓ find: approved." in asked.output
    assert (await described(store))["find"].startswith("Says")
    everything = json.loads((await toolkits("approve", "crm", "--json")).stdout)
    assert everything == [{"tool": "third", "approved": True}]
    assert "third" in await described(store)

    me = await recorded(store)
    assert [(event.action, event.tool) for event in me] == [("tool.approved", "third"), ("tool.approved", "find")]


async def recorded(store: Store):
    from gateway.access.authenticator import local_principal

    return await store.audit.list_latest(local_principal())


async def test_rejecting_leaves_what_was_pinned(toolkits: Toolkits, store: Store):
    await toolkits("reject", "crm", "--yes")

    assert (await described(store))["find"] == "Finds things."
    assert "third" not in await described(store)
    assert (await toolkits("list", "--json")).stdout.count('"rejected"') == 2


async def test_nothing_is_decided_without_a_yes(toolkits: Toolkits, store: Store):
    asked = await toolkits("approve", "crm", typed="n\n")

    assert asked.exit_code == 1
    assert (await described(store))["find"] == "Finds things."


async def test_what_has_changed_since_it_was_shown_is_not_approved(toolkits: Toolkits, store: Store):
    from gateway.audit import AuditLog
    from gateway.clock import SystemClock
    from gateway.remote.review import Review

    async def write(batch):
        return None

    review = Review(store.remote, AuditLog(write, SystemClock()), SystemClock())
    (shown,) = await review.waiting("default", "crm", "find")
    world = World(store, review=True)
    await world.register("find", description="Something worse.")

    assert not await review.approve(shown, by=Principal("local", "me"))
    assert (await described(store))["find"] == "Finds things."
    await world.close()


async def test_a_toolkit_of_which_nothing_waits_is_said_so(toolkits: Toolkits):
    for arguments in (("review", "nope"), ("approve", "crm", "list", "--yes"), ("reject", "crm", "--tenant", "acme")):
        error = (await toolkits(*arguments)).exception
        assert isinstance(error, UnknownToolError)
        assert "See: atp-gateway toolkits list" in str(error)

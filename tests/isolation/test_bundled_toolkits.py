"""Every toolkit that we ship, in a worker process, against its vendor's twin."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from gateway.errors import ToolError
from gateway.isolation.process import Terms
from gateway.isolation.processes import Processes
from gateway.testing.twins.twin import make_twin
from gateway.toolkit.context import Context, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.types import Credential

TOOLKITS = Path(__file__).parents[2] / "toolkits"
VENDORS = {
    "hubspot": ("get_contacts", "crm.objects.contacts.read"),
    "google": ("list_events", "https://www.googleapis.com/auth/calendar.events"),
    "salesforce": ("list_contacts", "api"),
    "microsoft": ("who_am_i", "User.Read"),
}


@pytest.fixture(scope="module")
async def bundled():
    """By toolkit: its twin and that one's address, and its tools."""
    async with AsyncExitStack() as stack:
        twins = {name: make_twin(name) for name in VENDORS}
        urls = {name: await stack.enter_async_context(twin.served()) for name, twin in twins.items()}
        addresses = {f"{name.upper()}_API_URL": url for name, url in urls.items()}
        nowhere = {"DEMO_CRM_URL": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
        processes = Processes(Terms({"PATH": os.environ["PATH"], **addresses, **nowhere}, 1 << 30), workers=1)
        processes.open()
        stack.push_async_callback(processes.close)
        registries = {name: Registry() for name in (*VENDORS, "demo")}
        reports = await asyncio.gather(
            *(
                asyncio.to_thread(Loader(registry, isolation=processes).load, str(TOOLKITS / name))
                for name, registry in registries.items()
            )
        )
        assert [report.errors for report in reports] == [()] * len(reports)
        yield twins, urls, registries


async def run(registry, tool, credential):
    context = Context(NullChannel(), asyncio.get_running_loop())
    with anyio.fail_after(10):
        return await registry.find(tool).run({}, credential, context)


def test_none_is_left_out():
    assert {path.parent.name for path in TOOLKITS.glob("*/toolkit.py")} == {*VENDORS, "demo"}


@pytest.mark.parametrize("name", VENDORS)
async def test_a_vendors_toolkit_calls_its_api_with_the_persons_token(bundled, name):
    twins, urls, registries = bundled
    tool, scope = VENDORS[name]
    token = twins[name].server.issue("alice", [scope]).access_token

    assert await run(registries[name], tool, Credential(name, token, extras={"instance_url": urls[name]}))


async def test_the_demos_toolkit_tells_the_model_what_is_wrong_in_its_own_words(bundled):
    with pytest.raises(ToolError, match="The demo CRM does not answer"):
        await run(bundled[2]["demo"], "list_contacts", Credential("demo-crm", "nothing"))

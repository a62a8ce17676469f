"""The published SDK in all its ways, each process started as its author starts it, at a gateway as its operator has it.

Toolkits over a WebSocket and polling, apps over a WebSocket and HTTP, all methods of both classes, and an MCP host that
has the same tools. Then everything that was logged and refused meanwhile is searched for the keys.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.testing.browser import Browser
from gateway.testing.clocks import RunningClock
from gateway.testing.twins.twin import Twin, make_twin
from tests.canary import marks
from tests.interop.atp_programs import Operated, Program, operated, until
from tests.interop.programs import ROOT, gateway_settings
from tests.warm import atp_gateway

PUBLISHED = Path(__file__).parent / "published"
BACK, HOOK = "https://notes.example/connected", "https://hooks.notes.example/atp"
SCOPES = ("crm.objects.contacts.read", "crm.objects.companies.write")
CONFIRMATION = {
    "auth_mode", "auth_url", "authorization_url", "confirmation_url", "developer_app_name", "expires_at", "powered_by",
    "provider_logo", "provider_name", "scopes",
}  # fmt: skip
OUTPUTS = {
    "openai": lambda message: message["output"],
    "anthropic": lambda message: message["content"][0]["content"],
    "mistralai": lambda message: message["content"],
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def twin() -> AsyncIterator[Twin]:
    """HubSpot's stand-in, on the machine's time."""
    hubspot = make_twin("hubspot", RunningClock())
    async with hubspot.served():
        yield hubspot


@pytest.fixture(scope="module")
async def gateway(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """With a key for each toolkit, and one for the app, which may do everything."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "providers").mkdir()
    twin.write_provider(folder / "providers")
    settings = {
        name: value for name, value in gateway_settings(folder, "").items() if "PROVIDERS__ACME" not in name
    } | {"ATP_GATEWAY_CATALOGUE_FOLDER": str(folder / "providers"), **twin.environment(*SCOPES)}
    async with operated(folder, settings) as served:
        await asyncio.gather(
            served.new_key("toolkit", "direct", "--provider", "hubspot"),
            served.new_key("toolkit", "polled", "--provider", "hubspot"),
            served.new_key("app", "Notes", "--may", "call,connect,tokens", "--return-url", BACK),
        )
        yield served


@asynccontextmanager
async def toolkit(gateway: Operated, twin: Twin, name: str, protocol: str) -> AsyncIterator[Program]:
    environment = {"ATP_TOOLKIT_KEY": gateway.keys[name], "PROTOCOL": protocol, "HUBSPOT_URL": twin.url}
    async with gateway.python(PUBLISHED / "toolkit.py", **environment) as running:
        yield running


@asynccontextmanager
async def app(gateway: Operated, protocol: str) -> AsyncIterator[Program]:
    arguments = (protocol, HOOK, BACK)
    async with gateway.python(PUBLISHED / "app.py", *arguments, ATP_APP_KEY=gateway.keys["Notes"]) as running:
        yield running


async def heard(program: Program, steps: int) -> dict[str, Any]:
    """What an app said until it has come to its next step for so many times, or to its end."""

    def come_to() -> bool:
        return program.process.returncode is not None or program.printed.count('{"next": true}') >= steps

    await until(come_to)
    assert program.process.returncode in (None, 0), program.said()[-3000:]
    said: dict[str, Any] = {}
    for line in map(json.loads, program.printed):
        said |= {line.pop("provider"): line} if "provider" in line else line
    return said


async def test_published_toolkits_and_apps_work_in_all_four_ways_and_with_an_mcp_host(
    gateway: Operated, twin: Twin
) -> None:
    async with AsyncExitStack() as stack:
        direct = await stack.enter_async_context(toolkit(gateway, twin, "direct", "ws"))
        apps = [await stack.enter_async_context(app(gateway, protocol)) for protocol in ("http", "ws")]
        await gateway.until_listed("add_ws", "contacts_ws")
        await apps[0].until_said('"open"')
        said = [await heard(apps[0], 0)]
        async with Browser() as browser:
            ended = await browser.consent(said[0]["open"], "alice", stop_at=BACK)
        assert ended.url.startswith(f"{BACK}?status=connected"), (browser.trail, ended.text)
        for step in (1, 2):
            said = await asyncio.gather(*(heard(each, step) for each in apps))
            for each in apps:
                if step == 1:
                    each.say()
        by_host = await gateway.call("add_ws", a=2, b=3)

        # A published toolkit sleeps for 30 s after each poll: so there is one process for each call.
        polled = [await stack.enter_async_context(toolkit(gateway, twin, "polled", "http")) for _ in range(3)]
        await gateway.until_listed("add_http", "contacts_http")
        for each in polled:
            await each.until_said("Polling inbox")
        twin.server.grants.revoke_access("alice")  # HubSpot now answers 401, which the toolkit returns as its result
        for each in apps:
            each.say()
        polled_by_host = await gateway.call("add_http", a=2, b=3)
        assert [await each.until_ended() for each in apps] == [0, 0], [each.said()[-2000:] for each in apps]
        over_http, over_socket = [await heard(each, 3) for each in apps]

    assert by_host.structured_content == polled_by_host.structured_content == {"sum": 5}
    assert over_http["polled"] == over_socket["polled"] == {"sum": 5}
    assert twin.server.count("refresh") == 1
    _assert_called(over_http)
    _assert_called(over_socket)
    assert set(over_http["begun"]) == CONFIRMATION
    assert (over_http["account"], over_http["tokens"]) == (["completed", "user@example.com"], [True])
    assert over_http["webhooks"] == [1, 0]
    assert "direct" in over_http["store"]
    assert over_http["store"] == over_http["mine"]
    assert sorted(over_http["details"]) == ["add_ws", "contacts_ws"]
    assert over_http["developer"] == "default"
    assert over_http["streamed"] == [2, {"sum": 5}]
    assert "Execution of 'add_ws' reported successfully" in direct.said()


def _assert_called(said: dict[str, Any]) -> None:
    """Each sort of model was shown the tools and got its results, in the order in which it asked."""
    for provider, output in OUTPUTS.items():
        assert said[provider]["tools"] == 2
        for way in ("together", "one_by_one"):
            assert [json.loads(output(each)) for each in said[provider][way]] == [{"sum": n} for n in (1, 2, 3)]
    assert said["contacts"] == 3


OURS = """
import logging, os
from gateway import ToolKitClient

logging.basicConfig(level=logging.DEBUG)
client = ToolKitClient(api_key=os.environ["ATP_TOOLKIT_KEY"], app_name="ours", base_url=os.environ["ATP_URL"])

@client.tool
def shout(word: str) -> str:
    "Says it louder."
    return word.upper()

client.start()
"""
BAD = [
    ("GET", "/api/v1/toolkit/KEY/inbox/"),
    ("GET", "/api/v1/toolkit/KEY/nothing"),
    ("DELETE", "/api/v1/toolkit/KEY/inbox"),
    ("POST", "/api/v1/toolkit/KEYx/inbox/respond"),
    ("POST", "/api/v1/toolkit/verify_hash"),
    ("POST", "/api/v1/register_tool"),
    ("GET", "/ws/v1/atp/toolkit-client/KEY/"),
    ("GET", "/ws/v1/atp/llm-client/KEY"),
    ("GET", "/ws/v1/atp/llm-client/KEY/nothing/"),
    ("POST", "/api/v1/atp/llm-client/process/"),
    ("GET", "/api/v1/atp/llm-client/nothing/KEY/?key=KEY"),
    ("GET", "/api/v1/atp/llm-client/oauth/tokens/hubspot/KEY/"),
    ("POST", "/mcp?key=KEY"),
    ("GET", "/connect/KEY"),
    ("GET", "/KEY"),
]


async def test_no_key_stands_in_anything_that_is_logged_or_answered(gateway: Operated, tmp_path: Path) -> None:
    """The gateway logs at DEBUG, and each request; our own worker logs at DEBUG. The protocol has keys in paths."""
    said = []
    (tmp_path / "worker.py").write_text(OURS)
    key = await gateway.new_key("toolkit", "ours")
    async with gateway.python(tmp_path / "worker.py", ATP_TOOLKIT_KEY=key, PYTHONPATH=str(ROOT)) as worker:
        await gateway.until_listed("shout")
        assert (await gateway.call("shout", word="hey")).content[0].text == "HEY"
    async with httpx2.AsyncClient(base_url=gateway.base_url, trust_env=False, timeout=30) as http:
        for text in gateway.keys.values():
            for method, path in BAD:
                answer = await _ask_badly(http, method, path, text)
                assert answer.status_code >= 400, (method, path)
                said.append(f"{method} {path} {answer.headers} {answer.text}")
    said.append(await gateway.run(atp_gateway("keys", "list", "--json")))
    said.append(await gateway.run(atp_gateway("keys", "revoke", key)))
    logged = gateway.log.read_bytes()

    assert '"route": "/api/v1/toolkit/*"' in logged.decode()
    assert "DEBUG" in worker.said()
    for text in gateway.keys.values():
        unshown = marks(text[-37:])  # the first six characters after the kind are its name
        assert not any(mark in logged for mark in unshown)
        assert not any(mark in worker.said().encode() for mark in unshown)
        assert [each for each in said if any(mark in each.encode() for mark in unshown)] == []


async def _ask_badly(http: httpx2.AsyncClient, method: str, path: str, key: str) -> httpx2.Response:
    headers = {} if "KEY" in path else {"Authorization": f"ApiKey {key}"}
    body = {"api_key": key, "type": key, "toolkit_id": key, "metadata": key} if method == "POST" else None
    return await http.request(method, path.replace("KEY", key), headers=headers, json=body)

"""The ATP guide's examples as they stand there, but for keys and `base_url`, with the published SDK.

Each is a program of its own at `atp-gateway serve`. The examples name https://api.hubapi.com; a twin of HubSpot stands
there. Source: the ATP SDK's guide to OAuth2, "Complete Example" and the snippets around it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from atp_sdk.clients import LLMClient as Published

from gateway.testing.browser import Browser
from gateway.testing.clocks import RunningClock
from gateway.testing.twins.twin import make_twin
from tests.interop.atp_programs import Operated, Program, operated
from tests.interop.programs import gateway_settings
from tests.interop.vendor_proxy import standing_in

GUIDE = Path(__file__).parents[1] / "toolkit" / "guide"
BACK = "https://your-app.com/oauth/callback"
SERVICE_KEY = "a-key-of-my-service"
COMPANY = {"name": "Analytical Engines", "domain": "analytical.example", "industry": "COMPUTER_HARDWARE"}


@dataclass
class Place:
    gateway: Operated
    network: dict[str, str]

    @asynccontextmanager
    async def example(self, file: str, toolkit_key: str, app_key: str) -> AsyncIterator[Program]:
        """`python FILE`, with nothing but keys and `base_url` put in."""
        code = (GUIDE / file).read_text()
        for words in ("YOUR_ATP_TOOLKIT_API_KEY", "YOUR_ATP_LLM_CLIENT_API_KEY", ""):
            key = app_key if "LLM" in words else toolkit_key
            code = code.replace(f'api_key="{words}"', f'api_key="{key}", base_url="{self.gateway.base_url}"')
        script = self.gateway.folder / file
        script.write_text(code)
        async with self.gateway.python(script, PYTHONUNBUFFERED="1", **self.network) as running:
            yield running

    async def call(self, app_key: str, toolkit: str, tool: str, **arguments: Any) -> Any:
        """As a model of OpenAI's has it called, by the published app client."""
        client = Published(api_key=app_key, base_url=self.gateway.base_url)
        asked = {"type": "function_call", "call_id": "c1", "name": tool, "arguments": json.dumps(arguments)}
        (answer,) = await asyncio.to_thread(client.call_tool, toolkit, [asked])
        return json.loads(answer["output"])


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "providers").mkdir()
    twin = make_twin("hubspot", RunningClock())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(twin.served())
        twin.write_provider(tmp_path / "providers")
        settings = {name: value for name, value in gateway_settings(tmp_path, "").items() if "ACME" not in name}
        settings |= {"ATP_GATEWAY_CATALOGUE_FOLDER": str(tmp_path / "providers"), **twin.environment()}
        network = await stack.enter_async_context(standing_in("api.hubapi.com", url, tmp_path))
        yield Place(await stack.enter_async_context(operated(tmp_path, settings)), network)


async def _consent(program: Program) -> None:
    url = (await program.until_said("Authorize at: ")).removeprefix("Authorize at: ")
    async with Browser() as browser:
        ended = await browser.consent(url, user="alice", stop_at=BACK)
    assert ended.url.startswith(f"{BACK}?status=connected")
    integration = await program.until_said("Integration ID: ")
    assert len(integration.removeprefix("Integration ID: ")) > 10


async def test_the_complete_example_and_each_snippet_run_as_they_stand(place: Place) -> None:
    gateway = place.gateway
    hubspot, contacts, service, app, reader = await asyncio.gather(
        gateway.new_key("toolkit", "hubspot_toolkit", "--provider", "hubspot"),
        gateway.new_key("toolkit", "my_toolkit", "--provider", "hubspot"),
        gateway.new_key("toolkit", "my_service_toolkit", "--provider", "my_service"),
        gateway.new_key("app", "Complete", "--return-url", BACK),
        gateway.new_key("app", "Snippets", "--return-url", BACK, "--may", "call,connect,tokens"),
    )
    async with AsyncExitStack() as stack:
        complete = await stack.enter_async_context(place.example("complete_example.py", hubspot, app))
        connecting = await stack.enter_async_context(place.example("connect.py", "", reader))
        await _consent(connecting)
        await _consent(complete)
        access = await connecting.until_said("Access token: ")
        refresh = await connecting.until_said("Refresh token: ")
        assert await connecting.until_ended() == 0

        for file, key in (("get_contacts.py", contacts), ("api_key.py", service)):
            await stack.enter_async_context(place.example(file, key, ""))
        await gateway.until_listed("create_company", "get_contacts", "get_data")
        await _type_a_key_of_my_service(place, reader)
        created, found, data = await asyncio.gather(
            place.call(app, "hubspot_toolkit", "create_company", **COMPANY),
            place.call(reader, "my_toolkit", "get_contacts"),
            place.call(reader, "my_service_toolkit", "get_data"),
        )

    assert {name: created["properties"][name] for name in COMPANY} == COMPANY
    assert [each["properties"]["firstname"] for each in found["results"]] == ["Ada", "Grace", "Katherine"]
    assert data == {"key_length": len(SERVICE_KEY)}
    assert "None" not in access + refresh


async def _type_a_key_of_my_service(place: Place, app_key: str) -> None:
    """The app's user types an API key into the gateway's own page."""
    client = Published(api_key=app_key, base_url=place.gateway.base_url)
    begun = await asyncio.to_thread(client.initiate_oauth_connection, "my_service", "user@example.com")
    async with Browser(httpx2.AsyncClient(trust_env=False, timeout=30)) as browser:
        await browser.consent(begun["authorization_url"], values={"api_key": SERVICE_KEY})
    await asyncio.to_thread(client.wait_for_connection, "my_service", "user@example.com", timeout=10)

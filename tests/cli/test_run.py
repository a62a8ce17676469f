"""`atp-gateway run`: whole scripts in real processes, with a person at a browser and a real MCP host."""

from __future__ import annotations

import base64
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from textwrap import dedent

import anyio
import pytest
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream
from mcp import Client

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from tests.warm import atp_gateway

ROOT = Path(__file__).parents[2]
DEADLINE = 40

GUIDE = """
from atp_sdk.clients import ToolKitClient, LLMClient
import requests

# Initialize clients
toolkit_client = ToolKitClient(
    api_key="YOUR_ATP_TOOLKIT_API_KEY",
    app_name="hubspot_toolkit"
)
llm_client = LLMClient(api_key="YOUR_ATP_LLM_CLIENT_API_KEY")

# Register a tool with OAuth2
@toolkit_client.register_tool(
    function_name="create_company",
    params=['name', 'domain', 'industry'],
    required_params=['name', 'domain', 'industry'],
    description="Creates a company in HubSpot.",
    auth_provider="hubspot",
    auth_type="OAuth2",
    auth_with="access_token"
)
def create_company(**kwargs):
    access_token = kwargs.get('auth_token')
    url = "https://api.hubapi.com/crm/v3/objects/companies"
    headers = {
        "Authorization": f"Bearer {access_token}",
        "Content-Type": "application/json"
    }
    data = {
        "properties": {
            "name": kwargs.get('name'),
            "domain": kwargs.get('domain'),
            "industry": kwargs.get('industry')
        }
    }
    response = requests.post(url, json=data, headers=headers)
    return response.json()

# Initiate OAuth connection
connection = llm_client.initiate_oauth_connection(
    platform_id="hubspot",
    external_user_id="user@example.com",
    developer_redirect_url="https://your-app.com/oauth/callback"
)
print(f"Authorize at: {connection['authorization_url']}")

# Wait for connection
account = llm_client.wait_for_connection(
    platform_id="hubspot",
    external_user_id="user@example.com"
)
print(f"Integration ID: {account['integration_id']}")

# Start the toolkit
toolkit_client.start()
"""
"""The ATP guide's complete example, as it stands there."""

APP = """
import json
from atp_sdk.clients import LLMClient, ToolKitClient

toolkit = ToolKitClient(api_key="", app_name="")

@toolkit.register_tool("whose", ["greeting"], ["greeting"], "Greets.", "hubspot", "oauth2", "access_token")
def whose(**kwargs):
    return {"said": kwargs["greeting"], "with": kwargs["auth_token"][:4]}

app = LLMClient(api_key="anything", base_url="https://api.chat-atp.com")
print("Authorize at:", app.initiate_oauth_connection("hubspot", "user@example.com")["auth_url"], flush=True)
app.wait_for_connection("hubspot", "user@example.com", poll_interval=0.1)
tokens = app.get_user_tokens("hubspot", "user@example.com")
print("tokens:", bool(tokens["access_token"]), bool(tokens["refresh_token"]))
tools = app.get_toolkit_context("app", "greet", "anthropic")["tools"]
asked = [{"id": "c1", "name": tools[0]["name"], "input": {"greeting": "hello"}}]
answer = json.loads(app.call_tool("app", asked, "anthropic")[0]["content"][0]["content"])
print("answer:", answer["said"], answer["with"] == tokens["access_token"][:4])
"""


class Lines:
    """What a process prints, line by line, waited for."""

    def __init__(self, stream: ByteReceiveStream | None) -> None:
        assert stream is not None
        self._stream = TextReceiveStream(stream)
        self.seen = ""

    async def until(self, words: str) -> str:
        """The first whole line that holds `words`."""
        while not (
            found := [line for line in self.seen.splitlines(keepends=True) if words in line and line[-1] == "\n"]
        ):
            try:
                self.seen += await self._stream.receive()
            except anyio.EndOfStream:
                raise AssertionError(f"{words!r} never came. There was:\n{self.seen}") from None
        return found[0].rstrip("\n")

    async def rest(self) -> str:
        async for text in self._stream:
            self.seen += text
        return self.seen


@pytest.fixture
async def hubspot() -> AsyncIterator[str]:
    """An authorization server that stands in for HubSpot's; gives its issuer."""
    client = RegisteredClient("gateway", None, ("http://127.0.0.1/oauth/callback/hubspot",))
    async with serving(AuthorizationServer(client)) as issuer:
        yield issuer


@pytest.fixture
def environment(tmp_path: Path, hubspot: str) -> Mapping[str, str]:
    """A person's machine on which nothing is set up but HubSpot."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")} | {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path / 'gateway.db'}",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__ISSUER": hubspot,
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID": "gateway",
    }


@asynccontextmanager
async def run(
    script: Path, code: str, environment: Mapping[str, str], *options: str, arguments: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Process, Lines, Lines]]:
    """The script in a process of its own; gives that, its output and its errors."""
    await anyio.Path(script).write_text(dedent(code))
    command = atp_gateway("run", "--port", "0", *options, script, *arguments)
    with anyio.fail_after(DEADLINE):
        async with await anyio.open_process(command, env=environment, stdout=PIPE, stderr=PIPE) as process:
            try:
                yield process, Lines(process.stdout), Lines(process.stderr)
            finally:
                if process.returncode is None:
                    process.kill()


async def test_the_guides_complete_example_runs_as_it_stands(tmp_path: Path, environment: Mapping[str, str]) -> None:
    async with run(tmp_path / "example.py", GUIDE, environment | {"PYTHONUNBUFFERED": "1"}) as (process, out, err):
        url = (await out.until("Authorize at:")).removeprefix("Authorize at: ")
        async with Browser() as browser:
            page = await browser.consent(url, user="alice")
        assert page.status == 200
        assert "your-app.com" not in page.url
        integration = (await out.until("Integration ID:")).removeprefix("Integration ID: ")
        assert len(integration) > 10

        served = (await err.until("/mcp")).split()[-1]
        async with Client(served) as host:
            tools = (await host.list_tools()).tools
        assert [tool.name for tool in tools] == ["create_company"]
        assert sorted(tools[0].input_schema["required"]) == ["domain", "industry", "name"]

        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        assert "Traceback" not in await err.rest()


async def test_a_script_connects_reads_its_tokens_and_has_its_tools_called(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    async with run(tmp_path / "app.py", APP, environment, "--exit") as (process, out, err):
        url = (await out.until("Authorize at:")).removeprefix("Authorize at: ")
        async with Browser() as browser:
            await browser.consent(url, user="alice")

        assert await out.until("tokens:") == "tokens: True True"
        assert await out.until("answer:") == "answer: hello True"
        assert await process.wait() == 0
        told = await err.rest()
        assert f"To connect HubSpot, open {url}" in told
        assert "hubspot is connected." in told


async def test_a_script_without_tools_ends_with_its_own_exit_code(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    code = "import sys\nprint(sys.argv[1:])\nsys.exit(3)"
    async with run(tmp_path / "x.py", code, environment, arguments=("--exit", "a")) as (process, out, _):
        assert await out.until("[") == "['--exit', 'a']"
        assert await process.wait() == 3


async def test_a_script_that_fails_ends_with_1_and_its_own_traceback(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    code = """
        from atp_sdk.clients import LLMClient, ToolKitClient
        client = ToolKitClient(api_key="", app_name="")
        @client.register_tool
        def ready() -> int:
            return 1
        LLMClient(api_key="x").get_toolkit_details("nope")
    """
    async with run(tmp_path / "crm.py", code, environment) as (process, _, err):
        assert await process.wait() == 1
        told = await err.rest()
        assert 'crm.py", line 7, in <module>' in told
        assert "There is no toolkit 'nope' here. There are: crm." in told
        assert f"{ROOT}/gateway" not in told


async def test_ctrl_c_interrupts_a_script_that_waits(tmp_path: Path, environment: Mapping[str, str]) -> None:
    code = """
        from atp_sdk.clients import LLMClient
        app = LLMClient(api_key="x")
        app.initiate_oauth_connection("hubspot", "user@example.com")
        app.wait_for_connection("hubspot", "user@example.com")
    """
    async with run(tmp_path / "x.py", code, environment) as (process, _, err):
        await err.until("Waiting until hubspot is connected")
        process.send_signal(signal.SIGINT)

        assert await process.wait() == 130
        assert "Traceback" not in await err.rest()


async def test_a_provider_that_is_not_set_up_is_named_with_the_setting(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    code = """
        from atp_sdk.clients import LLMClient
        LLMClient(api_key="x").initiate_oauth_connection("salesforce", "user@example.com")
    """
    async with run(tmp_path / "x.py", code, environment) as (process, _, err):
        assert await process.wait() == 1
        assert "ATP_GATEWAY_PROVIDERS__SALESFORCE__CLIENT_ID" in await err.rest()

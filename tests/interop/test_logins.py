"""Programs that people have log in by themselves, and call: nothing is set up for them but the gateway's one URL.

The gateway is an authorization server, and people sign in at a company's, which we did not write. Each program finds
both, registers, and has its person's browser opened, where the person signs in and says yes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastmcp import Client as FastClient
from fastmcp.client.auth import OAuth
from mcp import Client, StdioServerParameters

from gateway.testing.browser import Browser
from gateway.testing.serving import serving
from tests.interop.desk import Desk, desk
from tests.interop.fake_model import FakeModel
from tests.interop.programs import (
    CLAUDE,
    HERE,
    NODE,
    PYTHON_OF_PEERS,
    ROOT,
    Command,
    clean_environment,
    free_port,
    run,
    run_at_a_terminal,
    running_host,
)
from tests.interop.sdk_host import sdk_host
from tests.journeys.team import Team, team

MODULES = ROOT / "tests/node_modules"
INSPECTOR = MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
MCP_REMOTE = MODULES / "mcp-remote/dist/proxy.js"
HOSTS = HERE / "hosts"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Team]:
    async with team(tmp_path_factory.mktemp("team")) as made:
        yield made


@pytest.fixture
async def kim(tmp_path: Path) -> AsyncIterator[Desk]:
    """Where Kim sits, who lets in whatever program asks."""
    async with desk(tmp_path) as made:
        attending = asyncio.create_task(attend(made))
        yield made
        if attending.done():
            await attending  # it failed
        attending.cancel()


async def attend(kim: Desk) -> None:
    while True:
        await let_in(await kim.opened(seconds=120))


async def let_in(url: str, stop_at: str | None = None) -> str:
    """Where it ends that Kim is shown this, signs in, and says yes."""
    async with Browser() as browser:
        return (await browser.consent(url, user="kim", stop_at=stop_at)).url


def environment_of(kim: Desk, **more: str) -> dict[str, str]:
    return clean_environment(kim.browser.parent) | {"BROWSER": str(kim.browser), **more}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_python_sdk(gateway: Team, kim: Desk, mode: str) -> None:
    async with sdk_host(gateway.mcp, kim) as host, host.session(mode) as client:
        assert (await client.call_tool("add", {"a": 2, "b": 3})).content[0].text == "5"


@pytest.mark.parametrize(
    "command",
    [
        [PYTHON_OF_PEERS, HOSTS / "python_sdk_1.py"],
        [NODE, HOSTS / "typescript_sdk_1.mjs"],
        [NODE, HOSTS / "typescript_sdk_2.mjs", "auto"],
    ],
    ids=["python-1", "typescript-1", "typescript-2"],
)
async def test_the_other_sdks(gateway: Team, tmp_path: Path, command: Command) -> None:
    async with running_host([*command, "login", gateway.mcp], clean_environment(tmp_path), tmp_path) as host:
        wants = await host.hear()
        hello = await host.tell(back=await let_in(wants["open"], stop_at="http://localhost:4199"))

        assert {"add", "whoami"} <= set(hello["tools"])
        assert await host.call("add", a=2, b=3) == {"text": "5", "is_error": False}


@pytest.mark.filterwarnings("ignore:Using in-memory token storage")
async def test_fastmcp(gateway: Team, kim: Desk) -> None:
    class InThisTest(OAuth):
        async def redirect_handler(self, authorization_url: str) -> None:
            kim.show(authorization_url)

    async with FastClient(gateway.mcp, auth=InThisTest(callback_port=free_port())) as client:
        assert (await client.call_tool("add", {"a": 2, "b": 3})).data == 5


async def test_mcp_remote_and_two_of_it_that_refresh_with_the_same_token(gateway: Team, kim: Desk) -> None:
    """As desktop hosts start it, over stdio: one each. All begin with what the first of them has kept."""
    folders = [kim.browser.parent / name for name in ("one", "another")]

    async def call(folder: Path) -> str:
        arguments = [str(MCP_REMOTE), gateway.mcp, "--silent", "--protocol", "auto"]
        environment = environment_of(kim, MCP_REMOTE_CONFIG_DIR=str(folder))
        async with Client(StdioServerParameters(command=str(NODE), args=arguments, env=environment)) as client:
            return (await client.call_tool("add", {"a": 2, "b": 3})).content[0].text  # type: ignore[union-attr]

    assert await call(folders[0]) == "5"
    (kept,) = folders[0].rglob("*_tokens.json")
    before = json.loads(kept.read_text())
    kept.write_text(json.dumps({**before, "access_token": "one that has ended"}))
    shutil.copytree(*folders)

    assert await asyncio.gather(*map(call, folders)) == ["5", "5"]

    after = {json.loads(file.read_text())["refresh_token"] for each in folders for file in each.rglob("*_tokens.json")}
    assert len(after) == 1
    assert before["refresh_token"] not in after


async def test_the_inspector_and_the_next_time_without_a_login(gateway: Team, kim: Desk) -> None:
    callback = f"http://127.0.0.1:{free_port()}/oauth/callback"
    command = [NODE, INSPECTOR, "--cli", gateway.mcp, "--transport", "http", "--callback-url", callback]
    add = ["--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=2", "--tool-arg", "b=3"]
    environment = environment_of(kim, MCP_AUTO_OPEN_ENABLED="true", MCP_INSPECTOR_SECRET_STORE="file")

    for more in ([], ["--stored-auth-only", "--protocol-era", "modern"]):
        status, printed = await run([*command, *add, *more], environment)
        assert status == 0, printed
        assert json.loads(printed)["content"][0]["text"] == "5"


async def test_claude_code(gateway: Team, kim: Desk) -> None:
    environment = environment_of(kim, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", ENABLE_TOOL_SEARCH="false")
    command = [CLAUDE, "mcp", "add", "--scope", "user", "--transport", "http", "gw", gateway.mcp]
    assert (await run(command, environment))[0] == 0

    status, said = await run_at_a_terminal([CLAUDE, "mcp", "login", "gw"], environment)

    assert status == 0, said
    model = FakeModel("mcp__gw__add", {"a": 2, "b": 3})
    async with serving(model) as url:
        own = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none"}
        status, printed = await run([CLAUDE, "-p", "go", "--allowedTools", "mcp__gw__add"], {**environment, **own})
    assert status == 0, printed
    assert "mcp__gw__whoami" in model.offered
    assert "mcp__gw__close_books" not in model.offered  # which is not for Kim
    assert "5" in printed

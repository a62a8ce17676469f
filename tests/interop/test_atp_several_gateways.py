"""Two gateways on one database, as processes: a published toolkit is connected to one, an MCP host to the other."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import psycopg
import pytest
from mcp import Client

from tests.interop.atp_programs import Operated, a_moment, operated, until
from tests.interop.programs import free_port, gateway_settings
from tests.warm import atp_gateway

TOOLKIT = """
import os
from atp_sdk.clients import ToolKitClient

client = ToolKitClient(api_key=os.environ["KEY"], app_name="", base_url=os.environ["ATP_URL"], protocol="ws")

@client.register_tool(function_name="greet", params=["name"], required_params=["name"], description="Greets.",
                      auth_provider=None, auth_type=None, auth_with=None)
def greet(name):
    return {"hello": name}

@client.register_tool(function_name="hold", params=["gate"], required_params=["gate"], description="Waits.",
                      auth_provider=None, auth_type=None, auth_with=None)
def hold(gate):
    open(gate + ".reached", "w").close()
    with open(gate) as opened:
        return opened.read()

client.start()
"""


@dataclass
class Two:
    a: Operated
    b: Operated
    database_url: str
    gate: Path

    async def until_gone_from_a(self, *names: str) -> None:
        with anyio.fail_after(20):
            while True:
                async with Client(f"{self.a.base_url}/mcp") as host:
                    if not set(names) & {tool.name for tool in (await host.list_tools()).tools}:
                        return
                await a_moment()

    def let_it_be_a_while_ago(self) -> None:
        """As if the gateways had last been heard of a quarter of a minute earlier."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("UPDATE replicas SET heard_at = heard_at - interval '15 seconds'")


@asynccontextmanager
async def one(folder: Path, settings: dict[str, str]) -> AsyncIterator[Operated]:
    port = free_port()
    async with operated(
        folder, settings | {"ATP_GATEWAY_SERVER_REPLICA_URL": f"http://127.0.0.1:{port}"}, port
    ) as made:
        yield made


@pytest.fixture
async def two(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> AsyncIterator[Two]:
    settings = gateway_settings(tmp_path, "") | {"ATP_GATEWAY_DATABASE_URL": postgres_url}
    settings = {name: value for name, value in settings.items() if "ACME" not in name}
    os.mkfifo(gate := tmp_path / "gate")
    folders = [tmp_path_factory.mktemp(name) for name in "ab"]
    async with one(folders[0], settings) as a, one(folders[1], settings) as b:
        yield Two(a, b, postgres_url, gate)


async def test_a_host_at_one_gateway_calls_a_toolkit_at_the_other_until_that_one_is_killed(two: Two) -> None:
    script = two.b.folder / "toolkit.py"
    script.write_text(TOOLKIT)
    key = await two.a.new_key("toolkit", "crm")
    async with two.b.python(script, KEY=key):
        await two.a.until_listed("greet", "hold")
        greeted = await two.a.call("greet", name="Ada")
        assert greeted.structured_content == {"hello": "Ada"}

        call = asyncio.create_task(two.a.call("hold", gate=str(two.gate)))
        await until(Path(f"{two.gate}.reached").exists)
        two.b.process.kill()
        with anyio.fail_after(2):
            cut_off = await call
        assert cut_off.is_error
        assert "Nobody knows whether it did its work" in cut_off.content[0].text

        not_sent = await two.a.call("greet", name="Grace")
        assert not_sent.is_error
        assert "greet was not called" in not_sent.content[0].text

        two.let_it_be_a_while_ago()
        await two.until_gone_from_a("greet", "hold")

    listed = json.loads(await two.a.run(atp_gateway("audit", "list", "--json")))
    called = [(entry["tool"], entry["outcome"]) for entry in listed if entry["action"] == "tool.called"]
    assert sorted(called) == [("greet", "done"), ("greet", "toolkit_unreachable"), ("hold", "unknown_outcome")]

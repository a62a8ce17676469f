"""The toolkits for Google, Salesforce and Microsoft, held against the vendors' twins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.errors import ToolError
from gateway.testing.twins.twin import Twin, make_twin
from gateway.toolkit.context import Context, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.types import Credential

TOOLKITS = Path(__file__).parents[2] / "toolkits"
GOOGLE = "https://www.googleapis.com/auth/"
EVENT = {"summary": "Chess", "start": "2026-12-01T10:00:00Z", "end": "2026-12-01T11:00:00Z"}
MESSAGE = {"to": "bob@example.com", "subject": "Chess?", "text": "On Thursday."}

Call = Callable[..., Awaitable[Any]]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A twin, and a way to call the toolkit of its name with a token of alice's."""

    @asynccontextmanager
    async def serve(name: str) -> AsyncIterator[tuple[Twin, Call]]:
        twin = make_twin(name)
        async with twin.served() as url:
            monkeypatch.setenv(f"{name.upper()}_API_URL", url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            registry = Registry()
            assert not Loader(registry).load(str(TOOLKITS / name)).errors

            async def call(tool_name: str, *scopes: str, **arguments: Any) -> Any:
                tool = registry.find(tool_name)
                assert tool is not None
                assert tool.check(arguments) is None
                token = twin.server.issue("alice", scopes).access_token
                credential = Credential(name, token, extras={"instance_url": url})
                return await tool.run(arguments, credential, Context(NullChannel(), asyncio.get_running_loop()))

            yield twin, call

    return serve


async def test_google_reads_mail_and_keeps_a_calendar(at: Any) -> None:
    async with at("google") as (_, call):
        assert len(await call("list_messages", f"{GOOGLE}gmail.readonly", query="chess")) == 2
        assert await call("create_event", f"{GOOGLE}calendar.events", **EVENT) == "twin2"
        assert await call("list_events", f"{GOOGLE}calendar.events") == ["Tea with the twins", "Chess"]


async def test_salesforce_lists_and_creates_contacts_at_the_persons_own_host(at: Any) -> None:
    async with at("salesforce") as (_, call):
        before = await call("list_contacts", "api")
        assert (await call("create_contact", "api", last_name="Noether", email="emmy@twin.example")).startswith("003")
        assert await call("list_contacts", "api") == [*before, "emmy@twin.example"]


async def test_microsoft_knows_who_it_is_and_reads_and_sends_mail(at: Any) -> None:
    async with at("microsoft") as (_, call):
        assert await call("who_am_i", "User.Read") == "Alice Archer"
        assert await call("list_messages", "Mail.Read") == ["Numbers for the board", "Lunch on Thursday?"]
        assert await call("send_message", "Mail.Send", **MESSAGE) == "Sent."


@pytest.mark.parametrize(
    ("name", "tool"), [("google", "list_events"), ("salesforce", "list_contacts"), ("microsoft", "who_am_i")]
)
async def test_a_refused_token_is_left_to_the_gateway_and_an_outage_told_to_the_model(
    at: Any, name: str, tool: str
) -> None:
    async with at(name) as (twin, call):
        with pytest.raises(httpx2.HTTPStatusError, match="403"):
            await call(tool, "nothing")
        said = {"google": {"error": {"message": "Down"}}, "microsoft": {"error": {"message": "Down"}}}
        twin.script.add({"on": "api", "fault": "error", "body": said.get(name, [{"message": "Down"}])})
        with pytest.raises(ToolError, match="refused: Down"):
            await call(tool, "nothing")

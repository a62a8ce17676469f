"""tools/call in both eras: results, errors, and that nothing but our own words ever leaves."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY, Implementation

from gateway import Audio, CapabilityMissingError, Context, EmbeddedResource, Image, ResourceLink, Text, ToolError
from gateway.errors import ProviderUnavailableError, VaultError
from gateway.types import Principal
from tests.surfaces.mcp.world import ALICE, BOB, World, text_of

SECRET = "hunter2-in-the-exception-text"


async def test_a_tool_answers_with_text_and_with_structure(world: World, era: str) -> None:
    @world.tool
    def add(a: int, b: int) -> dict[str, Any]:
        """Adds."""
        return {"sum": a + b, "nothing": None}

    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("add", {"a": 2, "b": 3})
    assert answer.structured_content == {"sum": 5, "nothing": None}
    assert '"sum"' in text_of(answer)
    assert answer.is_error is False


@pytest.mark.parametrize("value", [None, [], [1, None], 0, False, "text"], ids=repr)
async def test_any_json_value_is_an_answer(world: World, era: str, value: Any) -> None:
    @world.tool
    def give() -> Any:
        """Gives."""
        return value

    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("give")
    assert answer.is_error is False
    assert answer.content


async def test_every_kind_of_content_arrives(world: World, era: str) -> None:
    @world.tool
    def everything() -> list[Any]:
        """Everything."""
        return [
            Text("hello"),
            Image(b"\x89PNG"),
            Audio(b"RIFF"),
            ResourceLink("https://example.com/a", "a", mime_type="text/html"),
            EmbeddedResource("test://text", "words", mime_type="text/plain"),
            EmbeddedResource("test://binary", data=b"\x00\x01"),
        ]

    async with Client(world.server(), mode=era) as client:
        parts = (await client.call_tool("everything")).content
    assert [part.type for part in parts] == ["text", "image", "audio", "resource_link", "resource", "resource"]
    assert parts[1].data == "iVBORw=="
    assert parts[5].resource.blob == "AAE="


async def test_an_unknown_tool_is_a_protocol_error(world: World, era: str) -> None:
    """MCP 2026-07-28, Tools, "Error Handling"."""
    async with Client(world.server(), mode=era) as client:
        with pytest.raises(MCPError, match="Unknown tool: nope") as refused:
            await client.call_tool("nope")
    assert refused.value.code == INVALID_PARAMS


async def test_a_hidden_tool_is_exactly_as_unknown_as_one_that_does_not_exist(world: World, era: str) -> None:
    world.tool(function_name="hidden_one", description="d")(lambda: "secret")
    async with Client(world.server(BOB), mode=era) as client:
        with pytest.raises(MCPError) as hidden:
            await client.call_tool("hidden_one")
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("hidden_two")
    assert hidden.value.code == unknown.value.code
    assert str(hidden.value) == str(unknown.value).replace("hidden_two", "hidden_one")


@pytest.mark.parametrize("arguments", [{"n": "many"}, {}, {"n": 1, "extra": 2}], ids=["wrong", "missing", "unknown"])
async def test_wrong_arguments_are_for_the_model_to_correct(world: World, era: str, arguments: dict[str, Any]) -> None:
    """Since MCP 2025-11-25 these are tool results, not protocol errors."""

    @world.tool
    def count(n: int) -> int:
        """Counts."""
        return n

    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("count", arguments)
    assert answer.is_error is True


@pytest.mark.parametrize("name", ["auth_token", "access_token", "api_key"])
async def test_a_caller_cannot_supply_what_only_the_gateway_may(world: World, era: str, name: str) -> None:
    ran = False

    @world.tool(auth_provider="hubspot")
    def whoami(**arguments: Any) -> str:
        """Who."""
        nonlocal ran
        ran = True
        return ""

    world.consents.connected.add(("alice", "hubspot"))
    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("whoami", {name: "evil"})
    assert answer.is_error is True
    assert not ran


async def test_a_tool_error_says_what_its_author_wrote(world: World, era: str) -> None:
    @world.tool
    def fail() -> None:
        """Fails."""
        raise ToolError("The invoice is already paid. Choose another.")

    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("fail")
    assert (answer.is_error, text_of(answer)) == (True, "The invoice is already paid. Choose another.")


async def test_a_crash_gives_only_a_reference_that_the_log_explains(
    world: World, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the handshake era the SDK would send the exception's text."""

    @world.tool
    def crash() -> None:
        """Crashes."""
        raise RuntimeError(SECRET)

    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("crash")
    assert answer.is_error is True
    assert SECRET not in answer.model_dump_json()
    reference = text_of(answer).rstrip(".").rpartition(" ")[2]
    assert f"reference {reference}" in caplog.text
    assert SECRET in caplog.text


@pytest.mark.parametrize("refusal", [VaultError("The key is another one."), ProviderUnavailableError("Try later.")])
async def test_each_error_leaves_by_the_one_table(world: World, era: str, refusal: Exception) -> None:
    world.consents.refusal = refusal

    @world.tool(auth_provider="hubspot")
    def contacts(auth_token: str) -> str:
        """Contacts."""
        return ""

    async with Client(world.server(), mode=era) as client:
        if isinstance(refusal, VaultError):
            with pytest.raises(MCPError, match="The key is another one") as failed:
                await client.call_tool("contacts")
            assert failed.value.code == INTERNAL_ERROR
        else:
            answer = await client.call_tool("contacts")
            assert (answer.is_error, text_of(answer)) == (True, "Try later.")


@pytest.mark.parametrize("method", ["tools/call", "tools/list", "notifications/initialized"])
async def test_a_bug_of_ours_gives_only_a_reference(
    world: World, era: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> Principal:
        raise RuntimeError(SECRET)

    async with Client(world.surface.server(broken), mode=era) as client:
        if method == "tools/list":
            with pytest.raises(MCPError) as failed:
                await client.list_tools()
        else:
            with pytest.raises(MCPError) as failed:
                await client.call_tool("anything")
    assert failed.value.code == INTERNAL_ERROR
    assert "under reference" in str(failed.value)
    assert SECRET not in repr(failed.value.error)
    assert SECRET in caplog.text


async def test_a_validation_error_of_ours_is_not_blamed_on_the_host(world: World, era: str) -> None:
    def broken(_: object) -> Principal:
        Implementation.model_validate({"name": SECRET})
        raise AssertionError

    async with Client(world.surface.server(broken), mode=era) as client:
        with pytest.raises(MCPError) as failed:
            await client.call_tool("anything")
    assert failed.value.code == INTERNAL_ERROR
    assert SECRET not in repr(failed.value.error)


async def test_a_missing_capability_is_named_in_the_way_of_the_era(world: World) -> None:
    """MCP 2026-07-28: -32021 with `requiredCapabilities`. The code did not exist before."""

    @world.tool
    async def think(ctx: Context) -> None:
        """Thinks."""
        raise CapabilityMissingError("sampling")

    async with Client(world.server()) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("think")
    assert refused.value.code == MISSING_REQUIRED_CLIENT_CAPABILITY
    assert refused.value.data == {"requiredCapabilities": {"sampling": {}}}
    async with Client(world.server(), mode="legacy") as client:
        answer = await client.call_tool("think")
    assert answer.is_error is True
    assert "sampling" in text_of(answer)


async def test_the_call_is_recorded_for_the_person_and_the_program(world: World, era: str) -> None:
    world.tool(function_name="a", description="d")(lambda: "")
    info = Implementation(name="Claude\u202e\n" + "x" * 200, version="7")
    async with Client(world.server(), mode=era, client_info=info) as client:
        await client.call_tool("a")
    await world.audit.flush()
    (event,) = world.events
    assert (event.principal, event.action, event.outcome, event.tool) == (ALICE, "tool.called", "done", "a")
    assert event.client is not None
    assert event.client.startswith("Claudexxx")
    assert len(event.client) <= 80


async def test_two_hundred_people_with_equal_request_ids_each_get_their_own_answer(world: World) -> None:
    @world.tool(auth_provider="hubspot")
    async def whoami(auth_token: str) -> str:
        """Who."""
        await asyncio.sleep(0)
        return auth_token.removeprefix("token-of-")

    answers: dict[str, str] = {}

    async def ask(name: str) -> None:
        world.consents.connected.add((name, "hubspot"))
        async with Client(world.server(Principal("i", name))) as client:
            answers[name] = text_of(await client.call_tool("whoami"))

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(ask, f"person{number}")
    assert len(answers) == 200
    assert all(name == answer for name, answer in answers.items())


async def test_the_server_introduces_itself(world: World, era: str) -> None:
    async with Client(world.server(), mode=era) as client:
        assert client.server_info.name == "gateway"
        assert client.server_info.version == "1.2.3"
        assert client.instructions == "Use the tools."
        assert client.server_capabilities.tools.list_changed is True
        assert not client.server_capabilities.prompts.list_changed
        assert not client.server_capabilities.resources.list_changed


async def test_nothing_is_logged_as_an_error_by_ordinary_use(
    world: World, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.tool(function_name="a", description="d")(lambda: "")
    async with Client(world.server(), mode=era) as client:
        await client.list_tools()
        await client.call_tool("a")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

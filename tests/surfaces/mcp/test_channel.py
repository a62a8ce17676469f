"""What a tool may say to its host while it runs: progress, log lines, questions; in both eras."""

from __future__ import annotations

import math
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from gateway import Context, Form, Roots, Sample, Visit
from tests.surfaces.mcp.world import World, text_of

NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def add_questions(world: World) -> None:
    @world.tool
    async def greet(ctx: Context) -> str:
        """Greets."""
        answer = await ctx.ask(Form("Your name?", NAME), key="name")
        return f"Hello, {answer.content['name']}!" if answer.accepted else answer.action

    @world.tool
    def greet_from_a_thread(ctx: Context) -> str:
        """Greets."""
        answer = ctx.wait(ctx.ask(Form("Your name?", NAME), key="name"))
        return f"Hello, {answer.content['name']}!"

    @world.tool
    async def everything(ctx: Context) -> dict[str, Any]:
        """Asks all there is, at once."""
        answers = await ctx.ask_all(
            {
                "form": Form("Your name?", NAME),
                "page": Visit("Pay here", "https://pay.example"),
                "model": Sample("Say hi"),
                "folders": Roots(),
            }
        )
        return {key: dict(answer.content) for key, answer in answers.items()}

    @world.tool
    async def two_rounds(ctx: Context) -> str:
        """Asks one thing after the other."""
        first = await ctx.ask(Form("First?", NAME))
        second = await ctx.ask(Form(f"Second, {first.content['name']}?", NAME))
        return f"{first.content['name']} and {second.content['name']}"


async def named(context: Any, params: Any) -> types.ElicitResult:
    if params.mode == "url":
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content={"name": "Ada" if "First" in params.message else "Grace"})


async def sampled(context: Any, params: Any) -> types.CreateMessageResult:
    return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text="hi"), model="m")


async def roots(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///work", name="work")])


@pytest.mark.parametrize("tool", ["greet", "greet_from_a_thread"])
async def test_a_tool_asks_and_goes_on_with_the_answer(world: World, era: str, tool: str) -> None:
    add_questions(world)
    async with Client(world.server(), mode=era, elicitation_callback=named) as client:
        assert text_of(await client.call_tool(tool)) == "Hello, Grace!"


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_no_reaches_the_tool_as_such(world: World, era: str, action: str) -> None:
    add_questions(world)

    async def refuse(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult.model_validate({"action": action})

    async with Client(world.server(), mode=era, elicitation_callback=refuse) as client:
        assert text_of(await client.call_tool("greet")) == action


async def test_several_questions_at_once_come_back_by_their_keys(world: World, era: str) -> None:
    add_questions(world)
    async with Client(
        world.server(), mode=era, elicitation_callback=named, sampling_callback=sampled, list_roots_callback=roots
    ) as client:
        answer = await client.call_tool("everything")
    assert answer.structured_content == {
        "form": {"name": "Grace"},
        "page": {},
        "model": {"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"},
        "folders": {"roots": [{"uri": "file:///work", "name": "work"}]},
    }


async def test_questions_that_depend_on_answers_take_several_rounds(world: World, era: str) -> None:
    add_questions(world)
    async with Client(world.server(), mode=era, elicitation_callback=named) as client:
        assert text_of(await client.call_tool("two_rounds")) == "Ada and Grace"


async def test_only_what_the_host_declared_can_be_asked(world: World, era: str) -> None:
    seen: list[set[str]] = []

    @world.tool
    async def look(ctx: Context) -> str:
        """Looks."""
        seen.append({name for name in ("form", "url", "sampling", "roots") if ctx.can(name)})  # type: ignore[arg-type]
        return ""

    async with Client(world.server(), mode=era) as client:
        await client.call_tool("look")
    async with Client(world.server(), mode=era, sampling_callback=sampled, list_roots_callback=roots) as client:
        await client.call_tool("look")
    async with Client(world.server(), mode=era, elicitation_callback=named) as client:
        await client.call_tool("look")
    assert seen == [set(), {"sampling", "roots"}, {"form", "url"}]


@pytest.mark.parametrize(
    ("declared", "version", "expected"),
    [
        ({}, "2026-07-28", {"form"}),
        ({"form": {}}, "2026-07-28", {"form"}),
        ({"url": {}}, "2026-07-28", {"url"}),
        ({"form": {}, "url": {}}, "2025-11-25", {"form", "url"}),
        ({"url": {}}, "2025-06-18", set()),
        ({}, "2025-06-18", {"form"}),
        ({}, "2025-03-26", set()),
        (None, "2026-07-28", set()),
    ],
)
def test_an_elicitation_capability_means_exactly_its_modes(
    declared: dict[str, Any] | None, version: str, expected: set[str]
) -> None:
    """A bare `elicitation: {}` is forms only; URLs came with 2025-11-25."""
    from gateway.surfaces.mcp.request import _elicitation

    capability = None if declared is None else types.ElicitationCapability.model_validate(declared)
    assert _elicitation(capability, version) == expected


async def call(client: Client, name: str, **extra: Any) -> Any:
    return await client.session.call_tool(name, {}, allow_input_required=True, **extra)


def said(name: object) -> types.ElicitResult:
    return types.ElicitResult.model_validate({"action": "accept", "content": {"name": name}})


@pytest.mark.parametrize(
    "responses",
    [
        {},
        {"name": said(5)},
        {"name": types.ElicitResult(action="accept")},
        {"name": types.ListRootsResult(roots=[])},
        {"other": said("Ada")},
    ],
    ids=["none", "wrong type", "empty", "answer to something else", "other key"],
)
async def test_what_is_no_answer_to_the_question_is_asked_again(world: World, responses: dict[str, Any]) -> None:
    add_questions(world)
    async with Client(world.server(), elicitation_callback=named) as client:
        asked = await call(client, "greet")
        again = await call(client, "greet", input_responses=responses, request_state=asked.request_state)
        assert list(again.input_requests) == ["name"]
        done = await call(
            client,
            "greet",
            input_responses={"name": said("Ada"), "extra": said("ignored")},
            request_state=again.request_state,
        )
    assert text_of(done) == "Hello, Ada!"


async def test_half_of_the_answers_are_kept_until_the_rest_arrives(world: World) -> None:
    add_questions(world)
    async with Client(
        world.server(), elicitation_callback=named, sampling_callback=sampled, list_roots_callback=roots
    ) as client:
        asked = await call(client, "everything")
        assert set(asked.input_requests) == {"form", "page", "model", "folders"}
        some = {"form": said("Ada"), "page": types.ElicitResult(action="accept")}
        again = await call(client, "everything", input_responses=some, request_state=asked.request_state)
        assert set(again.input_requests) == {"model", "folders"}
        rest = {"model": await sampled(None, None), "folders": await roots(None)}
        done = await call(client, "everything", input_responses=rest, request_state=again.request_state)
    assert done.structured_content["form"] == {"name": "Ada"}


async def test_an_answer_does_not_fit_a_question_that_has_changed_meanwhile(world: World) -> None:
    """The person agreed to five. By the time their answer comes, it would be five thousand."""
    amount = 5

    @world.tool
    async def delete(ctx: Context) -> str:
        """Deletes."""
        answer = await ctx.ask(Form(f"Delete {amount} records?", {"type": "object", "properties": {}}), key="sure")
        return f"deleted {amount}, {answer.action}"

    async with Client(world.server(), elicitation_callback=named) as client:
        asked = await call(client, "delete")
        amount = 5000
        yes = {"sure": types.ElicitResult(action="accept")}
        again = await call(client, "delete", input_responses=yes, request_state=asked.request_state)
        assert isinstance(again, types.InputRequiredResult)
        done = await call(client, "delete", input_responses=yes, request_state=again.request_state)
    assert text_of(done) == "deleted 5000, accept"


async def test_a_question_the_host_cannot_be_asked_names_the_capability(world: World) -> None:
    add_questions(world)
    async with Client(world.server()) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("greet")
    assert refused.value.data == {"requiredCapabilities": {"elicitation": {"form": {}}}}
    async with Client(world.server(), mode="legacy") as client:
        assert "form" in text_of(await client.call_tool("greet"))


async def test_a_host_that_fails_at_asking_counts_as_dismissed(world: World) -> None:
    add_questions(world)

    async def broken(context: Any, params: Any) -> types.ErrorData:
        return types.ErrorData(code=-32603, message="the dialog crashed")

    async with Client(world.server(), mode="legacy", elicitation_callback=broken) as client:
        assert text_of(await client.call_tool("greet")) == "cancel"


async def test_a_person_who_rejects_a_sampling_has_declined(world: World) -> None:
    @world.tool
    async def think(ctx: Context) -> str:
        """Thinks."""
        return (await ctx.ask(Sample("?"))).action

    async def rejected(context: Any, params: Any) -> types.ErrorData:
        return types.ErrorData(code=-1, message="User rejected sampling request")

    async with Client(world.server(), mode="legacy", sampling_callback=rejected) as client:
        assert text_of(await client.call_tool("think")) == "decline"


async def test_a_malformed_question_is_the_tools_own_crash(world: World, era: str) -> None:
    @world.tool
    async def bad(ctx: Context) -> str:
        """Asks badly."""
        await ctx.ask(Form("half a pair: \ud800", NAME))
        return ""

    async with Client(world.server(), mode=era, elicitation_callback=named) as client:
        assert "failed inside the tool" in text_of(await client.call_tool("bad"))


async def test_progress_grows_strictly_and_odd_values_are_not_sent(world: World, era: str) -> None:
    @world.tool
    async def work(ctx: Context) -> str:
        """Works."""
        for done in (0, 0, 1, 0.5, math.nan, math.inf, 2):
            await ctx.progress(done, 2, "half \ud800")
        return "done"

    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with Client(world.server(), mode=era) as client:
        await client.call_tool("work", progress_callback=hear)
        await client.call_tool("work")
    assert heard == [(0, 2, "half ?"), (1, 2, "half ?"), (2, 2, "half ?")]


def add_talker(world: World) -> None:
    @world.tool
    async def talk(ctx: Context) -> str:
        """Talks."""
        await ctx.log("fine", "debug")
        await ctx.log({"n": math.nan, "o": object}, "info", "kit")
        await ctx.log("half \ud800", "error")
        return "done"


async def test_log_lines_go_to_handshake_hosts_from_info_up_or_as_they_set_it(world: World) -> None:
    add_talker(world)
    heard: list[tuple[str, Any]] = []

    async def hear(params: types.LoggingMessageNotificationParams) -> None:
        heard.append((params.level, params.data))

    async with Client(world.server(), mode="legacy", logging_callback=hear) as client:
        await client.call_tool("talk")
        request = types.SetLevelRequest(params=types.SetLevelRequestParams(level="error"))
        await client.session.send_request(request, types.EmptyResult)
        await client.call_tool("talk")
    assert heard == [
        ("info", {"n": None, "o": "<class 'object'>"}),
        ("error", "'half \\ud800'"),
        ("error", "'half \\ud800'"),
    ]


async def test_log_lines_go_to_modern_hosts_only_when_the_request_asks(world: World) -> None:
    add_talker(world)
    heard: list[str] = []

    async def hear(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(params.level)

    async with Client(world.server(), logging_callback=hear) as client:
        await client.call_tool("talk")
    assert heard == []
    async with Client(world.server(), logging_callback=hear, log_level="error") as client:
        await client.call_tool("talk")
    assert heard == ["error"]


async def test_a_cancelled_call_stops_its_tool(world: World, era: str) -> None:
    started, stopped = anyio.Event(), anyio.Event()

    @world.tool
    async def endless() -> str:
        """Never ends."""
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async with Client(world.server(), mode=era) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "endless")
        with anyio.fail_after(5):
            await started.wait()
            tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        await stopped.wait()
    await world.audit.flush()
    assert [event.outcome for event in world.events] == ["cancelled"]

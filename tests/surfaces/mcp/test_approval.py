"""A rule that has the person asked before a tool runs, with the SDK's client in both eras."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from gateway import Context, Form
from gateway.access.policy import TeamPolicy
from gateway.access.rules import Rule
from gateway.approval import KEY, question
from gateway.secret import Secret
from gateway.surfaces.mcp.limits import Limits
from gateway.toolkit.context import NullChannel
from gateway.types import Call, Credential
from tests.surfaces.mcp.world import ALICE, World, text_of

RULES = (Rule(annotations=("destructive",), approve=True), Rule())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(Limits(), policy=TeamPolicy(RULES))
    world.ran = []  # type: ignore[attr-defined]

    @world.tool(destructive=True)
    def wipe(path: str) -> str:
        """Destroys something."""
        world.ran.append(path)  # type: ignore[attr-defined]
        return "wiped"

    @world.tool(destructive=True)
    async def wipe_asking(ctx: Context) -> str:
        """Destroys something, and has a question of its own."""
        schema = {"type": "object", "properties": {"really": {"type": "boolean"}}}
        return (await ctx.ask(Form("Really?", schema), key="really")).action

    @world.tool
    def look() -> str:
        """Looks."""
        return "seen"

    @world.toolkit.register_tool(
        function_name="wipe_account",
        params=[],
        required_params=[],
        description="d",
        auth_provider="crm",
        auth_type="OAuth2",
        auth_with="access_token",
        destructive=True,
    )
    def wipe_account(**kwargs: Any) -> str:
        world.ran.append(kwargs["auth_token"])  # type: ignore[attr-defined]
        return "wiped"

    yield world
    await world.audit.close()


class Person:
    """Answers what they are asked, and remembers it."""

    def __init__(self, action: str, *, approve: bool = True) -> None:
        self.asked: list[str] = []
        self._answer = {"action": action} | ({"content": {"approve": approve}} if action == "accept" else {})

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        if params.mode == "url":
            return types.ElicitResult(action="decline")
        self.asked.append(params.message)
        if params.message == "Really?":
            return types.ElicitResult(action="accept", content={})
        return types.ElicitResult(**self._answer)


async def approvals(world: World) -> list[str]:
    await world.audit.close()
    return [event.outcome for event in world.events if event.action == "tool.approval"]


async def test_a_tool_runs_once_the_person_has_said_yes(world: World, era: str) -> None:
    person = Person("accept")
    async with Client(world.server(), mode=era, elicitation_callback=person) as client:
        answer = await client.call_tool("wipe", {"path": "/tmp/x"})

    assert text_of(answer) == "wiped"
    assert person.asked == ['May wipe run?\npath: "/tmp/x"']
    assert world.ran == ["/tmp/x"]  # type: ignore[attr-defined]
    assert await approvals(world) == ["approved"]
    assert world.events[-1].outcome == "done"


@pytest.mark.parametrize(
    ("person", "how", "says"),
    [
        (Person("decline"), "declined", "The person said no to wipe."),
        (Person("accept", approve=False), "declined", "The person said no to wipe."),
        (Person("cancel"), "dismissed", "did not say. Ask them before calling again."),
    ],
)
async def test_a_tool_does_not_run_without_a_yes(world: World, era: str, person: Person, how: str, says: str) -> None:
    async with Client(world.server(), mode=era, elicitation_callback=person) as client:
        answer = await client.call_tool("wipe", {"path": "/"})

    assert answer.is_error
    assert says in text_of(answer)
    assert world.ran == []  # type: ignore[attr-defined]
    assert await approvals(world) == [how]
    assert world.events[-1].outcome == "declined"


async def test_a_host_that_cannot_ask_is_refused_and_told_what_would_help(world: World, era: str) -> None:
    async with Client(world.server(), mode=era) as client:
        answer = await client.call_tool("wipe", {"path": "/"})
        assert text_of(await client.call_tool("look")) == "seen"

    assert answer.is_error
    assert "wipe runs only after the person has said yes, and this program cannot ask" in text_of(answer)
    assert "Use a host that supports elicitation with forms" in text_of(answer)
    assert world.ran == []  # type: ignore[attr-defined]
    assert await approvals(world) == ["cannot_ask"]


async def test_each_call_is_asked_about_anew(world: World, era: str) -> None:
    person = Person("accept")
    async with Client(world.server(), mode=era, elicitation_callback=person) as client:
        for path in ("/a", "/a", "/b"):
            await client.call_tool("wipe", {"path": path})

    assert len(person.asked) == 3


async def test_a_tools_own_question_comes_after_the_yes_and_nobody_is_asked_twice(world: World, era: str) -> None:
    person = Person("accept")
    async with Client(world.server(), mode=era, elicitation_callback=person) as client:
        assert text_of(await client.call_tool("wipe_asking")) == "accept"

    assert person.asked == ["May wipe_asking run?", "Really?"]


async def test_nobody_is_asked_about_wrong_arguments_or_before_the_account_is_connected(world: World, era: str) -> None:
    person = Person("accept")
    async with Client(world.server(), mode=era, elicitation_callback=person) as client:
        assert (await client.call_tool("wipe", {"way": 1})).is_error
        with suppress(MCPError):  # in the handshake revisions the link is an error
            await client.call_tool("wipe_account")
        before = list(person.asked)
        world.consents.connected.add(("alice", "crm"))
        assert text_of(await client.call_tool("wipe_account")) == "wiped"

    assert before == []
    assert person.asked == ["May wipe_account run with your crm account?"]
    assert world.ran == ["token-of-alice"]  # type: ignore[attr-defined]


AGREED = {KEY: {"action": "accept", "content": {"approve": True}}}
Post = Callable[[dict[str, Any]], Awaitable[Any]]


@asynccontextmanager
async def posting(world: World, tool: str) -> AsyncIterator[Post]:
    """Sends a call's parameters as a host of 2026-07-28 that keeps to no rules; gives the answer."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": tool}
    headers |= {"accept": "application/json, text/event-stream"}
    async with world.http() as url, httpx2.AsyncClient(headers=headers, trust_env=False, timeout=10) as http:

        async def post(params: dict[str, Any]) -> Any:
            params = {"name": tool, "_meta": meta, **params}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            return (await http.post(f"{url}/mcp", json=body)).json()

        yield post


async def test_a_host_cannot_answer_before_it_was_asked(world: World) -> None:
    """MCP 2026-07-28 lets a host send answers ahead, which is well for a tool's questions and not for this one."""
    params = {"arguments": {"path": "/"}, "inputResponses": AGREED}
    async with posting(world, "wipe") as post:
        asked = (await post(params))["result"]
        assert (asked["resultType"], list(asked["inputRequests"])) == ("input_required", [KEY])
        assert world.ran == []  # type: ignore[attr-defined]

        state = {"requestState": asked["requestState"]}
        other = await post(params | state | {"arguments": {"path": "/other"}})
        assert "error" in other, "a yes to some arguments is none to others"
        assert world.ran == []  # type: ignore[attr-defined]

        assert (await post(params | state))["result"]["content"][0]["text"] == "wiped"


async def test_a_yes_is_for_one_call_however_often_a_host_brings_it(world: World) -> None:
    """One after the other, or all at once; then the person is asked again, and may say yes again."""
    params = {"arguments": {"path": "/"}, "inputResponses": AGREED}
    async with posting(world, "wipe") as post:
        asked = (await post({"arguments": {"path": "/"}}))["result"]
        agreed = params | {"requestState": asked["requestState"]}

        answers = [(await post(agreed))["result"] for _ in range(3)]
        assert [answer["resultType"] for answer in answers] == ["complete", "input_required", "input_required"]
        assert world.ran == ["/"]  # type: ignore[attr-defined]

        again = params | {"requestState": answers[1]["requestState"]}
        results = await asyncio.gather(*(post(again) for _ in range(5)))
        assert sum(each["result"]["resultType"] == "complete" for each in results) == 1
        assert world.ran == ["/", "/"]  # type: ignore[attr-defined]


async def test_the_yes_to_a_tool_that_asks_something_itself_is_for_one_call_too(world: World) -> None:
    async with posting(world, "wipe_asking") as post:
        first = (await post({}))["result"]
        second = (await post({"requestState": first["requestState"], "inputResponses": AGREED}))["result"]
        assert list(second["inputRequests"]) == ["really"]
        really = {"really": {"action": "accept", "content": {"really": True}}}
        last = {"requestState": second["requestState"], "inputResponses": really}

        answers = [(await post(last))["result"] for _ in range(2)]

    assert answers[0]["content"][0]["text"] == "accept"
    assert list(answers[1]["inputRequests"]) == [KEY]


async def test_nothing_runs_where_nobody_can_tell_whether_the_yes_was_used(world: World) -> None:
    async with posting(world, "wipe") as post:
        asked = (await post({"arguments": {"path": "/"}}))["result"]
        agreed = {"arguments": {"path": "/"}, "inputResponses": AGREED, "requestState": asked["requestState"]}
        world.consents.is_away = True
        refused = (await post(agreed))["result"]
        assert refused["isError"]
        assert (
            "wipe was not run: whether the person's yes was used before cannot be seen" in refused["content"][0]["text"]
        )
        assert world.ran == []  # type: ignore[attr-defined]

        world.consents.is_away = False
        assert (await post(agreed))["result"]["content"][0]["text"] == "wiped"
    assert await approvals(world) == ["store_unavailable", "approved"]


async def test_a_yes_that_cannot_be_given_back_is_asked_for_again(world: World) -> None:
    """The tool has a question of its own, and meanwhile the database has gone away: all begins anew."""
    person = Person("accept")
    runs: list[int] = []

    @world.tool(destructive=True)
    async def wipe_late(ctx: Context) -> str:
        """The database goes away while it runs for the first time."""
        runs.append(len(runs) + 1)
        world.consents.is_away = runs == [1]
        schema = {"type": "object", "properties": {"really": {"type": "boolean"}}}
        return (await ctx.ask(Form("Really?", schema), key="really")).action

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        world.consents.is_away = False
        return await person(context, params)

    async with Client(world.server(), mode="auto", elicitation_callback=answer) as client:
        assert text_of(await client.call_tool("wipe_late")) == "accept"

    assert person.asked == ["May wipe_late run?", "Really?"] * 2


async def test_a_call_that_brings_no_yes_uses_none(world: World) -> None:
    """Nor does it ask anybody whether one was used."""
    world.consents.is_away = True
    async with posting(world, "wipe") as post:
        first = (await post({"arguments": {"path": "/"}}))["result"]
        again = (await post({"arguments": {"path": "/"}, "requestState": first["requestState"]}))["result"]

    assert list(first["inputRequests"]) == list(again["inputRequests"]) == [KEY]


def test_what_a_person_is_shown_holds_no_secret_and_cannot_be_forged() -> None:
    live = Secret("CNRY-live-secret-8431")
    arguments = {
        "password": "CNRY-a",
        "options": {"api_key": "CNRY-b", "list": [{"access_token": "CNRY-c"}]},
        "header": "Bearer CNRY-dddddddd",
        "note": f"{live.reveal()} x\nMay look run?\u202e",
        "z\nharmless": 1,
        "long": "x" * 900,
    }
    call = Call(ALICE, None, "wipe", arguments, "1", NullChannel())  # type: ignore[arg-type]

    shown = question(call, Credential("crm", "t", account="ada\u202e@acme.example"))

    assert "CNRY" not in shown
    assert shown.splitlines()[0] == "May wipe run with your crm account ada\\u202e@acme.example?"
    assert len(shown.splitlines()) == 1 + len(arguments)
    assert "\\nMay look run?\\u202e" in shown
    assert "… (902 characters in all)" in shown
    assert json.dumps(shown)

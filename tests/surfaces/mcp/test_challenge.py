"""A tool needs an account that is not connected: what each kind of host is told, and what happens next."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from gateway.surfaces.mcp.challenge import DECLINED, DISMISSED
from gateway.surfaces.mcp.limits import Limits
from gateway.types import FlowStatus
from tests.surfaces.mcp.world import ALICE, BOB, World, text_of

LINK = "https://gateway.example/connect/flow-alice-hubspot"
URL_HOST = {"elicitation": {"url": {}}}


def add_contacts(world: World) -> None:
    @world.tool(auth_provider="hubspot")
    def contacts(auth_token: str, query: str = "") -> str:
        """Contacts."""
        return f"contacts of {auth_token.removeprefix('token-of-')}"


class Person:
    """Answers a host's URL questions, counting them."""

    def __init__(self, action: str = "accept", then: Any = None) -> None:
        self.action = action
        self.then = then
        self.asked: list[types.ElicitRequestURLParams] = []

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params)
        if self.then:
            await self.then()
        return types.ElicitResult.model_validate({"action": self.action})


async def call_modern(client: Client, **extra: Any) -> types.CallToolResult | types.InputRequiredResult:
    """One `tools/call` round by hand, as the SDK's client would send it."""
    arguments = extra.pop("arguments", {})
    return await client.session.call_tool("contacts", arguments, allow_input_required=True, **extra)


async def test_a_host_without_url_elicitation_gets_the_link_as_text(world: World, era: str) -> None:
    """Most hosts today: the model shows the link, the person clicks it, the model calls again."""
    add_contacts(world)
    async with Client(world.server(), mode=era) as client:
        first, second = await client.call_tool("contacts"), await client.call_tool("contacts")
        await world.consents.finish("alice", "hubspot")
        done = await client.call_tool("contacts")
    for told in (first, second):
        assert told.is_error is True
        assert LINK in text_of(told)
        assert "Hubspot" in text_of(told)
        assert "call this tool again" in text_of(told)
    assert text_of(done) == "contacts of alice"


async def test_a_modern_host_opens_the_link_and_the_retry_waits_for_the_person(world: World) -> None:
    add_contacts(world)

    async def connect_meanwhile() -> None:
        await world.consents.waiting.wait()
        await world.consents.finish("alice", "hubspot")

    person = Person()
    async with Client(world.server(), elicitation_callback=person) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(connect_meanwhile)
        with anyio.fail_after(5):
            answer = await client.call_tool("contacts")
    assert text_of(answer) == "contacts of alice"
    assert [asked.url for asked in person.asked] == [LINK]
    assert world.consents.waits == [("flow-alice-hubspot", "alice", 40.0)]


class TestAPersonWhoTakesLong:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(hold_seconds=0.05)

    async def test_is_given_the_link_again_as_text_and_never_a_second_dialog(self, world: World) -> None:
        """A host reopens the link at every `input_required`: asking again would be a loop."""
        add_contacts(world)
        person = Person()
        async with Client(world.server(), elicitation_callback=person) as client:
            answer = await client.call_tool("contacts")
        assert answer.is_error is True
        assert "not finished yet" in text_of(answer)
        assert LINK in text_of(answer)
        assert len(person.asked) == 1


@pytest.mark.parametrize(("action", "sentence"), [("decline", DECLINED), ("cancel", DISMISSED)])
async def test_a_person_who_says_no_is_not_asked_again(world: World, action: str, sentence: str) -> None:
    add_contacts(world)
    person = Person(action)
    async with Client(world.server(), elicitation_callback=person) as client:
        answer = await client.call_tool("contacts")
    assert (answer.is_error, text_of(answer)) == (True, sentence)
    assert len(person.asked) == 1
    assert world.consents.waits == []


async def test_declining_on_the_page_counts_as_no(world: World) -> None:
    add_contacts(world)

    async def decline() -> None:
        await world.consents.finish("alice", "hubspot", FlowStatus.DECLINED)

    async with Client(world.server(), elicitation_callback=Person(then=decline)) as client:
        answer = await client.call_tool("contacts")
    assert text_of(answer) == DECLINED


@pytest.mark.parametrize("status", [FlowStatus.FAILED, None], ids=["failed", "expired"])
async def test_a_consent_that_came_to_nothing_leads_to_a_new_link_as_text(
    world: World, status: FlowStatus | None
) -> None:
    add_contacts(world)

    async def end() -> None:
        if status is None:
            del world.consents.status["flow-alice-hubspot"]
        else:
            await world.consents.finish("alice", "hubspot", status)

    person = Person(then=end)
    async with Client(world.server(), elicitation_callback=person) as client:
        answer = await client.call_tool("contacts")
    assert "/connect/flow-alice-hubspot" in text_of(answer)
    assert len(person.asked) == 1


async def test_the_modern_question_is_exactly_what_the_revision_allows(world: World) -> None:
    """MCP 2026-07-28: a URL question without an elicitation id, and an opaque state."""
    add_contacts(world)
    async with Client(world.server(), elicitation_callback=Person()) as client:
        asked = await call_modern(client)
    assert isinstance(asked, types.InputRequiredResult)
    assert asked.model_dump(mode="json", by_alias=True, exclude_none=True)["inputRequests"] == {
        "connect": {
            "method": "elicitation/create",
            "params": {"mode": "url", "message": "Connect Hubspot first.", "url": LINK},
        }
    }
    assert asked.request_state is not None
    assert "flow" not in asked.request_state


async def test_an_acceptance_without_our_state_is_worth_nothing(world: World) -> None:
    add_contacts(world)
    accepted = {"connect": types.ElicitResult(action="accept")}
    async with Client(world.server(), elicitation_callback=Person()) as client:
        answer = await call_modern(client, input_responses=accepted)
    assert isinstance(answer, types.InputRequiredResult)
    assert world.consents.waits == []


async def test_a_state_is_refused_from_anybody_else_altered_or_on_other_arguments(world: World) -> None:
    """Sealed state: other person, other arguments, changed bytes, another key; all look the same from outside."""
    add_contacts(world)
    accepted = {"connect": types.ElicitResult(action="accept")}
    async with Client(world.server(), elicitation_callback=Person()) as alice:
        asked = await call_modern(alice)
        state = asked.request_state
        assert state is not None
        flipped = state[:-1] + ("A" if state[-1] != "A" else "B")
        refusals = []
        with pytest.raises(MCPError) as refused:
            await call_modern(alice, input_responses=accepted, request_state=flipped)
        refusals.append(refused.value)
        with pytest.raises(MCPError) as refused:
            await call_modern(alice, arguments={"query": "x"}, input_responses=accepted, request_state=state)
        refusals.append(refused.value)
    async with Client(world.server(BOB), elicitation_callback=Person()) as bob:
        with pytest.raises(MCPError) as refused:
            await call_modern(bob, input_responses=accepted, request_state=state)
        refusals.append(refused.value)
    assert {(error.code, error.message) for error in refusals} == {
        (types.INVALID_PARAMS, "Invalid or expired requestState")
    }
    assert world.consents.waits == []


async def test_no_byte_of_a_state_can_be_changed_and_it_is_for_one_tool_alone(world: World, full: bool) -> None:
    add_contacts(world)

    @world.tool(auth_provider="hubspot")
    def other(auth_token: str) -> str:
        """Of the same provider, with the same arguments: none."""
        return "other"

    accepted = {"connect": types.ElicitResult(action="accept")}
    async with Client(world.server(), elicitation_callback=Person()) as alice:
        state = (await call_modern(alice)).request_state
        assert state is not None
        places = range(len(state)) if full else range(0, len(state), 9)
        for place in places:
            changed = state[:place] + ("A" if state[place] != "A" else "B") + state[place + 1 :]
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await call_modern(alice, input_responses=accepted, request_state=changed)
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await alice.session.call_tool(
                "other", {}, allow_input_required=True, input_responses=accepted, request_state=state
            )
    assert world.consents.waits == []


async def test_another_replica_with_the_same_key_goes_on(world: World) -> None:
    add_contacts(world)
    await world.consents.finish("alice", "salesforce")
    accepted = {"connect": types.ElicitResult(action="accept")}
    async with Client(world.server(ALICE), elicitation_callback=Person()) as here:
        asked = await call_modern(here)
    await world.consents.finish("alice", "hubspot")
    async with Client(world.server(ALICE), elicitation_callback=Person()) as there:
        answer = await call_modern(there, input_responses=accepted, request_state=asked.request_state)
    assert text_of(answer) == "contacts of alice"


@pytest.mark.parametrize("garbage", [{}, {"other": {"action": "accept"}}], ids=["nothing", "another key"])
async def test_a_retry_without_a_usable_answer_is_asked_again(world: World, garbage: dict[str, Any]) -> None:
    add_contacts(world)
    async with Client(world.server(), elicitation_callback=Person()) as client:
        asked = await call_modern(client)
        again = await call_modern(client, input_responses=garbage, request_state=asked.request_state)
    assert isinstance(again, types.InputRequiredResult)


async def test_a_handshake_host_with_url_gets_the_error_and_is_told_when_the_person_is_done(world: World) -> None:
    """MCP 2025-11-25: -32042, then `notifications/elicitation/complete`."""
    add_contacts(world)
    told = anyio.Event()
    notes: list[Any] = []

    async def note(message: Any) -> None:
        notes.append(message)
        told.set()

    async with Client(world.server(), mode="legacy", elicitation_callback=Person(), message_handler=note) as client:
        for _ in range(2):
            with pytest.raises(MCPError) as needed:
                await client.call_tool("contacts")
        assert needed.value.code == types.URL_ELICITATION_REQUIRED
        assert needed.value.data == {
            "elicitations": [
                {
                    "mode": "url",
                    "message": "Connect Hubspot first.",
                    "url": LINK,
                    "elicitationId": "flow-alice-hubspot",
                }
            ]
        }
        await world.consents.waiting.wait()
        await world.consents.finish("alice", "hubspot")
        with anyio.fail_after(5):
            await told.wait()
        done = await client.call_tool("contacts")
    assert [note.params.elicitation_id for note in notes] == ["flow-alice-hubspot"]
    assert text_of(done) == "contacts of alice"


async def test_the_watch_ends_with_the_connection(world: World) -> None:
    add_contacts(world)
    server = world.server()
    async with Client(server, mode="legacy", elicitation_callback=Person()) as client:
        with pytest.raises(MCPError):
            await client.call_tool("contacts")
        assert len(server._challenges._watched) == 1
    with anyio.fail_after(5):
        while server._challenges._watched:
            await anyio.lowlevel.checkpoint()


async def test_an_answer_to_an_earlier_question_survives_a_new_consent(world: World) -> None:
    """The account is disconnected while the person fills in a form: they need not fill it in twice."""
    from gateway import Context, Form

    @world.tool(auth_provider="hubspot")
    async def rename(ctx: Context, auth_token: str) -> str:
        """Renames."""
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        answer = await ctx.ask(Form("Which name?", schema), key="name")
        return f"renamed to {answer.content['name']}"

    world.consents.connected.add(("alice", "hubspot"))
    asked: list[str] = []

    async def person(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.mode)
        if params.mode == "url":
            await world.consents.finish("alice", "hubspot")
            return types.ElicitResult(action="accept")
        world.consents.connected.clear()
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with Client(world.server(), elicitation_callback=person) as client:
        answer = await client.call_tool("rename")
    assert text_of(answer) == "renamed to Ada"
    assert asked == ["form", "url"]


async def test_a_state_sealed_before_a_key_was_rotated_still_opens(world: World) -> None:
    add_contacts(world)
    async with Client(world.server(), elicitation_callback=Person()) as client:
        asked = await call_modern(client)
    world.keys.insert(0, b"n" * 32)
    await world.consents.finish("alice", "hubspot")
    accepted = {"connect": types.ElicitResult(action="accept")}
    async with Client(world.server(), elicitation_callback=Person()) as client:
        answer = await call_modern(client, input_responses=accepted, request_state=asked.request_state)
    assert text_of(answer) == "contacts of alice"


async def test_the_key_is_not_asked_for_until_a_state_is_sealed(world: World) -> None:
    """On a laptop it sits in the system's keyring, which may ask the person to unlock it."""
    world.keys.clear()
    world.tool(function_name="plain", description="d")(lambda: "fine")
    async with Client(world.server()) as client:
        assert text_of(await client.call_tool("plain")) == "fine"

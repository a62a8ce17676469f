"""The five steps of a call, and every way it can end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import anyio
import pytest

from gateway.access.policy import OnePersonPolicy
from gateway.access.rates import CallsPerMinute, Rates
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.errors import (
    InvalidArgumentsError,
    InvalidResultError,
    NotAllowedError,
    ProviderUnavailableError,
    ReservedArgumentError,
    ToolCrashedError,
    ToolError,
    ToolTimeoutError,
    UnknownToolError,
)
from gateway.executor import Executor
from gateway.redaction import MASK
from gateway.toolkit.context import Answer, Form, InputNeeded, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.types import Call, Client, Credential, Done, NeedsConnection, NeedsInput, Principal

ADA = Principal("local", "ada")
TOKEN = "CNRY-access-token-93fa"

TOOLKIT = '''
import asyncio
from gateway import Context, Credential, Form, ToolError, ToolKitClient

client = ToolKitClient(app_name="fixture")

@client.tool
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b

@client.register_tool(function_name="with_token", params=[], required_params=[], description="d",
                      auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token")
def with_token(**kwargs):
    return {"got": len(kwargs["auth_token"])}

@client.register_tool(function_name="leaky", params=["how"], required_params=["how"], description="d",
                      auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token")
def leaky(**kwargs):
    token = kwargs["auth_token"]
    if kwargs["how"] == "raise":
        raise RuntimeError(f"bad header {token}")
    if kwargs["how"] == "tool_error":
        raise ToolError(f"refused: {token}")
    return {"headers": {"Authorization": f"Bearer {token}"}, "reversed": token[::-1]}

@client.register_tool(auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token")
async def talkative(auth_token: str, ctx: Context):
    """Says too much."""
    await ctx.progress(1, 2, f"using {auth_token}")
    await ctx.log({"header": f"Bearer {auth_token}"})
    await ctx.ask(Form(f"is {auth_token} yours?", {"type": "object", "properties": {}}), key="q")

@client.tool
def crash():
    """Crashes."""
    raise ValueError("the database password is hunter2")

@client.tool(timeout=0.05)
async def slow():
    """Never ends by itself."""
    await asyncio.Event().wait()

@client.tool(output_schema={"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]})
def promises():
    """Does not keep its promise."""
    return {"count": "many"}

@client.tool(timeout=0.1)
async def asks(ctx: Context) -> str:
    """Asks."""
    return (await ctx.ask(Form("Name?", {"type": "object", "properties": {}}), key="name")).content["name"]
'''


class Grants:
    """Answers the executor's one question with what the test put in."""

    def __init__(self) -> None:
        self.answer = Credential("hubspot", TOKEN)

    async def credential(self, call, requirement, refused=None):
        return self.answer

    def describe(self, provider):
        return None


class Refuses(OnePersonPolicy):
    def may_call(self, principal, tool):
        return NotAllowedError("Ask your administrator.")


class Hides(OnePersonPolicy):
    def may_see(self, principal, tool):
        return False


@pytest.fixture
def events():
    return []


@pytest.fixture
def grants():
    return Grants()


@pytest.fixture
def registry(tmp_path):
    registry = Registry()
    path = tmp_path / "fixture.py"
    path.write_text(TOOLKIT)
    assert not Loader(registry).load(str(path)).errors
    return registry


@pytest.fixture
async def audit(events):
    async def write(batch):
        events.extend(batch)

    audit = AuditLog(write, MovableClock(), interval=3600)
    yield audit
    await audit.close()


@pytest.fixture
def run(registry, grants, audit):
    executor = Executor(registry, OnePersonPolicy(), grants, audit)

    async def run(tool, channel=None, **arguments):
        with anyio.fail_after(5):
            return await executor.call(Call(ADA, Client("test"), tool, arguments, "1", channel or NullChannel()))

    return run


async def test_a_tool_that_needs_nothing_simply_runs(run):
    outcome = await run("add", a=2)
    assert isinstance(outcome, Done)
    assert outcome.result.structured == 3


async def test_a_tool_that_needs_an_account_gets_the_persons_token(run):
    assert (await run("with_token")).result.structured == {"got": len(TOKEN)}


async def test_an_unknown_tool_is_named(run):
    outcome = await run("nope")
    assert isinstance(outcome.error, UnknownToolError)
    assert "nope" in str(outcome.error)


async def test_a_tool_the_person_may_not_see_does_not_exist(registry, grants, audit):
    executor = Executor(registry, Hides(), grants, audit)
    outcome = await executor.call(Call(ADA, Client(), "add", {"a": 1}, "1", NullChannel()))
    assert str(outcome.error) == "Unknown tool: add"


async def test_a_tool_the_person_may_not_call_is_refused_with_the_reason(registry, grants, audit):
    executor = Executor(registry, Refuses(), grants, audit)
    outcome = await executor.call(Call(ADA, Client(), "add", {"a": 1}, "1", NullChannel()))
    assert str(outcome.error) == "Ask your administrator."


async def test_a_tool_of_another_tenant_does_not_exist(run, registry):
    tool = registry.find("add")
    registry.replace(["add"], [replace(tool, tenant="acme")])
    assert isinstance((await run("add", a=1)).error, UnknownToolError)

    registry.replace(["add"], [replace(tool, tenant=ADA.tenant)])
    assert isinstance(await run("add", a=1), Done)


async def test_a_tool_that_may_not_have_a_token_is_refused_before_one_is_looked_up(run, registry, grants):
    no = NotAllowedError("An administrator can grant it.")
    registry.replace(["with_token"], [replace(registry.find("with_token"), hindrance=lambda: no)])
    grants.answer = None  # nobody asks for it

    assert (await run("with_token")).error is no


async def test_a_wrong_argument_is_named(run):
    outcome = await run("add", a="two")
    assert isinstance(outcome.error, InvalidArgumentsError)
    assert "a" in str(outcome.error)


@pytest.mark.parametrize("name", ["auth_token", "access_token", "api_key"])
async def test_a_caller_cannot_supply_the_token(run, name):
    outcome = await run("with_token", **{name: "evil"})
    assert isinstance(outcome.error, ReservedArgumentError)


async def test_a_missing_connection_ends_the_call_with_the_link(run, grants):
    grants.answer = NeedsConnection("http://gw/connect/1", "1", "hubspot", "HubSpot", "Connect HubSpot.")
    assert await run("with_token") is grants.answer


async def test_a_provider_that_is_down_is_a_failure_with_its_sentence(run, grants):
    grants.answer = ProviderUnavailableError("HubSpot does not answer. Try again in a minute.")
    assert (await run("with_token")).error is grants.answer


async def test_a_bug_in_a_tool_gives_a_reference_and_never_its_text(run, caplog):
    with caplog.at_level(logging.ERROR):
        outcome = await run("crash")
    assert isinstance(outcome.error, ToolCrashedError)
    assert "hunter2" not in str(outcome.error)
    reference = str(outcome.error).rsplit(" ", 1)[1].rstrip(".")
    assert reference in caplog.text
    assert "hunter2" in caplog.text


async def test_a_tool_that_does_not_end_is_answered_at_its_deadline(run):
    assert isinstance((await run("slow")).error, ToolTimeoutError)


async def test_a_token_in_a_result_is_redacted_in_each_encoding(run):
    structured = (await run("leaky", how="return")).result.structured
    assert structured == {"headers": {"Authorization": f"Bearer {MASK}"}, "reversed": MASK}


async def test_a_redacted_result_is_on_record(run, events, audit):
    await run("leaky", how="return")
    await audit.flush()
    assert [event.action for event in events] == ["output.redacted", "tool.called"]


async def test_a_result_that_breaks_its_declared_schema_is_refused(run):
    outcome = await run("promises")
    assert isinstance(outcome.error, InvalidResultError)
    assert "count" in str(outcome.error)


async def test_a_token_in_an_error_meant_for_the_model_is_redacted(run):
    outcome = await run("leaky", how="tool_error")
    assert isinstance(outcome.error, ToolError)
    assert str(outcome.error) == f"refused: {MASK}"


async def test_a_token_in_what_a_tool_says_on_the_way_is_redacted(run):
    class Host(NullChannel):
        capabilities = frozenset({"form"})

        def __init__(self):
            self.heard = []

        async def progress(self, done, total, message):
            self.heard.append(message)

        async def log(self, level, data, logger):
            self.heard.append(data)

        async def ask(self, asks):
            self.heard.append(asks["q"].message)
            return {"q": Answer("accept")}

    host = Host()
    await run("talkative", channel=host)
    assert host.heard == [f"using {MASK}", {"header": f"Bearer {MASK}"}, f"is {MASK} yours?"]


async def test_a_token_in_a_crash_reaches_neither_caller_nor_log(run, caplog):
    outcome = await run("leaky", how="raise")
    assert TOKEN not in str(outcome.error)
    assert TOKEN not in caplog.text


async def test_a_question_that_needs_another_call_is_an_outcome(run):
    class Later(NullChannel):
        capabilities = frozenset({"form"})

        async def ask(self, asks):
            raise InputNeeded(asks)

    outcome = await run("asks", channel=Later())
    assert isinstance(outcome, NeedsInput)
    assert isinstance(outcome.asks["name"], Form)


async def test_a_tools_time_limit_stands_still_while_a_person_is_asked(run):
    class Slow(NullChannel):
        capabilities = frozenset({"form"})

        async def ask(self, asks):
            thought = asyncio.Event()
            asyncio.get_running_loop().call_later(0.3, thought.set)  # longer than the tool may take
            await thought.wait()
            return {"name": Answer("accept", {"name": "Ada"})}

    assert (await run("asks", channel=Slow())).result.structured == "Ada"


async def test_every_call_is_recorded_with_its_end(run, events, audit):
    await run("add", a=1)
    await run("nope")
    await run("crash")
    await audit.flush()
    assert [(event.tool, event.outcome) for event in events] == [
        ("add", "done"),
        (None, "unknown_tool"),
        ("crash", "tool_crashed"),
    ]
    assert all(event.principal == ADA for event in events)


async def test_a_cancelled_call_is_recorded_as_such(run, events, audit, registry):
    task = asyncio.ensure_future(run("with_token"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await audit.flush()
    assert [event.outcome for event in events] == ["cancelled"]


async def test_a_call_beyond_the_rate_is_not_run_and_takes_nothing_from_anybody_else(registry, grants, audit, events):
    executor = Executor(registry, OnePersonPolicy(), grants, audit, rates=Rates(CallsPerMinute(person=2), lambda: 1.0))
    call = Call(ADA, Client(), "add", {"a": 1}, "1", NullChannel())
    outcomes = [await executor.call(call) for _ in range(3)]
    theirs = await executor.call(replace(call, principal=replace(ADA, subject="bob")))
    await audit.close()

    assert [isinstance(outcome, Done) for outcome in [*outcomes, theirs]] == [True, True, False, True]
    assert outcomes[2].error.message.endswith("Call again in 30 s.")
    assert [event.outcome for event in events] == ["done", "done", "rate_limited", "done"]

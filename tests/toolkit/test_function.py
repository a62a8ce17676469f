"""A tool's run: what is injected, where it runs, and how its trouble is told apart from its caller's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading

import anyio
import pytest

from gateway import Answer, Context, Credential, Form, ToolKitClient
from gateway.errors import InvalidArgumentsError
from gateway.toolkit.context import InputNeeded, NullChannel

TOKEN = "CNRY-token-5d1c8e-of-ada"
HUBSPOT = {"auth_provider": "hubspot", "auth_type": "OAuth2", "auth_with": "access_token"}


@pytest.fixture
def client(shelf):
    return ToolKitClient(app_name="crm")


async def test_a_kwargs_function_finds_the_token_in_its_kwargs(client, run, credential):
    client.register_tool("t", ["name"], [], "d", **HUBSPOT)(lambda **kwargs: kwargs)

    assert await run("t", credential, name="Ada") == {"name": "Ada", "auth_token": TOKEN}


async def test_a_declared_auth_token_is_filled_in(client, run, credential):
    client.register_tool("t", ["name"], ["name"], "d", **HUBSPOT)(lambda name, auth_token: (name, auth_token))

    assert await run("t", credential, name="Ada") == ("Ada", TOKEN)


async def test_a_function_that_asks_for_no_token_gets_none(client, run, credential):
    client.register_tool("t", ["name"], ["name"], "d", **HUBSPOT)(lambda name: name)

    assert await run("t", credential, name="Ada") == "Ada"


async def test_without_a_credential_nothing_is_put_in(client, run):
    client.register_tool("kwargs", [], [], "d", None, None, None)(lambda **kwargs: kwargs)
    client.register_tool("declared", [], [], "d", None, None, None)(lambda auth_token: auth_token)
    client.register_tool("defaulted", [], [], "d", None, None, None)(lambda auth_token="none": auth_token)

    assert await run("kwargs") == {}
    assert await run("declared") is None
    assert await run("defaulted") == "none"


async def test_a_credential_and_a_context_go_where_they_are_annotated(client, run, credential):
    @client.tool(**HUBSPOT)
    async def tool(who: Credential, name: str, ctx: Context | None = None):
        return who, ctx, name

    who, ctx, name = await run("tool", credential, name="Ada")

    assert who is credential
    assert isinstance(ctx, Context)
    assert name == "Ada"


async def test_what_is_injected_wins_over_what_was_sent(client, registry, credential):
    client.tool(function_name="t", **HUBSPOT)(lambda **kwargs: kwargs["auth_token"])

    context = Context(NullChannel(), asyncio.get_running_loop())
    assert await registry.find("t").run({"auth_token": "evil"}, credential, context) == TOKEN


async def test_a_caller_cannot_fill_in_the_context(client, registry):
    @client.tool
    def tool(ctx: Context):
        return ctx

    context = Context(NullChannel(), asyncio.get_running_loop())
    assert registry.find("tool").check({"ctx": 1}) == "Invalid arguments: there is no ctx."
    with pytest.raises(InvalidArgumentsError, match="there is no ctx"):
        await registry.find("tool").run({"ctx": 1}, None, context)


async def test_def_runs_in_a_thread_and_async_def_on_the_loop(client, run):
    @client.tool
    def plain():
        return threading.get_ident()

    @client.tool
    async def on_loop():
        return threading.get_ident()

    assert await run("on_loop") == threading.get_ident()
    assert await run("plain") != threading.get_ident()


async def test_an_async_function_behind_a_plain_decorator_is_awaited(client, run):
    async def inner(name: str):
        await anyio.lowlevel.checkpoint()
        return name

    @client.tool
    def outer(name: str):
        return inner(name)

    assert await run("outer", name="Ada") == "Ada"


async def test_an_object_with_an_async_call_runs_on_the_loop(client, run):
    class Tool:
        async def __call__(self, name: str):
            return name, threading.get_ident()

    client.tool(function_name="t")(Tool())

    assert await run("t", name="Ada") == ("Ada", threading.get_ident())


async def test_context_variables_reach_the_thread_and_do_not_come_back(client, run):
    variable = contextvars.ContextVar("variable", default="unset")

    @client.tool
    def tool():
        before = variable.get()
        variable.set("changed by the tool")
        return before

    variable.set("the caller's")

    assert await run("tool") == "the caller's"
    assert variable.get() == "the caller's"
    assert await run("tool") == "the caller's"


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_tool_that_exits_does_not_end_the_gateway(client, run, kind):
    if kind == "def":

        @client.tool
        def leaves():
            raise SystemExit(3)
    else:

        @client.tool
        async def leaves():
            raise SystemExit(3)

    with pytest.raises(RuntimeError, match="the tool ended with SystemExit"):
        await run("leaves")


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_tool_that_cancels_itself_is_a_bug_and_no_cancelled_call(client, run, kind):
    if kind == "def":

        @client.tool
        def gives_up():
            raise asyncio.CancelledError
    else:

        @client.tool
        async def gives_up():
            raise asyncio.CancelledError

    with pytest.raises(RuntimeError):
        await run("gives_up")


async def test_a_tool_that_raises_stop_iteration_is_an_error_and_no_hang(client, run):
    @client.tool
    def ends():
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await run("ends")


async def test_cancelling_an_async_tool_cancels_it(client, registry):
    ended = anyio.Event()

    @client.tool
    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = registry.find("waits").run({}, None, Context(NullChannel(), asyncio.get_running_loop()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call
    assert ended.is_set()


class Answers(NullChannel):
    """A host whose person answers, once `ready`."""

    capabilities = frozenset({"form"})

    def __init__(self):
        self.ready = asyncio.Event()
        self.asked = threading.Event()

    async def ask(self, asks):
        self.asked.set()
        await self.ready.wait()
        return {key: Answer("accept", {"name": "Ada"}) for key in asks}


async def test_a_plain_tool_asks_from_its_thread(client, run):
    @client.tool
    def tool(ctx: Context):
        return ctx.wait(ctx.ask(Form("Name?", {}))).content["name"]

    channel = Answers()
    channel.ready.set()
    assert await run("tool", None, channel) == "Ada"


async def test_a_question_that_ends_the_call_passes_through_the_thread(client, run):
    class Later(Answers):
        async def ask(self, asks):
            raise InputNeeded(asks)

    @client.tool
    def tool(ctx: Context):
        return ctx.wait(ctx.ask(Form("Name?", {}), key="name"))

    with pytest.raises(InputNeeded) as needed:
        await run("tool", None, Later())
    assert list(needed.value.asks) == ["name"]


async def test_a_thread_that_waits_for_an_answer_ends_when_its_caller_has_gone(client, registry):
    ended = threading.Event()

    @client.tool
    def tool(ctx: Context):
        try:
            ctx.wait(ctx.ask(Form("Name?", {})))
        finally:
            ended.set()

    channel = Answers()
    context = Context(channel, asyncio.get_running_loop())
    call = asyncio.create_task(registry.find("tool").run({}, None, context))
    assert await asyncio.to_thread(channel.asked.wait, 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert await asyncio.to_thread(ended.wait, 5)


async def test_waiting_on_the_loop_s_own_thread_is_refused_and_does_not_hang(client, run):
    @client.tool
    async def tool(ctx: Context):
        return ctx.wait(ctx.ask(Form("Name?", {})))

    with pytest.raises(RuntimeError, match=r"in an `async def` tool write `await ctx.ask"):
        await run("tool")


async def test_waiting_after_the_caller_has_gone_ends_at_once(client):
    context = Context(Answers(), asyncio.get_running_loop())
    context.close()

    def waits():
        with pytest.raises(concurrent.futures.CancelledError):
            context.wait(context.ask(Form("Name?", {})))
        return True

    with anyio.fail_after(5):
        assert await asyncio.to_thread(waits)

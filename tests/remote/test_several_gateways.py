"""A toolkit from afar at one of several gateways is listed and called at all of them, and each call is sent once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.access.key_rules import Rights
from gateway.clock import MovableClock, SystemClock
from gateway.errors import (
    NotAllowedError,
    ToolError,
    ToolkitBusyError,
    ToolkitUnreachableError,
    UnknownOutcomeError,
)
from gateway.remote.elsewhere import Elsewhere, Wanted
from gateway.remote.replicas import GONE
from gateway.toolkit.replica import Replica
from gateway.toolkit.tool_request import ToolRequest
from gateway.types import Credential, Done, Failed
from tests.remote.several_gateways import new_vault, one_of_several, pair
from tests.surfaces.atp.toolkit_house import ADA, SIGNED, soon, until

EXPIRED = {"status": "error", "message": "expired", "category": "EXPIRED_AUTHENTICATION", "error": "invalid_token"}


@pytest.fixture
async def two(database_url):
    async with pair(database_url) as made:
        yield made


@pytest.fixture
async def signed(sqlite_url):
    """Whose tool needs a token."""
    async with pair(sqlite_url, **SIGNED) as made:
        yield made


def error_of(outcome, kind):
    assert isinstance(outcome, Failed), outcome
    assert isinstance(outcome.error, kind), outcome.error
    return str(outcome.error)


async def test_its_tools_come_and_go_at_the_other_gateway(two):
    told = []
    two.a.registry.subscribe(lambda: told.append(len(two.a.registry.tools())))
    async with two.worker():
        assert two.a.registry.tools()[0].description == "Finds."
    await two.a.until_listed()

    assert told == [1, 0]


async def test_a_call_is_answered_by_the_worker_there(two):
    async with two.worker() as worker:
        call = two.a.call(q="Grüße")
        request = await worker.hear()
        await worker.answer(request, {"found": ["Ada \ud83d\ude00"]})
        outcome = await soon(call)

        assert request["params"] == {"q": "Grüße"}
        assert isinstance(outcome, Done), outcome
        assert outcome.result.structured == {"found": ["Ada \U0001f600"]}


async def test_calls_are_answered_in_any_order(two):
    async with two.worker() as worker:
        calls = [two.a.call(q=number) for number in range(3)]
        requests = [await worker.hear() for _ in calls]
        for request in reversed(requests):
            await worker.answer(request, request["params"])

        assert [(await soon(call)).result.structured for call in calls] == [{"q": 0}, {"q": 1}, {"q": 2}]


async def test_a_worker_at_the_same_gateway_is_called_without_asking_the_other(two):
    async with two.worker() as there, two.worker(two.a) as here:
        await until(lambda: two.b.toolkits.find("default", "crm")._holders)
        at_a, at_b = two.a.call(q="a"), two.b.call(q="b")
        for worker, name in ((here, "a"), (there, "b")):
            request = await worker.hear()
            assert request["params"] == {"q": name}
            await worker.answer(request, name)
        assert {(await soon(call)).result.content[0].text for call in (at_a, at_b)} == {"a", "b"}


async def test_a_tools_own_error_comes_back_as_that(two):
    async with two.worker() as worker:
        call = two.a.call(q=1)
        request = await worker.hear()
        said = {"request_id": request["request_id"], "result": {"error": "There is no such contact."}}
        await worker.say({"type": "tool_response", "is_error": True} | said)

        assert error_of(await soon(call), ToolError) == "There is no such contact."


async def test_a_worker_that_dies_with_the_call_leaves_its_outcome_unknown_at_once(two):
    async with two.worker() as worker:
        call = two.a.call(q=1)
        await worker.hear()
        worker.writer.transport.abort()

        assert "Nobody knows whether" in error_of(await soon(call), UnknownOutcomeError)


async def test_a_worker_that_does_not_answer_leaves_it_unknown_when_the_time_is_up(sqlite_url):
    async with pair(sqlite_url, timeout=2) as two, two.worker() as worker:
        call = two.a.call(q=1)
        await worker.hear()

        assert "did not answer in time" in error_of(await soon(call), UnknownOutcomeError)


async def test_workers_that_stay_busy_are_told_apart_from_what_was_sent(sqlite_url):
    async with pair(sqlite_url, timeout=2) as two, two.worker(at_once=1) as worker:
        first = two.a.call(q=1)
        await worker.hear()
        second = two.a.call(q=2)

        assert "was not called" in error_of(await soon(second), ToolkitBusyError)
        assert isinstance((await soon(first)).error, UnknownOutcomeError)


async def test_whoever_hangs_up_gives_the_call_up(two):
    async with two.worker() as worker:
        call = two.a.call(q=1)
        request = await worker.hear()
        toolkit = two.b.toolkits.find("default", "crm")
        call.cancel()
        await asyncio.wait([call])
        ignored = toolkit.ignored
        (held,) = toolkit.workers._members
        await until(held._held[request["request_id"]].end.cancelled)
        await worker.answer(request, "late")
        await until(lambda: toolkit.ignored == ignored + 1)


async def test_a_call_that_no_worker_took_is_not_sent_when_its_caller_has_gone(two):
    async with two.worker(at_once=1) as worker:
        first = two.a.call(q=1)
        request = await worker.hear()
        second = two.a.call(q=2)
        line = two.b.toolkits.find("default", "crm").workers._line
        await until(lambda: len(line) == 1)
        second.cancel()
        await until(lambda: not len(line))
        await worker.answer(request, "first")
        assert (await soon(first)).result.content[0].text == "first"
        third = two.a.call(q=3)
        assert (await worker.hear())["params"] == {"q": 3}
        third.cancel()
        await asyncio.wait([second, third])


async def test_a_token_goes_along_and_is_looked_up_where_the_call_came_in(signed):
    async with signed.worker() as worker:
        call = signed.a.call(q=1)
        request = await worker.hear()
        await worker.answer(request, "done")
        await soon(call)

        assert request["auth_token"] == "ada-token-1"
        assert (signed.a.grants.looked_up, signed.b.grants.looked_up) == (1, 0)


@pytest.mark.parametrize("hints", [{"read_only": True}, {}])
async def test_a_refused_token_is_treated_as_if_the_worker_were_here(sqlite_url, hints):
    """The request to the other gateway is ours and none of the tool's."""
    async with pair(sqlite_url, **SIGNED, annotations=hints) as two, two.worker() as worker:
        call = two.a.call(q=1)
        await worker.answer(await worker.hear(), EXPIRED)
        if hints:
            again = await worker.hear()
            assert again["auth_token"] == "ada-token-2"
            await worker.answer(again, {"found": 1})
            assert (await soon(call)).result.structured == {"found": 1}
            return
        there = str((await soon(call)).result)
        async with two.worker(two.a) as here:
            call = two.a.call(q=1)
            await here.answer(await here.hear(), EXPIRED)
            assert there == str((await soon(call)).result)


async def test_one_call_is_on_record_once(signed):
    async with signed.worker() as worker:
        call = signed.a.call(q=1)
        await worker.answer(await worker.hear(), "done")
        await soon(call)
    for gateway in (signed.a, signed.b):
        await gateway.audit.flush()

    assert [event.action for event in signed.a.recorded if event.tool == "find"].count("tool.called") == 1
    assert "tool.called" not in [event.action for event in signed.b.recorded]


async def test_nobodys_token_is_looked_up_for_a_toolkit_that_was_not_granted_the_provider(sqlite_url):
    async with pair(sqlite_url, **SIGNED) as two, two.worker():
        await two.b.keys.deny(two.key, Rights(providers=frozenset({"hubspot"})), by=ADA)
        toolkit = two.a.toolkits.find("default", "crm")
        await until(lambda: not toolkit._keys_elsewhere[0].providers)

        said = error_of(await soon(two.a.call(q=1)), NotAllowedError)

        assert f"keys allow {two.key.prefix} --provider hubspot" in said
        assert two.a.grants.looked_up == 0


async def test_the_gateway_that_has_the_worker_asks_the_workers_own_key(signed):
    """Where the other gateway has not heard yet that the grant is gone."""
    async with signed.worker() as worker:
        toolkit = signed.b.toolkits.find("default", "crm")
        toolkit.not_granted = lambda key, provider: NotAllowedError("no")

        assert error_of(await soon(signed.a.call(q=1)), NotAllowedError) == "no"
        del toolkit.not_granted
        call = signed.a.call(q=2)
        assert (await worker.hear())["params"] == {"q": 2}
        call.cancel()


async def test_a_gateway_that_ends_takes_its_toolkits_along(database_url):
    vault = new_vault()
    async with one_of_several(database_url, vault) as a:
        async with one_of_several(database_url, vault) as b:
            _, text = await b.key()
            await b.register(text)
            async with b.worker(text, at_once=1) as worker:
                await worker.hear("atp_client_connected")
                await a.until_listed("find")
        await a.until_listed()

        assert isinstance((await soon(a.call(q=1))).error, Exception)


async def test_a_gateway_that_is_not_heard_of_is_gone_after_a_while(database_url):
    clock, vault = MovableClock(), new_vault()
    others = pair(database_url, MovableClock())
    async with others as two, two.worker(), one_of_several(database_url, vault, clock) as c:
        await c.until_listed("find")
        clock.advance(GONE + timedelta(seconds=1))
        await c.until_listed()


async def test_a_gateway_that_nothing_listens_at_was_not_sent_the_call(two):
    async with two.worker():
        toolkit = two.a.toolkits.find("default", "crm")
        gone = replace(toolkit._holders[0], url="http://127.0.0.1:9")
        toolkit._holders = (gone,)

        assert "find was not called" in error_of(await soon(two.a.call(q=1)), ToolkitUnreachableError)


async def test_another_holder_is_asked_once_where_the_first_was_not_sent_the_call(two):
    async with two.worker() as worker:
        toolkit = two.a.toolkits.find("default", "crm")
        real = toolkit._holders[0]
        for number in range(6):  # whichever is asked first
            toolkit._holders = (replace(real, id=str(number), url="http://127.0.0.1:9"), real)
            call = two.a.call(q=1)
            await worker.answer(await worker.hear(), "done")
            assert (await soon(call)).result.content[0].text == "done"


async def test_one_that_could_not_be_reached_is_asked_after_the_others_for_a_while(two, caplog):
    async with two.worker():
        toolkit = two.a.toolkits.find("default", "crm")
        real = toolkit._holders[0]
        toolkit._holders = (replace(real, url="http://127.0.0.1:9"),)
        for _ in range(3):
            error_of(await soon(two.a.call(q=1)), ToolkitUnreachableError)
        assert sum("cannot be reached" in record.message for record in caplog.records) == 1

        asked = []
        two.a.toolkits._replicas.elsewhere._ask = ask_of(asked)
        toolkit._holders += (real,)
        for _ in range(8):
            await soon(two.a.call(q=2))
        assert asked == [real] * 8


def ask_of(asked):
    async def ask(holder, wanted, until, *, waits):
        asked.append(holder)
        return "done"

    return ask


async def test_a_gateway_that_came_back_at_the_same_address_refuses_what_was_for_the_former(two):
    async with two.worker():
        toolkit = two.a.toolkits.find("default", "crm")
        toolkit._holders = (replace(toolkit._holders[0], id="former"),)

        assert "find was not called" in error_of(await soon(two.a.call(q=1)), ToolkitUnreachableError)


async def test_a_call_waits_for_a_worker_that_comes_back(two):
    two.b.toolkits.find("default", "crm").workers._patience = 5.0
    async with two.worker():
        pass
    call = two.a.call(q=1)
    async with two.worker(listed=False) as worker:
        await worker.answer(await worker.hear(), "back")
        assert (await soon(call)).result.content[0].text == "back"


async def test_a_call_is_never_passed_on(two):
    """Where a gateway has no worker of a toolkit, the call ends there, though it knows of one that has."""
    async with two.worker(two.a) as worker:
        await until(lambda: two.b.toolkits.find("default", "crm")._holders == (two.a.own,))
        wanted = Wanted("default", "crm", ToolRequest("find", {"q": "round"}))
        with pytest.raises(ToolkitUnreachableError):
            await two.a.toolkits._replicas.elsewhere.call(wanted, [two.b.own], 2.0)

        call = two.b.call(q="once")
        request = await worker.hear()
        assert request["params"] == {"q": "once"}
        await worker.answer(request, "done")
        assert (await soon(call)).result.content[0].text == "done"


async def test_a_gateway_without_a_worker_says_so_at_once_where_another_one_may_have_one(two):
    async with two.worker(two.a):
        await until(lambda: two.b.toolkits.find("default", "crm")._holders)
        toolkit = two.b.toolkits.find("default", "crm")
        toolkit.workers._patience = 60.0
        with pytest.raises(ToolkitUnreachableError):
            await soon(toolkit.call_here(ToolRequest("find", {}), 60.0, waits=False))


async def test_a_call_does_not_wait_at_a_gateway_without_workers_while_another_has_one(sqlite_url):
    async with pair(sqlite_url) as two, two.worker() as worker, one_of_several(sqlite_url, two.vault) as c:
        await c.until_listed("find")
        c.toolkits.find("default", "crm").workers._patience = 60.0
        ask = two.a.toolkits._replicas.elsewhere.call
        for number in range(6):  # whichever is asked first
            wanted = Wanted("default", "crm", ToolRequest("find", {"q": number}))
            call = asyncio.create_task(ask(wanted, [c.own, two.b.own], 60.0))
            await worker.answer(await worker.hear(), number)
            assert await soon(call) == number


@pytest.mark.parametrize(
    "request_",
    [
        ToolRequest("list", {}),
        ToolRequest("find", {}),
        ToolRequest("find", {}, Credential("salesforce", "token")),
    ],
    ids=["an unknown tool", "no token", "a token of another provider"],
)
async def test_a_worker_is_not_sent_what_its_tool_is_not_known_to_take(signed, request_):
    async with signed.worker() as worker:
        ask = signed.a.toolkits._replicas.elsewhere.call
        with pytest.raises(ToolkitUnreachableError):
            await ask(Wanted("default", "crm", request_), [signed.b.own], 5.0)

        call = signed.a.call(q="own")
        assert (await worker.hear())["params"] == {"q": "own"}
        call.cancel()


@pytest.mark.parametrize(
    ("answers", "seconds"), [(b"", 60), (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", 60), (None, 0.5)]
)
async def test_a_link_that_breaks_after_the_request_leaves_the_outcome_unknown(two, answers, seconds):
    """Hung up, hung up in the answer, or silent until the time is up. Nobody else is asked."""
    asked = []

    async def there(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if answers is not None:
            writer.write(answers)
            writer.close()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(there, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        others = [Replica("x", url), Replica("y", url)]
        wanted = Wanted("default", "crm", ToolRequest("find", {}))
        with pytest.raises(UnknownOutcomeError, match="Nobody knows"):
            await soon(two.a.toolkits._replicas.elsewhere.call(wanted, others, seconds))

    assert len(asked) == 1


async def test_more_calls_than_may_be_under_way_are_not_sent(two):
    way = Elsewhere(two.vault.derive, SystemClock(), most_at_once=2, connect_seconds=0.2)
    async with two.worker() as worker:
        two.a.toolkits.find("default", "crm")._elsewhere = way
        calls = [two.a.call(q=number) for number in range(2)]
        requests = [await worker.hear() for _ in calls]
        assert "was not called" in error_of(await soon(two.a.call(q=3)), ToolkitBusyError)
        for request in requests:
            await worker.answer(request, "done")
        assert [(await soon(call)).result.content[0].text for call in calls] == ["done", "done"]
    await way.close()


async def test_a_gateway_without_workers_writes_nothing(two):
    async with two.worker():
        seen = await two.b.toolkits._replicas.look()
        assert not seen.holdings

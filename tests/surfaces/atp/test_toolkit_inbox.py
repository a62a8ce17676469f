"""The polled inbox: a call is answered at once, none is eaten or sent twice, and nothing is believed twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
import pytest

from gateway.errors import NotAllowedError, UnknownOutcomeError
from gateway.store.store import Store
from gateway.toolkit.tool_request import ToolRequest
from gateway.types import Credential
from tests.surfaces.atp.toolkit_house import ADA, SIGNED, House, a_moment, house, soon, until

Open = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
async def one_store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await Store.open(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
def opened(one_store: Store) -> Open:
    return lambda **more: house(one_store, **more)


def polling(here: House, key: str) -> asyncio.Task[httpx2.Response]:
    return asyncio.create_task(here.get(f"/api/v1/toolkit/{key}/inbox"))


async def respond(here: House, key: str, request_id: Any, response: Any) -> Any:
    answer = await here.post(f"/api/v1/toolkit/{key}/inbox/respond", {"request_id": request_id, "response": response})
    assert answer.status_code == 200, answer.text
    return answer.json()["status"]


async def test_an_open_poll_is_answered_as_soon_as_there_is_a_call(opened: Open) -> None:
    async with opened(held_seconds=30) as here:
        _, text = await here.key()
        await here.register(text)
        poll = polling(here, text)
        await here.until_listed("find")
        call = here.call(q="x")
        request = (await soon(poll, 1)).json()

        assert request == {
            "request_id": request["request_id"], "tool_name": "find", "params": {"q": "x"}, "auth_token": None
        }  # fmt: skip
        assert await respond(here, text, request["request_id"], {"found": 1}) == "received"
        assert (await soon(call)).result.structured == {"found": 1}


async def test_a_call_that_waits_is_there_for_the_next_poll_and_an_empty_inbox_is_an_empty_object(opened: Open) -> None:
    async with opened(held_seconds=0.1) as here:
        _, text = await here.key()
        await here.register(text)
        assert (await soon(polling(here, text))).json() == {}
        call = here.call()
        await a_moment(0.05)

        request = (await soon(polling(here, text))).json()
        await respond(here, text, request["request_id"], None)
        await soon(call)


async def test_a_poll_whose_client_has_gone_takes_no_call(opened: Open) -> None:
    async with opened(held_seconds=30) as here:
        key, text = await here.key()
        await here.register(text)
        toolkit = await here.toolkits.of(key)
        for _ in range(5):
            gone = polling(here, text)
            await until(lambda: len(toolkit.workers._line._idle) == 1)
            gone.cancel()
            call = here.call()
            request = (await soon(polling(here, text))).json()

            await respond(here, text, request["request_id"], "got")
            assert (await soon(call)).result.structured == "got"
            await until(lambda: len(toolkit.workers._line._idle) == 0)


async def test_a_poll_whose_client_has_gone_is_ended_at_once(opened: Open) -> None:
    async with opened(held_seconds=30) as here:
        key, text = await here.key()
        toolkit = await here.toolkits.of(key)
        gone = polling(here, text)
        await until(lambda: len(toolkit.workers._line._idle) == 1)
        gone.cancel()

        await until(lambda: len(toolkit.workers._line._idle) == 0)


async def test_answers_that_are_late_twice_made_up_or_another_toolkits_are_ignored(opened: Open) -> None:
    async with opened() as here:
        key, text = await here.key()
        _, of_other = await here.key("sales")
        await here.register(text)
        await here.register(text, "quick", timeout=1)
        assert await respond(here, text, "0" * 32, 1) == "ignored"
        poll = polling(here, text)
        await here.until_listed("find", "quick")
        call = here.call()
        request_id = (await soon(poll)).json()["request_id"]
        for foreign in (request_id, None, 7, {}, "0" * 32):
            assert await respond(here, of_other, foreign, "forged") == "ignored"
        assert await respond(here, text, request_id, "true") == "received"
        assert await respond(here, text, request_id, "twice") == "ignored"
        assert (await soon(call)).result.structured == "true"

        poll, call = polling(here, text), here.call("quick")
        request_id = (await soon(poll)).json()["request_id"]
        assert isinstance((await soon(call)).error, UnknownOutcomeError)
        assert await respond(here, text, request_id, "late") == "ignored"
        assert (await here.toolkits.of(key)).ignored == 3


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_an_answer_that_cannot_be_read_is_ignored(opened: Open, body: bytes) -> None:
    async with opened() as here:
        _, text = await here.key()
        answer = await here.post(f"/api/v1/toolkit/{text}/inbox/respond", body)

        assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})


async def test_a_poller_is_there_until_nothing_has_been_heard_of_it_for_a_while(opened: Open) -> None:
    async with opened(held_seconds=0.01, stays_seconds=0.2) as here:
        _, text = await here.key()
        await here.register(text)
        for _ in range(3):
            await soon(polling(here, text))
            await a_moment(0.12)
            assert [tool.name for tool in here.registry.tools()] == ["find"]
        await here.until_listed()


async def test_polls_and_sockets_of_one_toolkit_share_its_calls(opened: Open) -> None:
    async with opened(held_seconds=30) as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await worker.hear("atp_client_connected")
            poll = polling(here, text)
            key = await here.keys.called(text)
            toolkit = await here.toolkits.of(key)
            await until(lambda: len(toolkit.workers._line._idle) == 2)
            calls = [here.call(), here.call()]
            await worker.answer(await worker.hear(), 0)
            await respond(here, text, (await soon(poll)).json()["request_id"], 0)

            await soon(asyncio.gather(*calls))


async def test_a_key_that_is_revoked_ends_an_open_poll_and_takes_the_tools_away(opened: Open) -> None:
    async with opened(held_seconds=30) as here:
        key, text = await here.key()
        await here.register(text)
        poll = polling(here, text)
        await here.until_listed("find")
        await here.keys.revoke(key, by=ADA)

        assert (await soon(poll)).status_code == 401
        await here.until_listed()


async def test_a_poll_with_a_key_that_was_not_granted_a_provider_gets_no_token_of_it(opened: Open) -> None:
    async with opened(held_seconds=30) as here:
        key, text = await here.key()
        _, granted = await here.key(providers=("hubspot",))
        await here.register(granted, **SIGNED)
        poll = polling(here, granted)
        await here.until_listed("find")
        call = here.call()
        request = (await soon(poll)).json()
        assert request["auth_token"] == "ada-token-1"
        await respond(here, granted, request["request_id"], 1)
        await soon(call)

        lesser = polling(here, text)
        toolkit = await here.toolkits.of(key)
        await until(lambda: len(toolkit.workers._line._idle) == 1)
        assert isinstance((await soon(here.call())).error, NotAllowedError)
        assert here.grants.looked_up == 1
        with pytest.raises(NotAllowedError):
            await soon(toolkit.workers.call(ToolRequest("find", {}, Credential("hubspot", "ada-token")), 5))
        assert not lesser.done()
        lesser.cancel()


async def test_the_key_may_be_in_a_header(opened: Open) -> None:
    async with opened(held_seconds=0.01) as here:
        _, text = await here.key()
        headers = {"Authorization": f"ApiKey {text}"}

        assert (await here.get("/api/v1/toolkit/inbox", headers=headers)).json() == {}
        answer = await here.post("/api/v1/toolkit/inbox/respond", {"request_id": "x"}, headers=headers)
        assert answer.json() == {"status": "ignored"}
        assert (await here.get("/api/v1/toolkit/inbox")).status_code == 401


@pytest.mark.parametrize("prefer", ["wait=0", "respond-async, wait=0", "wait = 0; x=1"])
async def test_a_worker_says_how_long_it_wants_to_wait(opened: Any, prefer: str) -> None:
    """RFC 7240 section 4.3. Without it this poll would be held for five seconds."""
    async with opened(held_seconds=5.0) as here:
        _, text = await here.key()

        headers = {"Authorization": f"ApiKey {text}", "Prefer": prefer}
        answer = await soon(here.get("/api/v1/toolkit/inbox", headers=headers), 3.0)

        assert (answer.status_code, answer.json()) == (200, {})

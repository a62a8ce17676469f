"""A worker's WebSocket, by hand: what is sent when, who is cut off, and that no token goes where it was not granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from gateway.access.key_rules import Rights
from gateway.errors import InvalidResultError, NotAllowedError, UnknownOutcomeError
from gateway.key_types import KeyKind
from gateway.redaction import MASK
from gateway.store.store import Store
from gateway.surfaces.atp.pace import Pace
from gateway.surfaces.atp.toolkit_socket import Times
from gateway.toolkit.tool_request import ToolRequest
from gateway.types import Credential, Done, Failed
from tests.surfaces.atp.toolkit_house import ADA, SIGNED, House, Worker, a_moment, house, soon, until

Open = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
async def one_store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await Store.open(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
def opened(one_store: Store) -> Open:
    return lambda **more: house(one_store, **more)


async def greeted(worker: Worker) -> None:
    assert worker.status == "101", worker.body
    await worker.hear("atp_client_connected")


async def test_a_call_goes_out_and_its_answer_comes_back(opened: Open) -> None:
    async with opened() as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await greeted(worker)
            call = here.call(q="x")
            request = await worker.hear()
            await worker.answer(request, {"found": 1})

            assert request == {
                "request_id": request["request_id"], "tool_name": "find", "params": {"q": "x"}, "auth_token": None
            }  # fmt: skip
            assert (await soon(call)).result.structured == {"found": 1}


async def test_the_published_client_gets_one_call_at_a_time_and_ours_as_many_as_it_says(opened: Open) -> None:
    async with opened() as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await greeted(worker)
            calls = [here.call(), here.call()]
            first = await worker.hear()
            following = asyncio.create_task(worker.hear())
            await a_moment(0.05)
            assert not following.done()
            await worker.answer(first, 1)
            await worker.answer(await following, 2)
            await soon(asyncio.gather(*calls))
        async with here.worker(text, at_once=3) as worker:
            await greeted(worker)
            calls = [here.call() for _ in range(4)]
            held = [await worker.hear() for _ in range(3)]
            for request in reversed(held):
                await worker.answer(request, 0)
            await worker.answer(await worker.hear(), 0)
            assert all(isinstance(each, Done) for each in await soon(asyncio.gather(*calls)))


@pytest.mark.parametrize("said", ["0", "33", "-1", "x", "1" * 50, "٣"])
async def test_a_number_of_calls_that_cannot_be_meant_is_refused(opened: Open, said: str) -> None:
    async with opened() as here:
        _, text = await here.key()
        async with here.worker(text, 1, **{"ATP-Concurrency": said.encode().decode("latin-1")}) as worker:
            assert worker.status == "400"


async def test_another_sites_page_is_refused_before_anything_is_accepted(opened: Open) -> None:
    async with opened() as here:
        _, text = await here.key()
        async with here.worker(text, Origin="http://evil.example") as worker:
            assert worker.status == "403"
        async with here.worker(text, Origin=here.base_url) as worker:  # the SDK's library sends it of itself
            await greeted(worker)


async def test_a_key_of_the_wrong_kind_or_none_is_told_why_without_being_repeated(opened: Open) -> None:
    async with opened() as here:
        _, of_app = await here.key("Notes", KeyKind.APP)
        for shown, status in ((of_app, "403"), ("atpg_toolkit_nope", "401"), ("", "401")):
            async with here.worker(shown) as worker:
                assert worker.status == status
                assert "atp-gateway keys create toolkit NAME" in worker.body
                assert not shown or shown not in worker.body


async def test_whoever_is_refused_waits_before_they_are_told(opened: Open) -> None:
    async with opened(pace=Pace(refused_seconds=0.2)) as here:
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with here.worker("nope") as worker:
            assert worker.status == "401"

        assert loop.time() - started > 0.09


async def test_answers_that_nobody_waits_for_are_counted_and_reach_nobody(opened: Open) -> None:
    async with opened() as here:
        key, text = await here.key()
        _, of_other = await here.key("sales")
        await here.register(text)
        async with here.worker(text) as worker, here.worker(of_other) as other:
            await greeted(worker)
            await greeted(other)
            call = here.call()
            request = await worker.hear()
            await other.answer(request, "forged")
            for nonsense in ("{", "[]", '"x"', "{}", '{"type":"tool_response","request_id":7}', "[" * 100_000):
                await worker.say(nonsense)
            await worker.say({"type": "app_response", "request_id": request["request_id"], "result": "no"})
            await worker.answer({"request_id": "0" * 32}, "forged")
            await worker.answer(request, "true")
            await worker.answer(request, "twice")

            assert (await soon(call)).result.structured == "true"
            toolkit = await here.toolkits.of(key)
            await until(lambda: toolkit.ignored == 9)


async def test_a_worker_whose_call_ran_out_of_time_gets_the_next_when_it_follows_again(opened: Open) -> None:
    """An unknown tool is never answered, and a slow one late: the pong tells that the published client is free."""
    async with opened() as here:
        _, text = await here.key()
        await here.register(text, timeout=1)
        async with here.worker(text) as worker:
            await greeted(worker)
            late = here.call()
            await worker.hear()
            assert isinstance((await soon(late)).error, UnknownOutcomeError)
            call = here.call()
            await worker.pinged()
            await worker.pong()
            await worker.answer(await worker.hear(), "free again")

            assert (await soon(call)).result.structured == "free again"


async def test_a_late_answer_is_dropped_and_makes_the_worker_free(opened: Open) -> None:
    async with opened() as here:
        _, text = await here.key()
        await here.register(text, timeout=1)
        async with here.worker(text, at_once=1) as worker:
            await greeted(worker)
            late = here.call()
            request = await worker.hear()
            assert isinstance((await soon(late)).error, UnknownOutcomeError)
            call = here.call()
            await worker.answer(request, "too late")
            await worker.answer(await worker.hear(), "in time")

            assert (await soon(call)).result.structured == "in time"


QUICK = Times(key=60, ping=0.25, pong=0.25, stuck=60, grace=0.05)


async def test_an_idle_worker_that_does_not_answer_pings_is_cut_off_and_its_tools_go(opened: Open) -> None:
    async with opened(times=QUICK) as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await greeted(worker)
            await here.until_listed("find")

            assert await worker.closed() == 1011
            await here.until_listed()


async def test_a_busy_worker_is_not_cut_off_for_a_ping_that_it_cannot_answer(opened: Open) -> None:
    async with opened(times=QUICK) as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await greeted(worker)
            call = here.call()
            request = await worker.hear()
            await a_moment(0.8)
            await worker.answer(request, "done")

            assert (await soon(call)).result.structured == "done"


async def test_a_client_of_ours_that_does_not_answer_pings_is_cut_off_though_it_is_busy(opened: Open) -> None:
    async with opened(times=QUICK) as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text, at_once=4) as worker:
            await greeted(worker)
            call = here.call()
            await worker.hear()

            assert await worker.closed() == 1011
            assert isinstance((await soon(call)).error, UnknownOutcomeError)


async def test_a_worker_that_stays_stuck_in_a_call_is_cut_off_in_the_end(opened: Open) -> None:
    async with opened(times=Times(key=60, ping=0.1, pong=60, stuck=0.2, grace=0.05)) as here:
        _, text = await here.key()
        await here.register(text, timeout=1)
        async with here.worker(text) as worker:
            await greeted(worker)
            call = here.call()
            await worker.hear()

            assert await worker.closed() == 1011
            assert isinstance((await soon(call)).error, UnknownOutcomeError)


async def test_a_worker_that_hangs_up_ends_its_call_at_once_and_comes_back_unnoticed(opened: Open) -> None:
    async with opened(times=Times(grace=5)) as here:
        _, text = await here.key()
        await here.register(text)
        told: list[Any] = []
        async with here.worker(text) as worker:
            await greeted(worker)
            await here.until_listed("find")
            here.registry.subscribe(lambda: told.append(here.registry.tools()))
            call = here.call()
            await worker.hear()
        assert isinstance((await soon(call, 1)).error, UnknownOutcomeError)
        call = here.call()
        async with here.worker(text) as worker:
            await greeted(worker)
            await worker.answer(await worker.hear(), "back")

            assert (await soon(call)).result.structured == "back"
        assert told == []


async def test_a_key_that_is_revoked_closes_the_socket_and_takes_the_tools_away(opened: Open) -> None:
    async with opened(times=Times(key=0.05, grace=60)) as here:
        key, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await greeted(worker)
            await here.until_listed("find")
            await here.keys.revoke(key, by=ADA)

            assert await worker.closed() == 1008
            await here.until_listed()


async def test_a_token_goes_only_to_a_toolkit_that_was_granted_its_provider(opened: Open) -> None:
    async with opened() as here:
        key, text = await here.key()
        await here.register(text, **SIGNED)
        await here.register(text, "plain")
        async with here.worker(text) as worker:
            await greeted(worker)
            refused = await soon(here.call())
            assert isinstance(refused, Failed)
            assert isinstance(refused.error, NotAllowedError)
            assert f"atp-gateway keys allow {key.prefix} --provider hubspot" in refused.error.message
            assert here.grants.looked_up == 0

            await here.keys.allow(key, Rights(providers=("hubspot",)), by=ADA)
            toolkit = await here.toolkits.of(key)
            await until(lambda: all("hubspot" in shown.providers for shown in toolkit._keys.values()))
            call, plain = here.call(), here.call("plain")
            request = await worker.hear()
            await worker.answer(request, request["auth_token"])
            assert request["auth_token"] == "ada-token-1"
            request = await worker.hear()
            await worker.answer(request, 1)
            assert request["auth_token"] is None

            assert (await soon(call)).result.structured == MASK
            await soon(plain)


async def test_a_worker_that_comes_with_a_lesser_key_in_between_is_not_sent_the_token(opened: Open) -> None:
    async with opened() as here:
        key, text = await here.key()
        async with here.worker(text) as worker:
            await greeted(worker)
            toolkit = await here.toolkits.of(key)
            signed = ToolRequest("find", {}, Credential("hubspot", "ada-token"))
            with pytest.raises(NotAllowedError):
                await soon(toolkit.workers.call(signed, 5))
            plain = asyncio.create_task(toolkit.workers.call(ToolRequest("plain", {}), 5))

            assert (await worker.hear())["tool_name"] == "plain"
            plain.cancel()


EXPIRED = {"status": "error", "message": "expired", "category": "EXPIRED_AUTHENTICATION", "error": "invalid_token"}


@pytest.mark.parametrize("hints", [{"read_only": True}, {"idempotent": True}, {}])
async def test_a_refused_token_is_renewed_and_only_a_harmless_tool_is_run_again(
    opened: Open, hints: dict[str, bool]
) -> None:
    async with opened() as here:
        _, text = await here.key(providers=("hubspot",))
        await here.register(text, **SIGNED, annotations=hints)
        async with here.worker(text) as worker:
            await greeted(worker)
            call = here.call()
            await worker.answer(await worker.hear(), EXPIRED)
            if hints:
                again = await worker.hear()
                assert again["auth_token"] == "ada-token-2"
                await worker.answer(again, {"found": 1})
                assert (await soon(call)).result.structured == {"found": 1}
            else:
                result = (await soon(call)).result
                assert result.is_error
                assert "so it was not run again" in str(result.content[0])


async def test_results_pass_the_same_limit_as_those_of_this_process(opened: Open) -> None:
    async with opened() as here:
        _, text = await here.key()
        await here.register(text)
        async with here.worker(text) as worker:
            await greeted(worker)
            for result in ("x" * ((1 << 20) + 1), float("nan")):
                call = here.call()
                await worker.answer(await worker.hear(), result)
                assert isinstance((await soon(call)).error, InvalidResultError)
            call = here.call()
            await worker.answer(await worker.hear(), "я" * 300_000)  # each letter is six in the JSON of the SDK
            assert isinstance(await soon(call), Done)


async def test_a_storm_of_connections_of_one_key_is_slowed_and_does_not_disturb_another(opened: Open) -> None:
    async with opened(pace=Pace(2, 2, longest_wait=0.3, refused_seconds=0.01)) as here:
        _, text = await here.key()
        _, of_other = await here.key("sales")

        async def connect(key: str) -> str:
            async with here.worker(key) as worker:
                return worker.status

        storm = await soon(asyncio.gather(*(connect(text) for _ in range(30)), connect(of_other)))

    assert storm[-1] == "101"
    assert storm.count("503") >= 20
    assert set(storm) == {"101", "503"}

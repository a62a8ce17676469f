"""What strangers send to the way in for other gateways: nothing happens, and it looks like a path that is not there.

But for a mark that is as good as random to them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from gateway.errors import ToolkitUnreachableError, UnknownOutcomeError
from gateway.remote.elsewhere import LONGEST_END, PATH
from gateway.remote.sealed_call import MARK, CallSeal, SentCall
from gateway.remote.sealed_call import meaningless_mark as new_mark
from gateway.surfaces.edge import BODY_LIMIT
from gateway.testing.serving import serving
from gateway.toolkit.replica import Replica
from gateway.toolkit.tool_request import ToolRequest
from tests.remote.several_gateways import new_vault, pair
from tests.surfaces.atp.toolkit_house import soon


@pytest.fixture
async def two(sqlite_url):
    async with pair(sqlite_url) as made:
        yield made


def call(**changes):
    return SentCall("default", "crm", ToolRequest("find", {"q": "forged"}, **changes), 30.0, waits=True)


def sealed(two, *, derive=None, to=None, age=0.0):
    seal = CallSeal(derive or two.vault.derive, to or two.b.own)
    return seal.seal_call(call(), datetime.now(UTC) - timedelta(seconds=age))


def of_purpose(two, purpose):
    return sealed(two, derive=lambda _: two.vault.derive(purpose))


HOSTILE = {
    "nothing": lambda two: b"",
    "a form": lambda two: b"tool=find&q=1",
    "JSON": lambda two: b'{"tool": "find", "tenant": "default", "toolkit": "crm", "arguments": {}}',
    "random": lambda two: b"\x01" + secrets.token_bytes(300),
    "cut short": lambda two: sealed(two)[:-1],
    "only the head": lambda two: sealed(two)[:9],
    "a changed byte": lambda two: sealed(two)[:-1] + b"\0",
    "with more behind it": lambda two: sealed(two) + b"\0",
    "too old": lambda two: sealed(two, age=11),
    "of a time to come": lambda two: sealed(two, age=-11),
    "for another gateway": lambda two: sealed(two, to=two.a.own),
    "for this one before it was started again": lambda two: sealed(two, to=Replica("former", two.b.own.url)),
    "by another vault": lambda two: sealed(two, derive=new_vault().derive),
    "by a key for something else": lambda two: of_purpose(two, "request-state"),
    "almost as much as is taken": lambda two: b"\x01" * BODY_LIMIT,
}


async def send(two, body, method="POST", **headers):
    async with httpx2.AsyncClient(base_url=two.b.base_url, timeout=10) as client:
        answer = await client.request(method, PATH, content=body, headers=headers)
        nothing = await client.request(method, "/nowhere", headers=headers)
    del answer.headers["date"], nothing.headers["date"]
    marks = [answer.headers.pop(MARK, ""), new_mark()]
    if answer.status_code == 404:
        assert len({*marks}) == 2
        assert [len(bytes.fromhex(mark)) for mark in marks] == [28, 28]
    return answer, nothing


async def assert_nothing_came(two, worker):
    """The next call that the worker is sent is ours."""
    own = two.a.call(q="own")
    request = await worker.hear()
    assert request["params"] == {"q": "own"}
    await worker.answer(request, "done")
    await soon(own)


@pytest.mark.parametrize("forge", HOSTILE.values(), ids=HOSTILE)
async def test_it_is_refused_before_anything_happens(two, forge):
    async with two.worker() as worker:
        answer, nothing = await send(two, forge(two))

        assert (answer.status_code, answer.content, answer.headers) == (404, nothing.content, nothing.headers)
        await assert_nothing_came(two, worker)


async def test_the_same_call_is_made_once_however_often_it_is_brought(two):
    async with two.worker() as worker:
        body = sealed(two)
        async with httpx2.AsyncClient(base_url=two.b.base_url, timeout=10) as client:
            first = asyncio.create_task(client.post(PATH, content=body))
            request = await worker.hear()
            meanwhile, nothing = await send(two, body)
            await worker.answer(request, "done")
            made = await soon(first)
        again, _ = await send(two, body)

        assert made.status_code == 200
        assert [each.status_code for each in (meanwhile, again)] == [404, 404]
        assert meanwhile.content == again.content == nothing.content
        await assert_nothing_came(two, worker)


async def test_the_same_call_sealed_anew_is_still_the_same(two):
    async with two.worker(at_once=1) as worker:
        seal = CallSeal(two.vault.derive, two.b.own)
        same = call(id="the same")
        first = asyncio.create_task(send(two, seal.seal_call(same, datetime.now(UTC))))
        await worker.answer(await worker.hear(), "done")
        await soon(first)
        again, _ = await send(two, seal.seal_call(same, datetime.now(UTC)))

        assert again.status_code == 404


async def test_what_something_on_the_way_brings_twice_may_have_run(two):
    """As a proxy does that tries again: whoever sealed the call is told, and asks nobody else."""
    async with two.worker() as worker:
        first = []

        async def proxy(scope, receive, send):
            body = (await receive())["body"]
            async with httpx2.AsyncClient(base_url=two.b.base_url, timeout=10) as client:
                first.append(asyncio.create_task(send_once(two, body)))
                first.append(await worker.hear())
                again = await client.post(PATH, content=body)
            headers = [(name.lower(), value) for name, value in again.headers.raw]
            await send({"type": "http.response.start", "status": again.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": again.content})

        async with serving(proxy) as url:
            toolkit = two.a.toolkits.find("default", "crm")
            by_proxy = Replica(two.b.own.id, url)
            toolkit._holders = (by_proxy, replace(by_proxy, url=url + "/"))
            outcome = await soon(two.a.call(q=1))

        assert isinstance(outcome.error, UnknownOutcomeError), outcome
        assert "brought it twice" in str(outcome.error)
        await worker.answer(first[1], "done")
        await soon(first[0])
        toolkit._holders = (two.b.own,)
        await assert_nothing_came(two, worker)


async def send_once(two, body):
    async with httpx2.AsyncClient(base_url=two.b.base_url, timeout=10) as client:
        return await client.post(PATH, content=body)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_no_other_method_is_there(two, method):
    async with two.worker() as worker:
        answer, nothing = await send(two, sealed(two), method)

        assert (answer.status_code, answer.content) == (404, nothing.content)
        await assert_nothing_came(two, worker)


async def test_a_huge_body_is_not_read(two):
    answer, _ = await send(two, b"\x01" * (BODY_LIMIT + 1))

    assert answer.status_code == 413


async def test_a_page_of_another_site_does_not_get_there(two):
    async with two.worker() as worker:
        answer, _ = await send(two, sealed(two), origin="https://evil.example")

        assert answer.status_code == 403
        await assert_nothing_came(two, worker)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", UnknownOutcomeError),
        (200, b'{"value": "forged"}', UnknownOutcomeError),
        (200, b"\x01" * 300, UnknownOutcomeError),
        (200, b"\x01" * (LONGEST_END + 1), UnknownOutcomeError),
        (302, b"", UnknownOutcomeError),
        (500, b"", UnknownOutcomeError),
        (502, b"", UnknownOutcomeError),
        (404, b"", ToolkitUnreachableError),
        (413, b"", ToolkitUnreachableError),
    ],
)
async def test_what_something_else_answers_at_that_address_is_no_result(two, status, body, kind):
    asked = []

    async def stranger(scope, receive, send):
        asked.append(scope["path"])
        headers = [(b"location", b"http://127.0.0.1:9/"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with two.worker(), serving(stranger) as url:
        toolkit = two.a.toolkits.find("default", "crm")
        toolkit._holders = (Replica("x", url), Replica("y", url))
        outcome = await soon(two.a.call(q=1))

    assert isinstance(outcome.error, kind)
    assert asked == [PATH] * (2 if kind is ToolkitUnreachableError else 1)

"""What a worker is sent, and what its answers mean: the published SDK's, and ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import ToolError
from gateway.surfaces.atp.worker_words import answered, as_sent
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Workers
from gateway.types import Credential

CREDENTIAL = Credential(
    "salesforce",
    "token-1",
    frozenset({"b", "a"}),
    "work",
    datetime(2026, 5, 1, tzinfo=UTC),
    {"instance_url": "https://eu.salesforce.example"},
)


def test_the_published_sdk_is_sent_the_token_and_no_more_and_ours_what_belongs_to_it() -> None:
    call = ToolRequest("find", {"name": "Ada"}, CREDENTIAL, id="1")

    sent = {"request_id": "1", "tool_name": "find", "params": {"name": "Ada"}, "auth_token": "token-1"}
    assert as_sent(call, ours=False) == sent
    assert as_sent(call, ours=True) == sent | {
        "credential": {
            "scopes": ["a", "b"],
            "account": "work",
            "expires_at": "2026-05-01T00:00:00+00:00",
            "extras": {"instance_url": "https://eu.salesforce.example"},
        }
    }
    assert as_sent(ToolRequest("find", {}, id="1"), ours=True)["auth_token"] is None


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ({"result": {"error": "no"}}, {"error": "no"}),
        ({"result": {"error": "no"}, "is_error": False}, {"error": "no"}),
        ({"result": {"error": "no"}, "is_error": "yes"}, {"error": "no"}),
        ({"result": {"error": "no"}, "is_error": True}, ToolError("no")),
        ({"result": {"error": 7}, "is_error": True}, ToolError("The tool failed.")),
        ({"result": "no", "is_error": True}, ToolError("The tool failed.")),
        ({"is_error": True}, ToolError("The tool failed.")),
        ({}, None),
    ],
)
async def test_a_tool_that_failed_is_told_from_one_that_returned_an_error(answer: dict[str, Any], value: Any) -> None:
    workers = Workers("crm")
    with workers.join() as worker:
        call = asyncio.create_task(workers.call(ToolRequest("find", {}), 5))
        got = await worker.take()
        assert got

        assert answered(worker, got.id, answer, "result")
        assert answered(worker, got.id, answer, "result") is False
        (ended,) = await asyncio.gather(call, return_exceptions=True)

    assert (type(ended), str(ended)) == (type(value), str(value))


async def test_a_call_that_was_not_begun_is_given_to_another_worker() -> None:
    workers = Workers("crm")
    with workers.join() as stopping, workers.join() as other:
        call = asyncio.create_task(workers.call(ToolRequest("find", {}), 5))
        got = await stopping.take()
        assert got
        stopping.take_no_more()

        assert answered(stopping, got.id, {"not_begun": True, "is_error": True}, "result")
        again = await other.take()
        assert again
        assert again.id == got.id
        other.answer(again.id, "done")
        assert await call == "done"

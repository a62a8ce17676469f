"""Rules for ATP apps: each sees and calls what its rule allows, and one that cannot ask a person does not run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.access.policy import TeamPolicy
from gateway.access.rules import Rule
from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.executor import Executor
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.calls import AppCredentials
from gateway.surfaces.atp.requests import RefusalError
from gateway.surfaces.atp.return_urls import ReturnUrls
from gateway.surfaces.atp.tasks import Tasks
from gateway.surfaces.atp.toolkits import Toolkits
from gateway.surfaces.atp.users import AppUsers
from tests.surfaces.atp.conftest import House

RULES = (
    Rule(apps=("shop",), tools=("crash",), may="nothing"),
    Rule(apps=("shop",), tools=("refuse",), approve=True),
    Rule(apps=("shop",)),
    Rule(groups=("sales",)),
)


@pytest.fixture
async def tasks(house: House) -> AsyncIterator[Tasks]:
    audit, policy, users = AuditLog(house.write, SystemClock()), TeamPolicy(RULES), AppUsers(house.list_connected)
    toolkits = Toolkits(house.registry, policy, users)
    yield Tasks(Executor(house.registry, policy, AppCredentials(house), audit), toolkits, users, house)  # type: ignore[arg-type]
    await audit.close()


def app(name: str) -> App:
    return App(name, ReturnUrls(()), may=frozenset({"call"}))


def message(kind: str, toolkit: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "toolkit_id": toolkit, "request_id": "1", **more}


async def test_an_app_is_told_of_its_tools_and_calls_no_others(house: House, tasks: Tasks) -> None:
    toolkit = house.registry.tools()[0].toolkit
    context = str(await tasks.answer(app("shop"), message("get_toolkit_context", toolkit)))
    assert "'echo'" in context
    assert "'refuse'" in context
    assert "crash" not in context

    async def call(tool: str) -> str:
        payload = {"function": tool, "parameters": {"name": "x"}}
        return str(await tasks.answer(app("shop"), message("task_request", toolkit, payload=payload)))

    assert "'name': 'x'" in await call("echo")
    assert "has no tool 'crash'" in await call("crash")
    assert "runs only after the person has said yes" in await call("refuse")


async def test_an_app_that_no_rule_names_has_no_toolkit(house: House, tasks: Tasks) -> None:
    toolkit = house.registry.tools()[0].toolkit
    with pytest.raises(RefusalError, match=r"There is no toolkit .* here\. There are: none\."):
        await tasks.answer(app("other"), message("get_toolkit_context", toolkit))

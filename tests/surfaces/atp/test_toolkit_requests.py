"""Registration over HTTP: exactly the fields and answers that the published SDK knows, and every way to be refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.key_types import KeyKind
from gateway.store.store import Store
from tests.surfaces.atp.toolkit_house import ADA, PLAIN, House, house

CODE = hashlib.sha256(PLAIN["source_code"].encode()).hexdigest()


@pytest.fixture
async def here(sqlite_url: str) -> AsyncIterator[House]:
    store = await Store.open(sqlite_url)
    async with house(store) as opened:
        yield opened
    await store.close()


async def verify(here: House, key: str, toolkit_hash: str) -> Any:
    body = {"api_key": key, "app_name": "", "toolkit_hash": toolkit_hash}
    return (await here.post("/api/v1/toolkit/verify_hash", body)).json()


async def test_a_tool_is_registered_and_verified(here: House) -> None:
    _, text = await here.key()
    assert await verify(here, text, CODE) == {"up_to_date": False}

    registered = await here.register(text)
    assert registered.status_code == 200
    assert isinstance(registered.json()["exchange_token"], str)
    assert await verify(here, text, CODE) == {"up_to_date": True}
    for code, up_to_date in ((CODE, True), ("other", False)):
        body = {"api_key": text, "tool_hash": code, "tool_name": "find"}
        answer = await here.post("/api/v1/toolkit/verify_tool_hash", body)
        assert answer.json() == {"up_to_date": up_to_date}
    report = {"exchange_token": registered.json()["exchange_token"], "result": {}, "function_id": "find"}
    assert (await here.post("/api/v1/execute_function", report)).status_code == 200


async def test_the_key_may_be_in_a_header_instead_of_the_body(here: House) -> None:
    _, text = await here.key()
    headers = {"Authorization": f"ApiKey {text}"}

    answer = await here.post("/api/v1/toolkit/verify_hash", {"toolkit_hash": "h"}, headers=headers)

    assert answer.json() == {"up_to_date": False}


@pytest.mark.parametrize("path", ["toolkit/verify_hash", "toolkit/verify_tool_hash", "register_tool"])
async def test_a_wrong_key_is_told_what_is_wrong_and_is_not_repeated(here: House, path: str) -> None:
    key, revoked = await here.key()
    _, of_app = await here.key("Notes", KeyKind.APP)
    await here.keys.revoke(key, by=ADA)
    for shown, status in ((of_app, 403), (revoked, 401), ("", 401), (None, 401), (7, 401), ("nonsense", 401)):
        answer = await here.post(f"/api/v1/{path}", {"api_key": shown})

        assert answer.status_code == status
        assert "atp-gateway keys create toolkit NAME" in answer.json()["message"]
        assert not shown or str(shown) not in answer.text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"metadata": None}, 400),
        ({"metadata": []}, 400),
        ({"function_id": None}, 400),
        ({"function_id": 7}, 400),
        ({"code_hash": None}, 400),
        ({"toolkit_hash": []}, 400),
        ({"function_id": "gmail send"}, 422),
        ({"metadata": PLAIN | {"params": "q"}}, 422),
        ({"metadata": PLAIN | {"params": ["auth_token"]}}, 422),
        ({"metadata": PLAIN | {"description": "x" * (256 << 10)}}, 413),
    ],
)
async def test_what_cannot_be_registered_is_refused_in_a_sentence(
    here: House, changes: dict[str, Any], status: int
) -> None:
    _, text = await here.key()
    body = {"function_id": "find", "api_key": text, "code_hash": CODE, "toolkit_hash": CODE, "metadata": PLAIN}

    answer = await here.post("/api/v1/register_tool", body | changes)

    assert answer.status_code == status, answer.text
    assert len(answer.json()["message"].split()) > 4


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'{"api_key": NaN}', b"[" * 100_000, b'"x"'])
async def test_what_is_no_json_object_is_refused(here: House, body: bytes) -> None:
    for path in ("toolkit/verify_hash", "toolkit/verify_tool_hash", "register_tool", "execute_function"):
        assert (await here.post(f"/api/v1/{path}", body)).status_code == 400


async def test_a_name_that_another_toolkit_has_is_refused(here: House) -> None:
    _, first = await here.key()
    _, second = await here.key("sales")
    await here.register(first)

    answer = await here.register(second)

    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


async def test_a_browser_has_no_business_here(here: House) -> None:
    _, text = await here.key()
    headers = {"Origin": here.base_url}

    answer = await here.post("/api/v1/toolkit/verify_hash", {"api_key": text, "toolkit_hash": "h"}, headers=headers)

    assert answer.status_code == 403


async def test_a_source_is_not_kept(here: House, sqlite_url: str) -> None:
    _, text = await here.key()
    await here.register(text, source_code="def find(): 'source-canary'")

    rows = await here.toolkits._rows.list_all()
    assert "source-canary" not in json.dumps([str(row) for row in rows])

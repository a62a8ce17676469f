"""What an app may know about the toolkits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from gateway.errors import GatewayError
from gateway.toolkit.llm_client import LLMClient


async def test_an_app_lists_the_toolkits_with_their_tools(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.add("pay", lambda name: name, toolkit="bank")

        for listed in (app_client().list_store_toolkits, app_client().list_my_toolkits):
            page = await asyncio.to_thread(listed)

            assert [toolkit["toolkit_id"] for toolkit in page["results"]] == ["crm", "bank"]
            assert (page["count"], page["next"]) == (2, None)


async def test_a_list_is_given_in_pages_to_those_who_ask_for_them(serve: Any, house: Any) -> None:
    async with serve():
        for name in ("bank", "mail", "maps", "news"):
            house.add(f"do_{name}", lambda name: name, toolkit=name)
        client = LLMClient("app-key-7f3a9c51d2", base_url=house.base_url)

        pages = [await asyncio.to_thread(client.list_store_toolkits, number, 2) for number in (1, 2, 3, 4)]

    assert [[each["toolkit_id"] for each in page["results"]] for page in pages] == [
        ["crm", "bank"],
        ["mail", "maps"],
        ["news"],
        [],
    ]
    assert {page["count"] for page in pages} == {5}
    assert [page["next"] for page in pages] == ["?page=2&page_size=2", "?page=3&page_size=2", None, None]
    assert pages[1]["previous"] == "?page=1&page_size=2"


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=", "page_size=0", "page=9999999", "page=²"])
async def test_a_page_that_cannot_be_is_refused(serve: Any, house: Any, query: str) -> None:
    async with serve(), httpx2.AsyncClient(base_url=house.base_url) as http:
        path = f"/api/v1/atp/llm-client/store/toolkits/list/?{query}"
        answer = await http.get(path, headers={"Authorization": "ApiKey app-key-7f3a9c51d2"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_toolkits_details_say_what_its_tools_need(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve():
        details = await asyncio.to_thread(app_client().get_toolkit_details, "crm")

        needs = {tool["name"]: (tool["auth_provider"], tool["auth_type"]) for tool in details["tools"]}
        assert needs["create_company"] == ("hubspot", "oauth2")
        assert needs["echo"] == (None, None)


async def test_an_unknown_toolkit_is_an_error_that_names_those_there_are(serve: Any, house: Any) -> None:
    async with serve():
        client = LLMClient("app-key-7f3a9c51d2", base_url=house.base_url)

        with pytest.raises(GatewayError, match=r"no toolkit 'nope' here\. There are: crm"):
            await asyncio.to_thread(client.get_toolkit_details, "nope")


async def test_a_developer_is_whoever_runs_the_toolkits(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.add("pay", lambda name: name, toolkit="bank")
        found = await asyncio.to_thread(app_client().get_developer_profile, "gateway")

        assert found["display_name"] == "gateway"
        assert [toolkit["toolkit_id"] for toolkit in found["toolkits"]] == ["crm", "bank"]
        assert {toolkit["developer"] for toolkit in found["toolkits"]} == {"gateway"}


async def test_a_developer_whom_nobody_knows_is_an_error(serve: Any, house: Any) -> None:
    async with serve():
        client = LLMClient("app-key-7f3a9c51d2", base_url=house.base_url)

        with pytest.raises(GatewayError, match="Nobody here is called 'nobody'"):
            await asyncio.to_thread(client.get_developer_profile, "nobody")

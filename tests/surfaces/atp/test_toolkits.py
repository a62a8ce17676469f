"""What an app may know about the toolkits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest


async def test_an_app_lists_the_toolkits_with_their_tools(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.add("pay", lambda name: name, toolkit="bank")

        for listed in (app_client().list_store_toolkits, app_client().list_my_toolkits):
            page = await asyncio.to_thread(listed)

            assert [toolkit["toolkit_id"] for toolkit in page["results"]] == ["crm", "bank"]
            assert (page["count"], page["next"]) == (2, None)


async def test_a_toolkits_details_say_what_its_tools_need(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve():
        details = await asyncio.to_thread(app_client().get_toolkit_details, "crm")

        needs = {tool["name"]: (tool["auth_provider"], tool["auth_type"]) for tool in details["tools"]}
        assert needs["create_company"] == ("hubspot", "oauth2")
        assert needs["echo"] == (None, None)


async def test_an_unknown_toolkit_is_an_error_that_names_those_there_are(serve: Any, house: Any) -> None:
    from gateway.errors import GatewayError
    from gateway.toolkit.llm_client import LLMClient

    async with serve():
        client = LLMClient("app-key-7f3a9c51d2", base_url=house.base_url)

        with pytest.raises(GatewayError, match=r"no toolkit 'nope' here\. There are: crm"):
            await asyncio.to_thread(client.get_toolkit_details, "nope")

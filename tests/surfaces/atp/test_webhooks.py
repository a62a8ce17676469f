"""Webhooks as apps ask for them: with the published SDK, with our client, and over plain HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from gateway.clock import MovableClock
from gateway.types import Principal
from gateway.vault.key_sources import new_key
from tests.surfaces.atp.conftest import KEY, House
from tests.webhooks.conftest import Post, posting

URL = "https://app.example.com/hook"
OTHER_KEY = "another-key-0123"


@pytest.fixture
async def post(sqlite_url: str) -> AsyncIterator[Post]:
    async with posting(sqlite_url, new_key(), MovableClock(), []) as post:
        yield post


@pytest.fixture
def http(serve: Any, post: Post) -> Callable[..., Any]:
    """A plain client of the served surface, with an app's key."""

    @asynccontextmanager
    async def client(key: str = KEY) -> AsyncIterator[httpx2.AsyncClient]:
        async with serve(registrations=post.registrations) as house:
            base, headers = f"{house.base_url}/api/v1/atp/llm-client/", {"Authorization": f"ApiKey {key}"}
            async with httpx2.AsyncClient(base_url=base, headers=headers) as http:
                yield http

    return client


async def test_clients_register_list_and_delete(serve: Any, app_client: Any, house: House, post: Post):
    async with serve(registrations=post.registrations):
        client, other = app_client(), app_client(OTHER_KEY)

        made = await asyncio.to_thread(client.register_webhook, URL)
        assert (made["url"], made["events"]) == (URL, ["connection_success"])
        assert made["secret"].startswith("whsec_")
        both = ["connection_success", "connection_failed"]
        again = await asyncio.to_thread(client.register_webhook, URL, both)
        assert (again["webhook_id"], again["events"]) == (made["webhook_id"], sorted(both))
        assert "secret" not in again

        listed = await asyncio.to_thread(client.list_webhooks)
        assert [(each["webhook_id"], each["url"], each["status"]) for each in listed] == [
            (made["webhook_id"], URL, "active")
        ]
        assert "secret" not in listed[0]
        assert await asyncio.to_thread(other.list_webhooks) == []

        with pytest.raises(Exception, match=r"404|no such webhook"):
            await asyncio.to_thread(other.delete_webhook, made["webhook_id"])
        await asyncio.to_thread(client.delete_webhook, made["webhook_id"])
        assert await asyncio.to_thread(client.list_webhooks) == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"url": URL, "events": ["connection_sucess"]}, 422, "connection_needs_reauth"),
        ({"url": URL, "events": []}, 422, "tool_called"),
        ({"url": URL, "events": "connection_success"}, 400, "list of strings"),
        ({"url": URL, "events": [1]}, 400, "list of strings"),
        ({"url": 1}, 400, "url is not a string"),
        ({}, 400, "url is missing"),
        ({"url": "https://169.254.169.254/"}, 422, "[atp] webhook_hosts"),
        ({"url": "http://app.example.com/"}, 422, "[atp] webhook_hosts"),
    ],
)
async def test_what_cannot_be_registered_is_refused_with_what_to_do(http: Any, body: Any, status: int, says: str):
    async with http() as client:
        answer = await client.post("webhooks/register/", json=body)

    assert answer.status_code == status
    assert says in answer.json()["message"]


async def test_deliveries_are_seen_tried_and_replayed(http: Any, post: Post):
    async with http() as client:
        webhook = (await client.post("webhooks/register/", json={"url": URL})).json()["webhook_id"]
        await post.tell(Principal("app:shop", "ada"), "connection.created", provider="hubspot")
        pinged = await client.post(f"webhooks/{webhook}/test/")
        assert (pinged.status_code, pinged.json()["type"]) == (202, "ping")

        found = (await client.get(f"webhooks/{webhook}/deliveries/")).json()
        assert {each["type"] for each in found} == {"connection_success", "ping"}
        assert {each["status"] for each in found} == {"pending"}
        assert (await client.get(f"webhooks/{webhook}/deliveries/?status=dead")).json() == []
        assert (await client.get(f"webhooks/{webhook}/deliveries/?status=lost")).status_code == 422

        one = f"webhooks/{webhook}/deliveries/{found[0]['delivery_id']}/replay/"
        replayed = await client.post(one)
        assert (replayed.status_code, replayed.json()["delivery_id"]) == (202, found[0]["delivery_id"])
        assert (await client.delete(f"webhooks/{webhook}/delete/")).json() == {"webhook_id": webhook, "deleted": True}
        assert (await client.post(one)).status_code == 404


async def test_another_apps_webhook_does_not_exist(http: Any, post: Post):
    webhook, _ = await post.register(URL, app=Principal("app", "shop"))
    async with http(OTHER_KEY) as client:
        asked = {
            "GET": ["delete/", "deliveries/"],
            "DELETE": ["delete/"],
            "POST": ["test/", "deliveries/any/replay/"],
        }
        for method, paths in asked.items():
            for path in paths:
                answer = await client.request(method, f"webhooks/{webhook.id}/{path}")
                assert (answer.status_code, answer.json()["code"]) == (404, "unknown_webhook")
    assert len(await post.registrations.list(Principal("app", "shop"))) == 1

"""The story of an app that is told: the published SDK registers a webhook, and a real receiver hears what happens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import standardwebhooks

from gateway.testing.browser import Browser
from gateway.types import Principal
from tests.canary import marks
from tests.journeys.test_app_user import ASKED, USER, Place, place_in
from tests.webhooks.conftest import ALL, receiving


async def test_an_app_is_told_what_happens_to_its_users_connections_and_calls(tmp_path: Path) -> None:
    async with receiving() as receiver, place_in(tmp_path, webhook_hosts=receiver.host) as place:
        client = place.client()
        webhook = await asyncio.to_thread(client.register_webhook, receiver.url, sorted(ALL))
        refused, begun = [
            await asyncio.to_thread(client.initiate_oauth_connection, "acme", user) for user in ("bob", USER)
        ]
        async with Browser() as browser:
            await browser.consent(begun["authorization_url"], "alice")
        async with Browser() as browser:
            await browser.consent(refused["authorization_url"], "bob", approve=False)
        await asyncio.to_thread(client.call_tool, "kit", ASKED)
        await receiver.wait_for(3)
        connection_id = await _disconnect(place)
        await receiver.wait_for(4)

        told = {event["type"]: event["data"] for event in receiver.events}
        assert set(told) == {"connection_success", "connection_failed", "tool_called", "connection_revoked"}
        assert told["connection_success"] == {
            "external_user_id": USER,
            "provider": "acme",
            "account": "alice@example.com",
            "connection_id": connection_id,
            "tool": None,
            "outcome": "done",
            "duration_ms": None,
        }
        assert told["connection_failed"]["external_user_id"] == "bob"
        assert told["connection_revoked"]["connection_id"] == connection_id
        assert (told["tool_called"]["tool"], told["tool_called"]["outcome"]) == ("whose", "done")
        assert told["tool_called"]["duration_ms"] > 0
        for headers, body in receiver.received:
            standardwebhooks.Webhook(webhook["secret"]).verify(body, dict(headers))
            assert not [mark for mark in marks() if mark in body], "a token or a code"


async def _disconnect(place: Place) -> str:
    accounts = await place.gateway.accounts.open()
    person = Principal("app:Notes", USER)
    [connection] = await accounts.connections.list(person)
    await accounts.connections.disconnect(person, connection.id)
    return connection.id

"""Consents begun and connections seen by apps, through the published SDK and through our own client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import httpx2
import pytest
from atp_sdk.clients import LLMClient as Published

from gateway.errors import ProviderUnavailableError
from gateway.types import CredentialKind, Principal, Requirement

ODD_IDS = ["ada@example.com", "a/b", "a//b/", "Ada Lovelace", "ада", "a?b=c&d", "a+b%", "  x", "🜁", "42"]


async def test_a_consent_begins_for_the_apps_user_and_its_link_is_our_own_page(
    serve: Any, app_client: Callable[..., Any]
) -> None:
    async with serve() as house:
        answer = await asyncio.to_thread(app_client().initiate_oauth_connection, "hubspot", "ada@example.com")

        flow = house.flows[0]
        assert flow.principal == Principal("app:shop", "ada@example.com")
        assert (flow.client, flow.provider, flow.scopes) == ("shop", "hubspot", frozenset({"crm.write"}))
        assert answer["authorization_url"] == answer["auth_url"] == "https://gateway.example/connect/flow0"
        assert answer["provider_name"] == "HubSpot"
        assert answer["developer_app_name"] == "shop"
        assert answer["scopes"] == ["crm.write"]
        assert answer["auth_mode"] == "oauth2"


async def test_a_provider_whose_tools_all_take_api_keys_is_asked_for_one(
    serve: Any, app_client: Callable[..., Any]
) -> None:
    async with serve() as house:
        house.add("send", lambda name, auth_token: name, Requirement("mailer", CredentialKind.API_KEY))

        answer = await asyncio.to_thread(app_client().initiate_oauth_connection, "mailer", "ada")

        assert (house.flows[0].kind, answer["auth_mode"]) == (CredentialKind.API_KEY, "api_key")


async def test_a_provider_may_be_written_in_capitals(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.connect("ada")

        await asyncio.to_thread(app_client().initiate_oauth_connection, "HubSpot", "ada")
        found = await asyncio.to_thread(app_client().get_user_tokens, "HubSpot", "ada")

        assert house.flows[0].provider == "hubspot"
        assert found["integration_id"] == "connection-0"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://shop.example/back/done?x=1", True),
        ("https://shop.example/back/done", False),
        ("https://evil.example/", False),
    ],
)
async def test_only_a_listed_return_url_is_kept_and_the_consent_begins_all_the_same(
    serve: Any, app_client: Callable[..., Any], url: str, *, kept: bool
) -> None:
    async with serve() as house:
        answer = await asyncio.to_thread(app_client().initiate_oauth_connection, "hubspot", "ada", url)

        assert house.flows[0].return_url == (url if kept else None)
        assert ("note" in answer) is not kept
        assert kept or "keys allow atpg_app_prefix --return-url" in answer["note"]


async def test_the_app_of_the_settings_is_the_local_persons_with_return_urls_by_their_beginning(
    serve: Any, app_client: Callable[..., Any]
) -> None:
    async with serve() as house:
        client = app_client(key="key-of-the-settings-5e1")
        url = "https://shop.example/back/anywhere"

        await asyncio.to_thread(client.initiate_oauth_connection, "hubspot", "whoever", url)
        refused = await asyncio.to_thread(
            client.initiate_oauth_connection, "hubspot", "whoever", "https://evil.example/"
        )

        assert [flow.principal for flow in house.flows] == [Principal("local", "me")] * 2
        assert [flow.return_url for flow in house.flows] == [url, None]
        assert "return_urls under [atp]" in refused["note"]


async def test_an_app_that_may_not_connect_begins_nothing(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.let_in("callers-key", "caller", may=frozenset({"call"}))

        with pytest.raises(Exception, match=r"403|may not have people connect accounts"):
            await asyncio.to_thread(app_client(key="callers-key").initiate_oauth_connection, "hubspot", "ada")

        assert house.flows == []


async def test_an_app_waits_until_its_user_has_connected(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        find = house.find_connection

        async def find_and_tell(principal: Principal, provider: str) -> Any:
            loop.call_soon(asked.set)
            return await find(principal, provider)

        house.find_connection = find_and_tell
        waiting = asyncio.create_task(
            asyncio.to_thread(
                app_client().wait_for_connection, "hubspot", "ada@example.com", timeout=5, poll_interval=0.05
            )
        )
        with anyio.fail_after(5):
            await asked.wait()
        house.connect("ada@example.com")
        account = await waiting

        assert account["status"] == "completed"
        assert account["integration_id"] == "connection-0"
        assert account["external_user_id"] == "ada@example.com"
        assert account["external_user_email"] == "ada@example.com"
        assert account["scope"] == "a b"
        assert account["expires_at"] == "2026-05-01T13:00:00Z"


async def test_a_wait_that_runs_out_says_so(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve():
        with pytest.raises(TimeoutError, match="hubspot"):
            await asyncio.to_thread(app_client().wait_for_connection, "hubspot", "ada", timeout=0.2, poll_interval=0.05)


@pytest.mark.parametrize("user", ODD_IDS)
async def test_an_id_with_odd_characters_finds_its_own_connection(
    serve: Any, app_client: Callable[..., Any], user: str
) -> None:
    async with serve() as house:
        await asyncio.to_thread(app_client().initiate_oauth_connection, "hubspot", user)
        house.connect(house.flows[0].principal.subject)

        found = await asyncio.to_thread(app_client().get_user_tokens, "hubspot", user)

        assert found["external_user_id"] == user


async def test_a_number_is_taken_for_an_id(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        await asyncio.to_thread(app_client().initiate_oauth_connection, "hubspot", 42)

        assert house.flows[0].principal.subject == "42"


async def test_an_id_cut_off_at_a_hash_never_finds_somebody_else(serve: Any) -> None:
    """The published SDK puts ids into the URL as they are; requests drops what follows a #."""
    async with serve() as house:
        house.connect("ada")
        client = Published("app-key-7f3a9c51d2", base_url=house.base_url)

        with pytest.raises(Exception, match="400"):
            await asyncio.to_thread(client.get_user_tokens, "hubspot", "ada#1")


async def test_raw_tokens_stay_inside_unless_that_is_granted(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.connect("ada", token="token-0123456789")

        found = await asyncio.to_thread(app_client().get_user_tokens, "hubspot", "ada")

        assert found["access_token"] is None
        assert found["refresh_token"] is None
        assert "keys allow atpg_app_prefix --may tokens" in found["note"]
        assert "token-0123456789" not in str(found)
        assert house.opened == 0
    assert [event.action for event in house.events] == []


async def test_raw_tokens_that_are_handed_out_are_audited_without_the_token(
    serve: Any, app_client: Callable[..., Any]
) -> None:
    async with serve() as house:
        house.let_in("app-key-7f3a9c51d2", "shop", may=frozenset({"tokens"}))
        house.connect("ada", token="token-0123456789")

        found = await asyncio.to_thread(app_client().get_user_tokens, "hubspot", "ada")

        assert (found["access_token"], found["refresh_token"]) == ("token-0123456789", "refresh-token-0123456789")
        assert "note" not in found
    event = house.events[0]
    assert (event.action, event.client, event.provider) == ("tokens.handed_out", "shop", "hubspot")
    assert event.principal == Principal("app:shop", "ada")
    assert "token-0123456789" not in repr(event)


async def test_one_app_never_sees_anothers_users(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.let_in("another-key-0123", "other", may=frozenset({"tokens"}))
        house.let_in("key-in-acme", "shop", may=frozenset({"tokens"}), tenant="acme")
        house.connect("ada")

        for foreign in ("another-key-0123", "key-in-acme"):
            wait = app_client(key=foreign).wait_for_connection
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(wait, "hubspot", "ada", timeout=0.1, poll_interval=0.05)


async def test_an_outage_ends_a_wait_instead_of_stretching_it(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve() as house:
        house.let_in("app-key-7f3a9c51d2", "shop", may=frozenset({"tokens"}))
        house.down = ProviderUnavailableError("HubSpot does not answer. Try again in a minute.")

        with pytest.raises(Exception, match=r"503|HubSpot does not answer"):
            await asyncio.to_thread(app_client().wait_for_connection, "hubspot", "ada", timeout=5)


async def test_an_unknown_provider_is_refused_with_what_to_set(serve: Any, app_client: Callable[..., Any]) -> None:
    async with serve():
        with pytest.raises(Exception, match=r"404|\[providers.nowhere\]"):
            await asyncio.to_thread(app_client().initiate_oauth_connection, "nowhere", "ada")


@pytest.mark.parametrize(
    "user", [None, "", "  ", 1.5, True, ["ada"], {"id": 1}, "a\nb", "a\u0000", "\u2028", "x" * 256]
)
async def test_an_id_that_cannot_be_meant_is_refused(serve: Any, user: Any) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        answer = await http.post(
            "/api/v1/atp/llm-client/oauth/confirmation/hubspot/",
            json={"external_user_id": user},
            headers={"Authorization": "ApiKey app-key-7f3a9c51d2"},
        )

        assert answer.status_code == 400
        assert "external_user_id must be" in answer.json()["message"]
        assert house.flows == []

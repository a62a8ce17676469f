"""Clients that are described by the document at their id: what is believed, for how long, and who is asked at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.authorization.documents import LARGEST, ClientDocuments, is_document_id
from gateway.errors import AuthorizationError
from gateway.outward.guarded import Answer
from tests.authorization.house import Documents, House, Timer, error_of

ID = "https://app.example/client.json"
GOOD: dict[str, Any] = {
    "client_id": ID,
    "client_name": "App",
    "redirect_uris": ["https://app.example/callback", "http://localhost/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "logo_uri": "https://app.example/logo.png",
}
CLAUDE_CODE = {
    "client_id": "https://claude.ai/oauth/claude-code-client-metadata",
    "client_name": "Claude Code",
    "client_uri": "https://claude.ai",
    "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def clients(documents: Documents, timer: Timer) -> ClientDocuments:
    documents.answers[ID] = answer(GOOD)
    return ClientDocuments(documents.fetch, timer=timer)


@pytest.mark.parametrize("document", [GOOD, CLAUDE_CODE], ids=["App", "Claude Code"])
async def test_a_client_is_what_its_document_says(documents: Documents, document: dict[str, Any]) -> None:
    documents.answers[document["client_id"]] = answer(document)

    client = await ClientDocuments(documents.fetch).get(document["client_id"])

    assert (client.id, client.name) == (document["client_id"], document["client_name"])
    assert client.redirect_uris == tuple(document["redirect_uris"])
    assert client.grant_types == {"authorization_code", "refresh_token"}
    assert client.is_public


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": ID + "?"},
        {"client_id": "https://APP.example/client.json"},
        {"client_id": None},
        {"client_name": None},
        {"client_name": " "},
        {"client_name": {"en": "App"}},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "https://app.example/callback"},
        {"redirect_uris": ["javascript:alert(1)", "http://app.example/"]},
        {"client_secret": "shared with everybody"},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "private_key_jwt"},
    ],
    ids=str,
)
async def test_a_document_that_is_not_right_lets_nobody_in(
    clients: ClientDocuments, documents: Documents, change: dict[str, Any]
) -> None:
    documents.answers[ID] = answer({**GOOD, **change})

    assert await error_of(clients.get(ID)) == "invalid_client"


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        answer(GOOD, 404),
        answer(GOOD, 301, location=ID + "x"),
        answer(GOOD, 204),
        answer(GOOD, 500),
        answer(b"[" * 3000),
        answer([GOOD]),
        answer(b"\xff"),
        answer(b""),
        answer({**GOOD, "padding": "x" * LARGEST}),
    ],
)
async def test_an_answer_that_is_no_document_lets_nobody_in_and_is_not_kept(
    clients: ClientDocuments, documents: Documents, wrong: Answer | None
) -> None:
    documents.answers[ID] = wrong
    assert await error_of(clients.get(ID)) == "invalid_client"

    documents.answers[ID] = answer(GOOD)
    assert (await clients.get(ID)).name == "App"
    assert documents.asked == [ID, ID]


@pytest.mark.parametrize(
    "client_id",
    [
        "http://app.example/client.json",
        "https://app.example",
        "https://app.example/",
        "https://app.example/#x",
        "https://app.example/client.json#x",
        "https://user@app.example/client.json",
        "https://user:password@app.example/client.json",
        "https://app.example/a/../client.json",
        "https://app.example/./client.json",
        "https://app.example/%2e%2e/client.json",
        "https://app.example\\evil.example/client.json",
        "https://app.example:port/client.json",
        "https://[::1/client.json",
        "https:///client.json",
        "https://app.example/cl\u0456ent.json",
        "https://app.example/" + "a" * 1000,
    ],
)
async def test_an_id_that_is_no_plain_address_is_not_asked_for(
    clients: ClientDocuments, documents: Documents, client_id: str
) -> None:
    assert is_document_id(client_id)
    assert await error_of(clients.get(client_id)) == "invalid_client"
    assert documents.asked == []


async def test_the_operator_may_narrow_the_hosts_and_loopback_has_to_be_among_them(documents: Documents) -> None:
    here = "http://127.0.0.1:9000/client.json"
    documents.answers |= {ID: answer(GOOD), here: answer({**GOOD, "client_id": here})}
    narrow = ClientDocuments(documents.fetch, ["127.0.0.1:9000", "claude.ai"])

    assert (await narrow.get(here)).id == here
    assert await error_of(narrow.get(ID)) == "invalid_client"
    assert await error_of(narrow.get("https://evil.claude.ai/client.json")) == "invalid_client"
    assert await error_of(narrow.get("http://claude.ai/client.json")) == "invalid_client"
    assert await error_of(ClientDocuments(documents.fetch).get(here)) == "invalid_client"
    assert documents.asked == [here]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache_control": "max-age=60"}, 60),
        ({"cache_control": "public, max-age=7200, must-revalidate"}, 7200),
        ({"cache_control": "max-age=99999999"}, 86400),
        ({"cache_control": "s-maxage=7200"}, 300),
        ({"cache_control": "no-store"}, 0),
        ({"cache_control": "No-Cache"}, 0),
        ({"cache_control": "max-age=0"}, 0),
    ],
    ids=str,
)
async def test_a_document_is_kept_as_long_as_its_headers_say(
    clients: ClientDocuments, documents: Documents, timer: Timer, headers: dict[str, str], seconds: int
) -> None:
    documents.answers[ID] = answer(GOOD, **headers)
    await clients.get(ID)

    timer.seconds += max(seconds - 1, 0)
    await clients.get(ID)
    assert len(documents.asked) == (1 if seconds else 2)

    timer.seconds += 1
    await clients.get(ID)
    assert len(documents.asked) == (2 if seconds else 3)


async def test_where_a_host_cannot_be_reached_it_says_what_the_operator_can_do(
    clients: ClientDocuments, documents: Documents
) -> None:
    documents.answers[ID] = None
    with pytest.raises(
        AuthorizationError, match=r"at app\.example\. Try again; .* client_documents = false in \[access\]"
    ):
        await clients.get(ID)


@pytest.mark.parametrize("outage", [None, answer(b"", 503)])
async def test_an_outage_of_its_host_locks_nobody_out_for_a_day(
    clients: ClientDocuments, documents: Documents, timer: Timer, outage: Answer | None
) -> None:
    await clients.get(ID)
    documents.answers[ID] = outage

    timer.seconds += 80_000
    assert (await clients.get(ID)).name == "App"
    timer.seconds += 10_000
    assert await error_of(clients.get(ID)) == "invalid_client"


async def test_a_document_that_was_taken_back_counts_no_longer(
    clients: ClientDocuments, documents: Documents, timer: Timer
) -> None:
    await clients.get(ID)
    documents.answers[ID] = answer(b"", 404)

    timer.seconds += 301
    assert await error_of(clients.get(ID)) == "invalid_client"


async def test_many_who_ask_at_once_ask_the_host_once_and_many_hosts_are_too_many() -> None:
    gate = asyncio.Event()
    asked = []

    async def fetch(url: str, /, limit: int) -> Answer:
        asked.append(url)
        await gate.wait()
        return answer({**GOOD, "client_id": url})

    clients = ClientDocuments(fetch)
    waiting = [asyncio.create_task(clients.get(ID)) for _ in range(3)]
    waiting += [asyncio.create_task(clients.get(f"{ID}/{number}")) for number in range(7)]
    await asyncio.sleep(0)

    with pytest.raises(AuthorizationError, match="at once") as raised:
        await clients.get(f"{ID}/another")
    assert raised.value.status == 503
    gate.set()
    assert len({client.id for client in await asyncio.gather(*waiting)}) == 8
    assert len(asked) == 8


async def test_a_token_needs_no_document_to_be_asked_for(light: House, documents: Documents) -> None:
    """Nor may anybody have us ask one by way of the token endpoint."""
    documents.answers[ID] = answer(GOOD)
    client = await light.server.clients.find_at_token(ID)

    assert client is not None
    assert client.is_public
    assert documents.asked == []
    tokens = await light.tokens(client, redirect_uri="https://app.example/callback")
    documents.answers.clear()
    assert await light.refresh(client, tokens["refresh_token"])

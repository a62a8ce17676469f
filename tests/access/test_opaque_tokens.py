"""Opaque tokens of an authorization server that we did not write: introspected, revoked there, and while it is down."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from tests.access.conftest import Serve, TeamGateway, TokenIssuer

RESOURCE = "https://gateway.example.com/mcp?opaque"  # this server gives out opaque tokens for it
LISTEN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscriptions/listen",
    "params": {
        "notifications": {"toolsListChanged": True},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "subscriptions/listen",
}


@pytest.fixture(scope="module")
def gateway(serve: Serve, token_issuer: TokenIssuer) -> TeamGateway:
    return serve(
        f'[access]\nissuer = "{token_issuer.url}"\naudience = "{RESOURCE}"\n'
        'client_id = "gateway"\nclient_secret = "gateway has a secret"\n'
    )


def show(gateway: TeamGateway, token: str) -> httpx2.Response:
    """A request that is refused or found wanting, and not served: it is no JSON-RPC."""
    sent = {**HEADERS, "authorization": f"Bearer {token}"}
    return httpx2.post(gateway.mcp, headers=sent, json=[], trust_env=False, timeout=10)


async def test_what_the_issuer_revokes_ends_here_within_five_seconds(
    gateway: TeamGateway, token_issuer: TokenIssuer
) -> None:
    token = token_issuer.token(resource=RESOURCE)
    assert "." not in token
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        sent = {**HEADERS, "authorization": f"Bearer {token}"}
        async with http.stream("POST", gateway.mcp, headers=sent, json=LISTEN) as answer:
            assert answer.status_code == 200
            await anyio.to_thread.run_sync(token_issuer.revoke, token)
            with anyio.fail_after(5):
                async for _ in answer.aiter_raw():
                    pass
    assert show(gateway, token).status_code == 401


def test_an_opaque_token_for_something_else_is_refused(gateway: TeamGateway, token_issuer: TokenIssuer) -> None:
    assert show(gateway, token_issuer.token(resource=RESOURCE)).status_code == 400
    for other in (token_issuer.token(), token_issuer.token(resource="https://other.example.com/?opaque"), "made-up"):
        assert show(gateway, other).status_code == 401


def test_while_the_issuer_is_down_nobody_whom_it_alone_knows_is_let_in(
    gateway: TeamGateway, token_issuer: TokenIssuer
) -> None:
    token = token_issuer.token(resource=RESOURCE)
    token_issuer.order(down=True)
    try:
        answer = show(gateway, token)
    finally:
        token_issuer.order(down=False)
    assert (answer.status_code, answer.json()["error"]) == (503, "authentication_unavailable")
    assert show(gateway, token).status_code == 400

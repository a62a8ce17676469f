"""The gateway as a protected resource, with tokens of an authorization server that we did not write.

Each row is a requirement of RFC 6750, RFC 9728, RFC 9068 or MCP's Authorization that a client, or an attacker, would
notice. The gateway and the server are processes; everything goes over sockets.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey

from gateway.testing.browser import Browser
from tests.access.conftest import Serve, TeamGateway, TokenIssuer, issuing_tokens

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "referee", "version": "1"}},
}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
DISCOVER = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": MODERN}}
METADATA = "/.well-known/oauth-protected-resource"


@dataclass
class Court:
    """A gateway that believes one issuer, and not the other."""

    gateway: TeamGateway
    issuer: TokenIssuer
    stranger: TokenIssuer

    def token(self, scope: str = "tools", resource: str = "", person: str = "alice") -> str:
        return self.issuer.token(person, scope, resource or self.gateway.mcp)

    def send(
        self,
        token: str | None = None,
        *,
        url: str = "",
        body: Mapping[str, Any] = INITIALIZE,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        sent = {"accept": "application/json, text/event-stream", "content-type": "application/json", **(headers or {})}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if body["params"].get("_meta"):
            sent |= {"mcp-protocol-version": "2026-07-28", "mcp-method": body["method"]}
            if "name" in body["params"]:
                sent["mcp-name"] = body["params"]["name"]
        content = json.dumps(body) if method == "POST" else None
        return httpx2.request(
            method, url or self.gateway.mcp, content=content, headers=sent, trust_env=False, timeout=10
        )

    def metadata(self, path: str = "/mcp") -> dict[str, Any]:
        answer = httpx2.get(f"{self.gateway.url}{METADATA}{path}", trust_env=False)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def court(serve: Serve, token_issuer: TokenIssuer) -> Iterator[Court]:
    with issuing_tokens() as stranger:
        yield Court(serve(f'[access]\nissuer = "{token_issuer.url}"\nstep_up = true\n'), token_issuer, stranger)


def challenge(answer: httpx2.Response) -> dict[str, str]:
    """The parameters of a Bearer challenge."""
    header = answer.headers["www-authenticate"]
    assert header.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', header))


def refused(answer: httpx2.Response) -> bool:
    return answer.status_code == 401 and challenge(answer)["error"] == "invalid_token"


def encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def with_alg_none(token: str) -> str:
    head = encoded(b'{"alg":"none"}')
    return f"{head}.{token.split('.')[1]}."


def with_the_public_key_as_a_secret(court: Court, token: str, pem: bool) -> str:
    """As a checker takes it that lets the token choose how it is checked."""
    key = httpx2.get(f"{court.issuer.url}/jwks", trust_env=False).json()["keys"][0]
    secret = RSAKey.import_key(key).as_pem(private=False) if pem else json.dumps(key).encode()
    head = {"alg": "HS256", "typ": "at+jwt", "kid": key["kid"]}
    signed = f"{encoded(json.dumps(head).encode())}.{token.split('.')[1]}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def id_token(court: Court) -> str:
    """What a person's login gives a program beside its access token."""
    verifier, back = "v" * 43, "http://127.0.0.1:1/callback"
    asked = {"redirect_uris": [back], "application_type": "native", "token_endpoint_auth_method": "none"}
    client_id = httpx2.post(f"{court.issuer.url}/reg", json=asked, trust_env=False).json()["client_id"]
    told = {"client_id": client_id, "redirect_uri": back, "response_type": "code", "scope": "openid tools"}
    told |= {"code_challenge": encoded(hashlib.sha256(verifier.encode()).digest()), "code_challenge_method": "S256"}

    async def log_in() -> str:
        async with Browser() as browser:
            url = f"{court.issuer.url}/auth?{urlencode({**told, 'resource': court.gateway.mcp})}"
            return (await browser.consent(url, stop_at=back)).url

    code = parse_qs(urlsplit(asyncio.run(log_in())).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
    answer = httpx2.post(f"{court.issuer.url}/token", data={**form, "client_id": client_id}, trust_env=False)
    token: str = answer.json()["id_token"]
    return token


def ended(court: Court) -> str:
    """A token whose life was over a second ago."""
    court.issuer.order(ahead=-3601)
    try:
        return court.token()
    finally:
        court.issuer.order(ahead=0)


REQUIREMENTS: dict[str, Callable[[Court], bool]] = {
    "no token: 401": lambda c: c.send().status_code == 401,
    "the challenge names the metadata": lambda c: (
        challenge(c.send())["resource_metadata"] == f"{c.gateway.url}{METADATA}/mcp"
    ),
    "the challenge names the scope": lambda c: challenge(c.send())["scope"] == "tools",
    "no error code where no token was sent": lambda c: "error" not in challenge(c.send()),
    "GET without token: 401": lambda c: c.send(method="GET").status_code == 401,
    "DELETE without token: 401": lambda c: c.send(method="DELETE").status_code == 401,
    "server/discover without token: 401": lambda c: c.send(body=DISCOVER).status_code == 401,
    "the metadata is about the address that was asked": lambda c: c.metadata()["resource"] == c.gateway.mcp,
    "the metadata names the authorization server": lambda c: c.metadata()["authorization_servers"] == [c.issuer.url],
    "the metadata of the challenge is there": lambda c: (
        httpx2.get(challenge(c.send())["resource_metadata"], trust_env=False).status_code == 200
    ),
    "right audience and scope: 200": lambda c: c.send(c.token()).status_code == 200,
    "also without a handshake": lambda c: c.send(c.token(), body=DISCOVER).status_code == 200,
    "the scheme's case does not matter": lambda c: (
        c.send(headers={"authorization": f"bEARER {c.token()}"}).status_code == 200
    ),
    "a token for another resource: 401": lambda c: refused(c.send(c.token(resource="http://127.0.0.1:1/other"))),
    "an opaque token: 401": lambda c: refused(c.send(c.issuer.token())),
    "a missing scope: 403": lambda c: c.send(c.token("mail")).status_code == 403,
    "the 403 says which scope is missing": lambda c: (
        {"error": "insufficient_scope", "scope": "tools"}.items() <= challenge(c.send(c.token("mail"))).items()
    ),
    "a broken signature: 401": lambda c: refused(c.send(c.token()[:-8] + "AAAAAAAA")),
    "alg none: 401": lambda c: refused(c.send(with_alg_none(c.token()))),
    "the public key as a secret: 401": lambda c: all(
        refused(c.send(with_the_public_key_as_a_secret(c, c.token(), pem))) for pem in (True, False)
    ),
    "another issuer's token for this resource: 401": lambda c: refused(
        c.send(c.stranger.token(resource=c.gateway.mcp))
    ),
    "an ID token: 401": lambda c: refused(c.send(id_token(c))),
    "a token in the address is not taken": lambda c: (
        c.send(url=f"{c.gateway.mcp}?access_token={c.token()}").status_code == 401
    ),
    "a token that has ended: 401": lambda c: refused(c.send(ended(c))),
}


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_protected_resource_meets_its_requirements(court: Court, requirement: str) -> None:
    assert REQUIREMENTS[requirement](court)


@pytest.mark.parametrize(("path", "resource"), [("", "/mcp"), ("/mcp", "/mcp"), ("/sse", "/sse")])
def test_the_metadata_is_wherever_clients_look(court: Court, path: str, resource: str) -> None:
    answer = httpx2.get(
        f"{court.gateway.url}{METADATA}{path}", headers={"origin": "https://inspector.example"}, trust_env=False
    )
    assert answer.json() == {
        "resource": court.gateway.url + resource,
        "authorization_servers": [court.issuer.url],
        "scopes_supported": ["tools"],
        "bearer_methods_supported": ["header"],
        "resource_name": "ATP Gateway",
    }
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=300"


def test_the_old_transport_has_a_challenge_and_a_resource_of_its_own(court: Court) -> None:
    answer = court.send(url=f"{court.gateway.url}/sse", method="GET")
    assert challenge(answer)["resource_metadata"] == f"{court.gateway.url}{METADATA}/sse"
    token = court.token(resource=f"{court.gateway.url}/sse")
    assert court.send(token).status_code == 200


# --- step-up: the scope for a tool that can destroy something ---


def call(tool: str, modern: bool = True) -> dict[str, Any]:
    params = {"name": tool, "arguments": {}, **({"_meta": MODERN} if modern else {})}
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}


def test_a_destructive_tool_is_asked_a_scope_of_its_own(court: Court) -> None:
    answer = court.send(court.token(), body=call("wipe"))
    assert answer.status_code == 403
    assert challenge(answer) == {
        "resource_metadata": f"{court.gateway.url}{METADATA}/mcp",
        "error": "insufficient_scope",
        "scope": "tools tools:destructive",
        "error_description": "This tool can destroy something, and the token does not allow that.",
    }
    better = court.token("tools tools:destructive")
    assert court.send(better, body=call("wipe")).json()["result"]["content"][0]["text"] == "wiped"
    assert court.send(court.token(), body=call("greet")).json()["result"]["content"][0]["text"] == "hello"


def test_so_it_is_in_a_session(court: Court) -> None:
    token, better = court.token(), court.token("tools tools:destructive")
    session = {"mcp-session-id": court.send(token).headers["mcp-session-id"]}
    answer = court.send(token, body=call("wipe", modern=False), headers=session)
    assert (answer.status_code, challenge(answer)["scope"]) == (403, "tools tools:destructive")
    assert "wiped" in court.send(better, body=call("wipe", modern=False), headers=session).text


def test_what_a_header_says_about_the_tool_does_not_count(court: Court) -> None:
    answer = court.send(court.token(), body=call("wipe"), headers={"mcp-name": "greet"})
    assert answer.status_code == 403
    assert court.send(court.token(), body=call("nobody-knows")).status_code != 403


# --- sessions belong to a person and a client (T6, A9) ---


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_anothers_session_is_answered_like_an_unknown_one(court: Court, method: str) -> None:
    alice, bob = court.token(person="alice"), court.token(person="bob")
    session = court.send(alice).headers["mcp-session-id"]
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}

    def show(token: str, session_id: str) -> tuple[int, str]:
        answer = court.send(token, body=body, method=method, headers={"mcp-session-id": session_id})
        return answer.status_code, answer.text

    assert show(bob, session) == show(bob, "f" * 32)
    assert show(bob, session)[0] == 404
    assert court.send(alice, body=body, headers={"mcp-session-id": session}).status_code == 200

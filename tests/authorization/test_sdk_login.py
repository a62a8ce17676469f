"""A whole login by the MCP SDK's own OAuth client against a gateway as it is served: found, let in, used."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx2
import pytest
import trustme
from joserfc.jwk import ECKey
from mcp import Client
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider, SignedJWTParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

from gateway.audit import AuditLog
from gateway.authorization.roster import Roster
from gateway.clock import SystemClock
from gateway.people_types import Person
from tests.authorization.house import query_of
from tests.authorization.served import Served, serving_team
from tests.kept import Kept
from tests.surfaces.authorization.site import decide, person

CALLBACK = "http://localhost:41999/callback"
SECRET = "a secret of the operator's, with % and + in it, long enough"
CONFIG = f"""
[access]
builtin = true
step_up = true
document_hosts = ["localhost:DOCUMENT_PORT"]

[access.clients.intranet]
redirect_uris = ["{CALLBACK}"]
secret = "{SECRET}"
"""


class DocumentHandler(http.server.BaseHTTPRequestHandler):
    """Serves a client's metadata document, about whatever host it is asked under."""

    def do_GET(self) -> None:
        said = {
            "client_id": f"https://{self.headers['host']}{self.path}",
            "client_name": "SDK client",
            "redirect_uris": ["http://localhost/callback"],
            "token_endpoint_auth_method": "none",
        }
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """To nobody."""


@pytest.fixture(scope="module")
def documents() -> Iterator[tuple[int, ssl.SSLContext]]:
    """The port of a server with a client's document, and what trusts its certificate."""
    authority = trustme.CA()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), DocumentHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yield server.server_port, trusting
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[int, ssl.SSLContext]
) -> AsyncIterator[Served]:
    port, trusting = documents
    config = CONFIG.replace("DOCUMENT_PORT", str(port))
    async with serving_team(tmp_path_factory.mktemp("served"), config, trusting) as made:
        yield made


@dataclass
class Host:
    """An MCP host: the SDK's client, what it keeps, and the browser that it sends its person to."""

    served: Served
    kept: Kept = field(default_factory=Kept)
    document: str | None = None
    person: str = "alice"
    decision: str = "allow"
    opened: list[str] = field(default_factory=list)
    answer: dict[str, str] = field(default_factory=dict)

    async def _open(self, url: str) -> None:
        self.opened.append(url)
        cookies = {"person": self.person}
        async with httpx2.AsyncClient(base_url=self.served.url, cookies=cookies, trust_env=False) as browser:
            shown = await browser.get(url)
            answered = await decide(browser, shown.text, self.decision) if shown.status_code == 200 else shown
        assert answered.status_code == 303, answered.text
        self.answer = query_of(answered.headers["location"])

    async def _called_back(self) -> AuthorizationCodeResult:
        answer = self.answer
        return AuthorizationCodeResult(code=answer.get("code", ""), state=answer.get("state"), iss=answer.get("iss"))

    def provider(self, url: str | None = None) -> OAuthClientProvider:
        metadata = OAuthClientMetadata(client_name="SDK client", redirect_uris=[CALLBACK])  # type: ignore[list-item]
        return OAuthClientProvider(
            url or self.served.mcp,
            metadata,
            self.kept,
            redirect_handler=self._open,
            callback_handler=self._called_back,
            client_metadata_url=self.document,
        )

    async def call(
        self, provider: OAuthClientProvider | None = None, mode: str = "auto", tools: Sequence[str] = ("greet",)
    ) -> str:
        """Call the tools, and log in as far as need be: what the last one says."""
        auth = provider or self.provider()
        async with (
            httpx2.AsyncClient(auth=auth, trust_env=False, timeout=10) as http,
            Client(streamable_http_client(self.served.mcp, http_client=http), mode=mode) as client,
        ):
            answers = [await client.call_tool(tool, {}) for tool in tools]
            text: str = answers[-1].content[0].text  # type: ignore[union-attr]
            return text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_that_knows_nothing_registers_logs_in_and_calls(served: Served, mode: str) -> None:
    host = Host(served)

    assert await host.call(mode=mode) == "hello"

    assert host.kept.client
    assert host.kept.client.client_id.startswith("client_")
    assert host.kept.tokens
    assert host.kept.tokens.refresh_token
    assert len(host.opened) == 1
    assert f"resource={served.mcp.replace(':', '%3A').replace('/', '%2F')}" in host.opened[0]


async def test_a_host_whose_id_is_the_address_of_its_document_need_not_register(
    served: Served, documents: tuple[int, ssl.SSLContext]
) -> None:
    host = Host(served, document=f"https://localhost:{documents[0]}/client.json")

    assert await host.call() == "hello"

    assert host.kept.client
    assert host.kept.client.client_id == host.document
    with anyio.fail_after(5):
        while not await recorded_for(served, host.document):
            await anyio.lowlevel.checkpoint()


async def recorded_for(served: Served, client_id: str | None) -> list[str | None]:
    """The tools that were called by this client, as its token says."""
    entries = await served.store.trail.page("default", 0, 10_000)
    return [entry.event.tool for entry in entries if client_id and entry.event.client_id == client_id]


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
async def test_a_host_that_the_operator_registered_proves_itself(served: Served, way: str) -> None:
    known = OAuthClientInformationFull(
        client_id="intranet",
        client_secret=SECRET,
        redirect_uris=[CALLBACK],  # type: ignore[list-item]
        token_endpoint_auth_method=way,  # type: ignore[arg-type]
        issuer=served.url,
    )
    host = Host(served, Kept(known))

    assert await host.call() == "hello"

    assert host.kept.client == known


async def test_a_program_of_the_operators_comes_in_its_own_name_by_its_key(served: Served) -> None:
    key = ECKey.generate_key("P-256")
    audit = AuditLog(served.store.audit.append, SystemClock())
    keys = json.dumps({"keys": [key.as_dict(private=False)]})
    await Roster((), served.store.roster, audit, SystemClock()).add("nightly", "", [], keys=keys, by=person("bob"))
    pem = key.as_pem(private=True).decode()
    signs = SignedJWTParameters(issuer="nightly", subject="nightly", signing_key=pem, signing_algorithm="ES256")
    provider = PrivateKeyJWTOAuthProvider(
        served.mcp, Kept(), "nightly", signs.create_assertion_provider(), scope="tools", issuer=served.url
    )

    assert await Host(served).call(provider) == "hello"

    await audit.close()


async def test_a_host_refreshes_by_itself_and_asks_nobody(served: Served) -> None:
    host = Host(served)
    provider = host.provider()
    await host.call(provider)
    first = host.kept.tokens
    provider.context.token_expiry_time = 1.0

    assert await host.call(provider) == "hello"

    assert first
    assert host.kept.tokens
    assert host.kept.tokens.access_token != first.access_token
    assert host.kept.tokens.refresh_token != first.refresh_token
    assert len(host.opened) == 1


async def test_a_host_of_the_old_transport_logs_in_for_that_and_its_token_is_good_at_both(served: Served) -> None:
    host, old = Host(served), f"{served.url}/sse"
    provider = host.provider(old)

    async with Client(sse_client(old, auth=provider)) as client:
        assert (await client.call_tool("greet", {})).content[0].text == "hello"  # type: ignore[union-attr]

    assert query_of(host.opened[0])["resource"] == old
    assert await host.call(provider) == "hello"
    assert len(host.opened) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_that_registered_for_less_asks_for_more_when_a_tool_needs_it(served: Served, mode: str) -> None:
    """What a client registers for is what it knew of then."""
    host = Host(served)

    assert await host.call(mode=mode, tools=["greet", "wipe"]) == "wiped"

    assert host.kept.client
    assert host.kept.client.scope == "tools offline_access"
    first, second = (query_of(url)["scope"].split() for url in host.opened)
    assert "tools:destructive" not in first
    assert {"tools", "tools:destructive"} <= {*second}
    assert host.kept.tokens
    assert "tools:destructive" in str(host.kept.tokens.scope)


async def test_a_person_who_says_no_is_not_asked_in_circles(served: Served) -> None:
    host = Host(served, decision="deny")

    with pytest.raises(ExceptionGroup) as raised:
        await host.call()
    assert raised.group_contains(OAuthFlowError)

    assert len(host.opened) == 1
    assert host.answer["error"] == "access_denied"
    assert host.kept.tokens is None


async def test_a_token_whose_grant_was_ended_lets_nobody_in(served: Served) -> None:
    host = Host(served)
    await host.call()
    assert host.kept.tokens
    assert host.kept.client

    async with httpx2.AsyncClient(base_url=served.url, trust_env=False) as program:
        form = {"token": host.kept.tokens.refresh_token, "client_id": host.kept.client.client_id}
        if host.kept.client.client_secret:
            form["client_secret"] = host.kept.client.client_secret
        assert (await program.post("/revoke", data=form)).status_code == 200
        bearer = {"authorization": f"Bearer {host.kept.tokens.access_token}"}
        answer = await program.post("/mcp", json={}, headers=bearer)

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_person_who_was_disabled_is_cut_off_and_their_host_gets_no_fresh_token(served: Served) -> None:
    host = Host(served, person="dora")
    provider = host.provider()
    await host.call(provider)
    now = datetime.now(UTC)
    dora = Person("p1", person("dora"), None, None, frozenset(), now)
    await served.store.people.put(dora)
    await served.store.people.disable((await served.store.people.list_all())[0], now)

    assert host.kept.tokens
    assert host.kept.client
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False) as program:
        form = {"grant_type": "refresh_token", "refresh_token": host.kept.tokens.refresh_token or ""}
        form |= {"client_id": host.kept.client.client_id, "client_secret": host.kept.client.client_secret or ""}
        answer = await program.post("/token", data=form)

    assert answer.json()["error"] == "invalid_grant"

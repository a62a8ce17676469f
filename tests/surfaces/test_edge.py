"""Who may enter: the edge before a small application, on a real server and on the bare ASGI interface."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import anyio
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Scope
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.access.authenticator import Refused
from gateway.access.scopes import EVERY
from gateway.errors import SettingsError, StoreUnavailableError
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.bearer import Bearer
from gateway.surfaces.doors import Doors, Entrance
from gateway.surfaces.edge import Edge
from gateway.surfaces.instance import Instance
from gateway.surfaces.listener import Listener
from gateway.types import Access, Principal

ALICE = Principal("test", "alice")
METADATA = "https://gateway.example.com/.well-known/oauth-protected-resource/mcp"
PATHS = ("/mcp", "/inbox/a-key-in-the-path/x", "/page", "/visit", "/public")
DOORS = Doors(
    program=["/mcp", "/inbox/*", "/socket", "/crash", "/half", "/stream", "/slow", "/open-socket"],
    browser=["/page"],
    visitor=["/visit"],
    public=["/public"],
    open_to_all=["/well-known"],
)


@dataclass
class Gatekeeper:
    """Knows who sends `Bearer good`, until that is taken back; `failure` is what it raises instead."""

    failure: Exception | None = None
    taken_back: bool = False

    async def program(self, headers: Mapping[str, str]) -> Access | Refused | None:
        if self.failure:
            raise self.failure
        match headers.get("authorization"):
            case None:
                return None
            case "Bearer good":
                return Access(ALICE, scopes=EVERY)
            case "Bearer narrow":
                return Access(ALICE, scopes=frozenset({"mail"}))
        return Refused.invalid('This token has "ended".')

    async def browser(self, headers: Mapping[str, str]) -> Access | None:
        found = await self.program(headers)
        return found if isinstance(found, Access) else None

    async def stands(self, headers: Mapping[str, str], access: Access) -> bool:
        if self.failure:
            raise self.failure
        return not self.taken_back


@dataclass
class House:
    """The application behind the edge. `entered` is each path whose route really ran."""

    gatekeeper: Gatekeeper = field(default_factory=Gatekeeper)
    entered: list[str] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body_limit: int = 1000
    url: str = ""

    def app(self, base_url: str) -> ASGIApp:
        routes = [
            Route(path, self.echo, methods=["GET", "POST"]) for path in ("/mcp", "/inbox/{key}/x", "/visit", "/public")
        ]
        routes += [
            Route("/page", self.page),
            Route("/forgotten", self.echo),
            Route("/crash", self.crash),
            Route("/half", self.half),
            Route("/well-known", self.echo, methods=["GET", "POST"]),
            Route("/stream", self.stream),
            Route("/slow", self.slow),
            WebSocketRoute("/socket", self.socket),
            WebSocketRoute("/open-socket", self.open_socket),
        ]
        inner = application(routes)
        port = int(base_url.rpartition(":")[2])
        edge = Edge(
            inner,
            self.gatekeeper,
            DOORS,
            Addresses.of("https://gateway.example.com", "127.0.0.1", port),
            bearer=Bearer({"/mcp": METADATA}),
            body_limit=self.body_limit,
            access_log=True,
        )
        edge.look_again_after = 0.02
        return edge

    async def echo(self, request: Request) -> Response:
        self.entered.append(request.url.path)
        self.headers = list(request.scope["headers"])
        principal = request.scope.get("state", {}).get("principal")
        return JSONResponse({"body": (await request.body()).decode(), "person": principal and principal.subject})

    async def page(self, request: Request) -> Response:
        self.entered.append(request.url.path)
        return HTMLResponse("<p>hello")

    async def crash(self, request: Request) -> Response:
        if "store" in request.query_params:
            raise StoreUnavailableError("The gateway's database does not answer.")
        raise RuntimeError("the password is hunter2-hunter2")

    async def half(self, request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise RuntimeError("after the first part")

        return StreamingResponse(parts())

    async def stream(self, request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.Event().wait()

        return StreamingResponse(parts())

    async def slow(self, request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            self.entered.append("/slow was cancelled")
        return Response()

    async def open_socket(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("first")
        await socket.receive_text()

    async def socket(self, socket: WebSocket) -> None:
        self.entered.append("/socket")
        await socket.accept()
        await socket.send_text(socket.scope["state"]["principal"].subject)
        await socket.close()


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def listener(house: House) -> AsyncIterator[Listener]:
    listener = Listener(house.app, Instance(b"key"), port=0)
    house.url = await listener.base_url()
    yield listener
    await listener.aclose()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Straight into the application, without a socket."""
    house.url = "http://127.0.0.1:8788"
    async with httpx2.AsyncClient(base_url=house.url, transport=httpx2.ASGITransport(house.app(house.url))) as client:
        yield client


@pytest.fixture
async def wire(house: House, listener: Listener) -> AsyncIterator[httpx2.AsyncClient]:
    """Over a socket, through uvicorn."""
    async with httpx2.AsyncClient(base_url=house.url, trust_env=False) as client:
        yield client


GOOD = {"authorization": "Bearer good"}


# --- Host and Origin (T1: DNS rebinding) ---


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
@pytest.mark.parametrize(
    "host", ["evil.example", "gateway.example.com.evil.example", "127.0.0.1", "127.0.0.1:1", "gateway.example.com:1"]
)
async def test_a_foreign_host_is_refused_on_every_path(
    house: House, client: httpx2.AsyncClient, path: str, host: str
) -> None:
    answer = await client.get(path, headers={**GOOD, "host": host})
    assert (answer.status_code, answer.json()["error"]) == (421, "wrong_host")
    assert house.entered == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://gateway.example.com.evil.example", "http://127.0.0.1:1", "", "x"]
)
async def test_a_foreign_origin_is_refused_on_every_path(
    house: House, client: httpx2.AsyncClient, path: str, origin: str
) -> None:
    answer = await client.post(path, headers={**GOOD, "origin": origin})
    assert (answer.status_code, answer.json()["error"]) == (403, "wrong_origin")
    assert house.entered == []


async def test_our_own_names_and_origins_are_welcome(house: House, client: httpx2.AsyncClient) -> None:
    port = house.url.rpartition(":")[2]
    for host in (
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        f"[::1]:{port}",
        "gateway.example.com",
        "GATEWAY.example.com",
    ):
        assert (await client.get("/mcp", headers={**GOOD, "host": host})).status_code == 200
    for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", "https://gateway.example.com"):
        assert (await client.get("/mcp", headers={**GOOD, "origin": origin})).status_code == 200


@pytest.mark.parametrize("hosts", [[], ["Host: {host}", "Host: {host}"], ["Host: {host}", "Host: evil.example"]])
async def test_a_request_needs_exactly_one_host(house: House, listener: Listener, hosts: list[str]) -> None:
    lines = [line.format(host=house.url.removeprefix("http://")) for line in hosts]
    answer = await _raw(house.url, ["GET /public HTTP/1.1", *lines, "Connection: close"])
    assert answer.startswith("HTTP/1.1 400")
    assert house.entered == []


# --- routing on scope["path"] alone (T4) ---


@pytest.mark.parametrize(
    "extra",
    [
        {"host": "gateway.example.com/../public?"},
        {"x-forwarded-uri": "/public"},
        {"x-original-url": "/public"},
        {"x-forwarded-user": "admin"},
        {"x_forwarded_user": "admin"},
        {"x-forwarded-host": "gateway.example.com"},
    ],
)
async def test_no_header_talks_its_way_past_the_door(
    house: House, client: httpx2.AsyncClient, extra: dict[str, str]
) -> None:
    assert (await client.get("/mcp", headers=extra)).status_code in (401, 421)
    assert house.entered == []


async def test_a_path_that_is_not_listed_cannot_be_reached(house: House, listener: Listener) -> None:
    """Deny by default: `/forgotten` has a route, and no door."""
    host = house.url.removeprefix("http://")
    paths = (
        "/forgotten /mcp/ /MCP //mcp /public/../mcp /public/..%2fmcp /inbox /inbox/ /page/x /%6dcp/ http://x/forgotten"
    )
    for path in paths.split():
        answer = await _raw(house.url, [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"])
        assert answer.startswith("HTTP/1.1 404"), path
    assert house.entered == []


# --- who is there (T3, T5) ---


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/mcp", "/inbox/k/x", "/page"])
async def test_nobody_enters_without_being_known(
    house: House, client: httpx2.AsyncClient, method: str, path: str
) -> None:
    assert (await client.request(method, path)).status_code == 401
    assert house.entered == []


async def test_a_program_is_told_how_to_authenticate(client: httpx2.AsyncClient) -> None:
    """RFC 6750 section 3: no error code where no credential was sent."""
    nobody = await client.post("/mcp")
    assert nobody.headers["www-authenticate"] == f'Bearer resource_metadata="{METADATA}", scope="tools"'
    assert (await client.post("/inbox/k/x")).headers["www-authenticate"] == 'Bearer scope="tools"'
    wrong = await client.post("/mcp", headers={"authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.json()["message"]) == (401, 'This token has "ended".')
    assert wrong.headers["www-authenticate"] == (
        f'Bearer resource_metadata="{METADATA}", error="invalid_token", '
        """error_description="This token has 'ended'.", scope="tools\""""
    )
    page = await client.get("/page", headers={"accept": "text/html"})
    assert page.status_code == 401
    assert "www-authenticate" not in page.headers
    assert "<h1>Who is there?</h1>" in page.text


async def test_a_token_for_something_else_than_tools_is_told_what_it_lacks(
    house: House, client: httpx2.AsyncClient
) -> None:
    answer = await client.post("/mcp", headers={"authorization": "Bearer narrow"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope", scope="tools", error_description="' in challenge
    assert f'resource_metadata="{METADATA}"' in challenge
    assert house.entered == []


async def test_two_authorization_headers_are_not_one_that_fits(house: House, listener: Listener) -> None:
    host = house.url.removeprefix("http://")
    lines = ["GET /mcp HTTP/1.1", f"Host: {host}", "Authorization: Bearer bad", "Authorization: Bearer good"]
    assert (await _raw(house.url, [*lines, "Connection: close"])).startswith("HTTP/1.1 401")


async def test_the_route_learns_who_it_is(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/mcp", headers=GOOD)).json()["person"] == "alice"
    assert (await client.get("/public", headers=GOOD)).json()["person"] is None


async def test_a_visitor_enters_without_being_known_and_is_known_where_signed_in(
    house: House, client: httpx2.AsyncClient
) -> None:
    """The route then decides. What it is told is a Principal or None, never nothing at all."""
    signed_in, stranger = await client.get("/visit", headers=GOOD), await client.get("/visit")

    assert (signed_in.json()["person"], stranger.json()["person"]) == ("alice", None)
    assert house.entered == ["/visit"] * 2


@pytest.mark.parametrize(
    "failure",
    [RuntimeError, ValueError, KeyError, PermissionError, TimeoutError, StopIteration, StoreUnavailableError],
)
async def test_an_authenticator_that_fails_lets_nobody_in(
    house: House, client: httpx2.AsyncClient, failure: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    house.gatekeeper.failure = failure("boom")
    for path in ("/mcp", "/page", "/visit"):
        answer = await client.get(path, headers=GOOD)
        assert answer.status_code == 503
        assert "boom" not in answer.text
    assert house.entered == []


@pytest.mark.parametrize("query", ["access_token=good", "a=b&access_token=good", "access_token="])
async def test_a_token_in_the_address_is_refused_wherever_else_there_is_one(
    house: House, client: httpx2.AsyncClient, query: str
) -> None:
    for headers in ({}, GOOD):
        answer = await client.post(f"/mcp?{query}", headers=headers)
        assert answer.status_code == 401
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]
        assert "good" not in answer.text
    assert (await client.post("/mcp?no_access_token=x", headers=GOOD)).status_code == 200
    assert house.entered == ["/mcp"]


# --- what is taken back while it is being served (A11) ---


async def test_a_stream_ends_in_good_order_when_its_access_is_taken_back(
    house: House, wire: httpx2.AsyncClient
) -> None:
    with anyio.fail_after(5):
        async with wire.stream("GET", "/stream", headers=GOOD) as answer:
            parts = answer.aiter_bytes()
            assert await anext(parts) == b"first"
            house.gatekeeper.taken_back = True
            assert [part async for part in parts] == []


async def test_a_call_that_has_not_answered_is_cancelled_and_refused(house: House, wire: httpx2.AsyncClient) -> None:
    house.gatekeeper.taken_back = True
    with anyio.fail_after(5):
        answer = await wire.get("/slow", headers=GOOD)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert house.entered == ["/slow was cancelled"]


async def test_a_socket_is_closed_when_its_access_is_taken_back(house: House, listener: Listener) -> None:
    url = house.url.replace("http", "ws") + "/open-socket"
    async with connect(url, additional_headers=GOOD, proxy=None) as socket:
        with anyio.fail_after(5):
            assert await socket.recv() == "first"
            house.gatekeeper.taken_back = True
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert closed.value.rcvd.code == 1008


async def test_an_authenticator_that_cannot_tell_takes_nothing_back(house: House, wire: httpx2.AsyncClient) -> None:
    with anyio.fail_after(5):
        async with wire.stream("GET", "/stream", headers=GOOD) as answer:
            parts = answer.aiter_bytes()
            assert await anext(parts) == b"first"
            house.gatekeeper.failure = StoreUnavailableError("gone")
            with pytest.raises(TimeoutError), anyio.fail_after(0.2):
                await anext(parts)


# --- open doors: documents that pages of other sites may read ---


async def test_an_open_door_may_be_read_by_pages_of_other_sites_and_no_other_door(
    house: House, client: httpx2.AsyncClient
) -> None:
    elsewhere = {"origin": "https://inspector.example"}
    read = await client.get("/well-known", headers=elsewhere)
    assert (read.status_code, read.headers["access-control-allow-origin"]) == (200, "*")
    asked = await client.options("/well-known", headers={**elsewhere, "access-control-request-method": "GET"})
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
    for path in PATHS:
        answer = await client.options(path, headers={**elsewhere, "access-control-request-method": "GET"})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-origin" not in (await client.get(path, headers=GOOD)).headers
    assert (await client.get("/well-known", headers={**elsewhere, "host": "evil.example"})).status_code == 421


# --- header values (RFC 9110 section 5.5) ---


async def test_white_space_around_header_values_is_gone_before_anyone_reads_them(
    house: House, listener: Listener
) -> None:
    host = house.url.removeprefix("http://")
    lines = ["GET /mcp HTTP/1.1", f"Host: \t {host} \t", "Authorization:  \tBearer good \t ", "X-A:\t a b \t"]
    assert (await _raw(house.url, [*lines, "Connection: close"])).startswith("HTTP/1.1 200")
    assert (b"x-a", b"a b") in house.headers


# --- size and time (T11) ---


async def test_a_body_that_says_it_is_too_large_is_refused_unread(house: House, wire: httpx2.AsyncClient) -> None:
    assert (await wire.post("/mcp", headers=GOOD, content=b"x" * 1000)).status_code == 200
    answer = await wire.post("/mcp", headers=GOOD, content=b"x" * 1001)
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
    assert house.entered == ["/mcp"]


async def test_a_body_in_chunks_is_counted(wire: httpx2.AsyncClient) -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 100

    assert (await wire.post("/mcp", headers=GOOD, content=chunks(10))).status_code == 200
    assert (await wire.post("/mcp", headers=GOOD, content=chunks(11))).status_code == 413


# --- what leaves ---


async def test_a_page_carries_every_security_header(wire: httpx2.AsyncClient) -> None:
    headers = (await wire.get("/page", headers=GOOD)).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


async def test_a_refusal_shown_to_a_person_is_a_page_like_any_other(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"accept": "text/html,*/*"})
    assert answer.status_code == 404
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert (await client.get("/nowhere")).json()["error"] == "not_found"


async def test_a_crash_is_a_500_with_a_reference_and_nothing_else(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/crash", headers=GOOD)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    reference = answer.json()["message"].rstrip(".").rpartition(" ")[2]
    logged = [record for record in caplog.records if reference in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info


async def test_while_the_database_does_not_answer_whoever_asks_is_told_to_come_back(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/crash?store", headers=GOOD)
    assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")


async def test_a_crash_in_the_middle_of_an_answer_cuts_it_off(wire: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await wire.get("/half", headers=GOOD)


# --- WebSocket (R2: cross-site WebSocket) ---


async def test_a_socket_passes_the_same_checks(house: House, listener: Listener) -> None:
    url = house.url.replace("http", "ws") + "/socket"
    for headers, status in (
        ({}, 401),
        ({**GOOD, "Origin": "http://evil.example"}, 403),
        ({**GOOD, "Origin": "null"}, 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == status
    with pytest.raises(InvalidStatus) as refused:
        await connect(url + "/x", additional_headers=GOOD, proxy=None)
    assert refused.value.response.status_code == 404
    assert house.entered == []
    async with connect(url, additional_headers=GOOD, proxy=None) as socket:
        with anyio.fail_after(5):
            assert await socket.recv() == "alice"


# --- the access log (F9) ---


async def test_the_access_log_names_the_route_and_never_what_was_in_the_path_or_query(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="gateway.surfaces"):
        await client.get("/inbox/a-key-in-the-path/x?code=a-code-in-the-query", headers=GOOD)
        await client.get("/secret-path-that-is-not-listed")
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "gateway.surfaces.access_log"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/inbox/*", 200),
        ("GET", None, 404),
    ]
    assert all(line["ms"] >= 0 for line in lines)
    written = " ".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("gateway", "uvicorn"))
    )
    assert "a-key" not in written
    assert "a-code" not in written
    assert "secret-path" not in written


# --- the two lists ---


def test_the_most_specific_door_wins() -> None:
    doors = Doors(program=["/a/*"], browser=["/a/b/*"], public=["/a/b/c"])
    assert [doors.find(path) and doors.find(path).entrance for path in ("/a/x", "/a/b/x", "/a/b/c", "/a", "/b")] == [
        Entrance.PROGRAM,
        Entrance.BROWSER,
        Entrance.PUBLIC,
        None,
        None,
    ]


@pytest.mark.parametrize("paths", [["/a", "/a"], ["a"], ["/*"], ["/a*b"], [""]])
def test_a_list_of_doors_that_opens_too_much_is_refused(paths: list[str]) -> None:
    with pytest.raises(SettingsError):
        Doors(public=paths)


def test_a_team_gateway_trusts_no_page_on_its_visitors_own_machines() -> None:
    addresses = Addresses.of("https://gateway.example.com", "0.0.0.0", 8788)
    assert addresses.origins == {"https://gateway.example.com"}
    assert {"gateway.example.com", "gateway.example.com:443", "localhost:8788"} <= addresses.hosts
    assert "192.0.2.7:8788" in Addresses.of("https://gateway.example.com", "192.0.2.7", 8788).hosts
    assert "0.0.0.0:8788" not in addresses.hosts


@pytest.mark.parametrize("url", ["", "gateway.example.com", "ftp://x", "https://", "https://u:p@x", "http://x:99999"])
def test_a_public_url_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        Addresses.of(url, "127.0.0.1", 8788)


async def test_a_gateway_mounted_under_a_path_lists_its_doors_without_it(house: House) -> None:
    statuses: list[int] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    edge = Edge(app, house.gatekeeper, DOORS, Addresses.of("http://a.test", "127.0.0.1", 1))
    for path in ("/gw/public", "/gw/public/x", "/gwx/public"):
        await edge(_scope(path=path, root_path="/gw"), _ignore, send)
    assert statuses == [200, 404, 404]


def _scope(path: str = "/mcp", root_path: str = "", headers: list[tuple[bytes, bytes]] | None = None) -> Scope:
    given = [(b"host", b"a.test"), (b"authorization", b"Bearer good"), *(headers or [])]
    return {"type": "http", "method": "POST", "path": path, "root_path": root_path, "headers": given, "state": {}}


async def _ignore(*_: object) -> None:
    return None


async def _raw(url: str, lines: list[str], body: bytes = b"") -> str:
    """What the server answers to exactly these lines."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with anyio.fail_after(5):
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode("latin-1")

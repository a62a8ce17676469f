"""What the watch sees of each HTTP library, on a real server, and that it changes nothing for whoever uses them."""

from __future__ import annotations

import http.client
import http.server
import importlib
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from gateway.redaction import Redactor
from gateway.toolkit import exchange, http_hooks
from gateway.toolkit.exchange import Watch, watching

TOKEN = "CNRY-token-of-ada-77f1"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Api(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path begins with."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = int(self.path[1:4]), json.dumps({"seen": self.headers.get("Authorization")}).encode()
        self.send_response(status)
        if status in (301, 307):
            self.send_header("Location", "/200/moved")
        if status in (401, 403):
            self.send_header("WWW-Authenticate", 'Bearer error="insufficient_scope", scope="a b", realm=x')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def watch():
    http_hooks.install()
    return Watch(Redactor([TOKEN]).finds)


def with_requests(method, url, headers):
    with requests.Session() as session:
        return session.request(method, url, headers=headers).status_code


def with_urllib3(method, url, headers):
    with urllib3.PoolManager() as pool:
        return pool.request(method, url, headers=headers).status


def with_urllib(method, url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def with_httpx(method, url, headers):
    return httpx.request(method, url, headers=headers, follow_redirects=True).status_code


def with_httpx2(method, url, headers):
    return httpx2.request(method, url, headers=headers, follow_redirects=True).status_code


async def with_async_httpx(method, url, headers):
    async with httpx.AsyncClient(follow_redirects=True) as client:
        return (await client.request(method, url, headers=headers)).status_code


async def with_async_httpx2(method, url, headers):
    async with httpx2.AsyncClient(follow_redirects=True) as client:
        return (await client.request(method, url, headers=headers)).status_code


async def with_aiohttp(method, url, headers):
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status


LIBRARIES = [
    with_requests,
    with_urllib3,
    with_urllib,
    with_httpx,
    with_httpx2,
    with_async_httpx,
    with_async_httpx2,
    with_aiohttp,
]


async def ask(library, method, url, headers):
    status = library(method, url, headers)
    return status if isinstance(status, int) else await status


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_refusal_is_seen_with_what_it_says_of_itself(library, watch, url):
    with watching(watch):
        assert await ask(library, "GET", f"{url}/401/contacts?secret=1", BEARER) == 401

    seen = watch.last_with_token
    assert (seen.method, seen.where, seen.status) == ("GET", "127.0.0.1/401/contacts", 401)
    assert seen.challenge == {"error": "insufficient_scope", "scope": "a b", "realm": "x"}
    assert not watch.token_worked
    assert watch.acted == []


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_request_without_the_token_is_known_from_one_with_it(library, watch, url):
    with watching(watch):
        await ask(library, "GET", f"{url}/200/", BEARER)
        await ask(library, "GET", f"{url}/401/", {"Authorization": "Bearer another"})

    assert (watch.last_with_token.status, watch.last.status) == (200, 401)
    assert watch.token_worked


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_token_in_the_address_counts_too(library, watch, url):
    with watching(watch):
        await ask(library, "GET", f"{url}/401/?access_token={TOKEN}", {})

    assert watch.last_with_token.where == "127.0.0.1/401/"


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_request_that_may_have_changed_something_is_remembered_unless_it_was_turned_down(library, watch, url):
    with watching(watch):
        for path in ("201/made", "401/no", "500/who_knows"):
            await ask(library, "POST", f"{url}/{path}", BEARER)

    assert list(map(str, watch.acted)) == [
        "POST 127.0.0.1/201/made (201)",
        "POST 127.0.0.1/500/who_knows (500)",
    ]


@pytest.mark.parametrize("library", LIBRARIES)
async def test_each_hop_of_a_redirect_is_an_exchange(library, watch, url):
    with watching(watch):
        assert await ask(library, "GET", f"{url}/301/", BEARER) == 200

    assert watch.last.where == "127.0.0.1/200/moved"


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_request_whose_answer_never_came_may_have_acted(library, watch):
    """The server hangs up as soon as it has the request."""
    server = http.server.HTTPServer(("127.0.0.1", 0), HangsUp)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with watching(watch), pytest.raises(Exception):  # noqa: B017, PT011 - each library has its own
        await ask(library, "POST", f"http://127.0.0.1:{server.server_port}/x", BEARER)
    thread.join()
    server.server_close()

    assert [str(exchange).rpartition(" (")[2] for exchange in watch.acted][:1] == ["no answer)"]


class HangsUp(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_watch_that_fails_breaks_nothing(library, url):
    def broken(text):
        raise RuntimeError("bug")

    http_hooks.install()
    with watching(Watch(broken)):
        assert await ask(library, "GET", f"{url}/200/", BEARER) == 200


async def test_a_thread_that_the_tool_started_is_known_by_the_token(watch, url):
    with watching(watch), ThreadPoolExecutor(1) as pool:
        pool.submit(with_requests, "GET", f"{url}/401/theirs", BEARER).result()
        pool.submit(with_requests, "GET", f"{url}/403/somebodys", {}).result()

    assert watch.last.where == "127.0.0.1/401/theirs"


async def test_nobody_watches_what_is_outside_of_a_call(watch, url):
    with watching(watch):
        pass

    with_requests("GET", f"{url}/401/", BEARER)

    assert watch.last is None
    assert not exchange.is_watched()


def test_nothing_is_wrapped_until_it_is_asked_for_and_then_whatever_is_imported_later():
    """In a process of its own: importing the gateway leaves http.client alone."""
    program = (
        "import http.client, sys; plain = http.client.HTTPConnection.getresponse\n"
        "import gateway.executor; from gateway.toolkit import http_hooks\n"
        "assert http.client.HTTPConnection.getresponse is plain\n"
        "http_hooks.install(); http_hooks.install()\n"
        "assert http.client.HTTPConnection.getresponse.__wrapped__ is plain\n"
        "assert not {'httpcore', 'aiohttp'} & sys.modules.keys()\n"
        "import aiohttp, httpcore\n"
        "print(hasattr(aiohttp.ClientResponse.start, '__wrapped__'),"
        " hasattr(httpcore.ConnectionPool.handle_request, '__wrapped__'), aiohttp.__loader__.__class__.__name__)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert finished.stdout.split() == ["True", "True", "SourceFileLoader"], finished.stderr


def test_a_library_that_looks_otherwise_is_imported_all_the_same(tmp_path, monkeypatch):
    """Another major version, say: unknown to us, and none of our business then."""
    (tmp_path / "httpcore.py").write_text("VERSION = 99")
    monkeypatch.syspath_prepend(str(tmp_path))
    former = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "httpcore"}
    try:
        http_hooks.install()
        assert importlib.import_module("httpcore").VERSION == 99
    finally:
        del sys.modules["httpcore"]
        sys.modules.update(former)

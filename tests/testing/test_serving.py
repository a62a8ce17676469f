"""Any ASGI app on a loopback port, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import listen, serving


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def test_it_answers_inside_the_block_and_not_after() -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        async with serving(Starlette(routes=[Route("/", hello)])) as url:
            assert (await http.get(url)).text == "hello"
        with pytest.raises(httpx2.ConnectError):
            await http.get(url)


async def test_a_port_may_be_named_and_a_taken_one_is_an_error() -> None:
    free = listen()
    port = free.getsockname()[1]
    free.close()

    async with serving(Starlette(), port=port) as url:
        assert url == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match="in use"):
            async with serving(Starlette(), port=port):
                pass


async def test_the_apps_lifespan_is_run() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        steps.append("up")
        yield
        steps.append("down")

    async with serving(Starlette(lifespan=lifespan)):
        assert steps == ["up"]
    assert steps == ["up", "down"]


async def test_an_app_that_does_not_start_is_an_error_and_not_the_end_of_the_process() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ValueError("broken")
        yield

    with pytest.raises(RuntimeError, match="did not start"):
        async with serving(Starlette(lifespan=lifespan)):
            pass


async def test_the_processs_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async with serving(Starlette()):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_an_unfinished_request_does_not_keep_the_block_open() -> None:
    entered = asyncio.Event()

    async def hang(request: Request) -> Response:
        entered.set()
        await asyncio.Event().wait()
        return Response()

    async def ask(url: str) -> None:
        with pytest.raises(httpx2.HTTPError):
            async with httpx2.AsyncClient(trust_env=False) as http:
                (await http.get(url)).raise_for_status()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks, serving(Starlette(routes=[Route("/", hang)])) as url:
            tasks.start_soon(ask, url)
            await entered.wait()


async def test_a_consent_is_walked_over_real_sockets() -> None:
    landed: list[str] = []

    async def callback(request: Request) -> Response:
        landed.append(request.query_params["code"])
        return PlainTextResponse("You are connected.")

    server = AuthorizationServer()
    async with (
        serving(server) as issuer,
        serving(Starlette(routes=[Route("/cb", callback)])) as app,
        Browser() as browser,
    ):
        server.register(RegisteredClient("app", None, (f"{app}/cb",)))
        url = f"{issuer}/authorize?response_type=code&client_id=app&redirect_uri={app}/cb&scope=contacts"
        page = await browser.consent(f"{url}&code_challenge={'c' * 43}&code_challenge_method=S256")

    assert page.text == "You are connected."
    assert len(landed) == 1
    assert [asked.person for asked in server.log] == [None, "alice"]

"""Routes in one application: what is called at once, and what goes through the router."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.surfaces.application import application


class Tells:
    """A whole application at a path: says how it was reached."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = "by the router" if "endpoint" in scope else "at once"
        await PlainTextResponse(f"{scope['method']} {way}")(scope, receive, send)


async def function(request: Request) -> PlainTextResponse:
    return PlainTextResponse("a function")


ROUTES = [
    Route("/whole", Tells()),
    Route("/picky", Tells(), methods=["GET"]),
    Route("/with/{name}", Tells()),
    Route("/function", function),
]


@pytest.mark.parametrize(
    ("method", "path", "root_path", "answer"),
    [
        ("GET", "/whole", "", (200, "GET at once")),
        ("PUT", "/whole", "", (200, "PUT at once")),
        ("GET", "/below/whole", "/below", (200, "GET by the router")),
        ("GET", "/picky", "", (200, "GET by the router")),
        ("GET", "/with/parameters", "", (200, "GET by the router")),
        ("GET", "/function", "", (200, "a function")),
    ],
)
async def test_a_whole_application_at_a_plain_path_is_called_without_the_router(
    method: str, path: str, root_path: str, answer: Any
) -> None:
    transport = httpx2.ASGITransport(application(ROUTES), root_path=root_path)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        got = await http.request(method, path)
    assert (got.status_code, got.text) == answer


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "/picky", 405), ("GET", "/whole/", 404)])
async def test_what_matches_no_route_says_so(method: str, path: str, status: int) -> None:
    transport = httpx2.ASGITransport(application(ROUTES))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.request(method, path)).status_code == status

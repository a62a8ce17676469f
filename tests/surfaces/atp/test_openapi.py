"""The OpenAPI document: it is one, it describes just what is served, its examples are true, and who may read it."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from openapi_spec_validator import validate
from starlette.routing import Mount, Route

from gateway import app
from gateway.entry import entry_of
from gateway.key_types import KeyKind
from gateway.settings import load_settings
from gateway.surfaces.atp.openapi.document import OPERATIONS, document
from gateway.surfaces.atp.openapi.schemas import SCHEMAS
from gateway.surfaces.doors import Entrance
from gateway.surfaces.edge import Edge
from gateway.types import Principal
from gateway.web_app import team_app

NOT_REST = re.compile(
    r"/(mcp|sse|messages|metrics)\b|/\.well-known/|/oauth/(?!tokens)"
    r"|/(|connect|connections|hosts|programs|static|signin|admin)(/.*)?$"
)
"""Routes with a specification of their own, and the pages for people."""

NOT_SERVED = "/api/v1/atp/llm-client/{rest:path}"  # what answers that there is no such path

SPELLED = {"{user:path}": "{external_user_id}/"}  # a / in the id is more path, so the route takes all of it

Team = Callable[..., Any]


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """A whole gateway's application, wired as `serve` does it, for a public URL and an address to listen on."""

    @asynccontextmanager
    async def wired(url: str = "http://127.0.0.1:8787", host: str = "127.0.0.1") -> AsyncIterator[tuple[Edge, Any]]:
        environ = {
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        gateway = app.build(load_settings(None, environ))
        gateway.base_url = url
        async with app.listening(gateway):
            accounts = await gateway.accounts.open()
            entry = entry_of(gateway.settings.access, accounts, gateway.audit, url, local=gateway.principal)
            edge = team_app(gateway, accounts, entry, host, 8787)
            assert isinstance(edge, Edge)
            yield edge, accounts.keys

    return wired


def client(edge: Edge, url: str = "http://127.0.0.1:8787") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, transport=httpx2.ASGITransport(edge))


def test_the_document_is_openapi() -> None:
    validate(document())


async def test_each_route_is_described_and_each_description_is_of_a_route(team: Team) -> None:
    async with team() as (edge, _):
        routes = [route for route in edge._app._rest.routes if isinstance(route, Route | Mount)]
        served = {
            (method, re.sub(r"\{user:path\}", SPELLED["{user:path}"], route.path))
            for route in routes
            if not NOT_REST.match(route.path) and route.path != NOT_SERVED and isinstance(route, Route)
            for method in (route.methods or ())
            if method != "HEAD"
        }
        entrances = {edge._doors.find(path) for _, path in served}

    assert served == {(operation.method, operation.path) for operation in OPERATIONS}
    assert {door and door.entrance for door in entrances} == {Entrance.PUBLIC}


def test_no_two_operations_have_one_name() -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "examples" in schema])
def test_an_example_is_one_of_what_it_is_an_example_of(name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    for example in SCHEMAS[name]["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example)


def test_each_schema_is_used() -> None:
    written = str(document()["paths"]) + str(document()["components"])
    assert [name for name in SCHEMAS if f"'#/components/schemas/{name}'" not in written] == []


async def test_on_the_own_machine_everybody_may_read_it(team: Team) -> None:
    async with team() as (edge, _), client(edge) as http:
        answer = await http.get("/openapi.json")

    assert (answer.status_code, answer.json()) == (200, document())


@pytest.mark.parametrize(
    ("url", "host"), [("https://gateway.example.com", "127.0.0.1"), ("http://127.0.0.1:8787", "0.0.0.0")]
)
async def test_elsewhere_it_takes_a_key_of_the_gateway(team: Team, url: str, host: str) -> None:
    async with team(url, host) as (edge, keys), client(edge, url) as http:
        texts = [
            (await keys.create(kind, "crm", by=Principal("local", "ada")))[1].reveal()
            for kind in (KeyKind.APP, KeyKind.TOOLKIT, KeyKind.ADMIN)
        ]
        nobody = [await http.get("/openapi.json", headers=sent) for sent in ({}, {"Authorization": "ApiKey x"})]
        somebody = [await http.get("/openapi.json", headers={"Authorization": f"ApiKey {text}"}) for text in texts]

    assert [(answer.status_code, answer.json()["code"]) for answer in nobody] == [(401, "unknown_key")] * 2
    assert [answer.status_code for answer in somebody] == [200] * 3


async def test_what_the_edge_refuses_has_the_shape_of_every_other_no(team: Team) -> None:
    async with team() as (edge, _), client(edge) as http:
        refused = [
            await http.get("/healthz", headers={"Host": "evil.example"}),
            await http.get("/openapi.json/"),
            await http.put("/api/v1/register_tool"),
            await http.post("/api/v1/register_tool", content=b"x" * (5 << 20)),
        ]

    assert [answer.status_code for answer in refused] == [421, 404, 405, 413]
    for answer in refused:
        jsonschema.Draft202012Validator(SCHEMAS["Error"]).validate(answer.json())


@pytest.mark.parametrize(
    "path", ["/api/v1/toolkit/inbox", "/api/v1/toolkit/KEY/inbox", "/api/v1/atp/llm-client/webhooks/5f0c/delete/"]
)
async def test_head_does_nothing_that_get_does(team: Team, path: str) -> None:
    """Not even where whoever asks has the key."""
    async with team() as (edge, keys), client(edge) as http:
        kind = KeyKind.TOOLKIT if "inbox" in path else KeyKind.APP
        text = (await keys.create(kind, "crm", by=Principal("local", "ada")))[1].reveal()

        answer = await http.head(path.replace("KEY", text), headers={"Authorization": f"ApiKey {text}"})

    assert answer.status_code == 405

"""Gateways as they are composed and served, two on one database: a toolkit at one is used by a host at the other."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp import Client

from gateway import app
from gateway.app import Gateway
from gateway.key_types import KeyKind
from gateway.remote.elsewhere import PATH
from gateway.remote.replicas import GONE
from gateway.settings import load_settings
from gateway.testing.serving import listen
from gateway.toolkit.context import NullChannel
from gateway.toolkit.replica import Replica
from gateway.types import Call, Done
from gateway.types import Client as ProgramName
from tests.surfaces.atp.toolkit_house import PLAIN, Worker, soon, until


@asynccontextmanager
async def served(database_url: str, vault_key: str, *, alone: bool = False) -> AsyncIterator[Gateway]:
    with listen() as free:
        port = free.getsockname()[1]
    environ = {
        "ATP_GATEWAY_SERVER_PORT": str(port),
        "ATP_GATEWAY_DATABASE_URL": database_url,
        "ATP_GATEWAY_VAULT_KEY": vault_key,
    }
    if not alone:
        environ["ATP_GATEWAY_SERVER_REPLICA_URL"] = f"http://127.0.0.1:{port}"
    async with app.serving(load_settings(None, environ), []) as gateway:
        yield gateway


@asynccontextmanager
async def worker_at(gateway: Gateway) -> AsyncIterator[Worker]:
    """A worker of a toolkit whose tool is `find`."""
    accounts = await gateway.accounts.open()
    _, key = await accounts.keys.create(KeyKind.TOOLKIT, "crm", by=gateway.principal)
    headers = {"Authorization": f"ApiKey {key.reveal()}", "ATP-Concurrency": "4"}
    body = {
        "function_id": "find", "api_key": key.reveal(), "app_name": "", "code_hash": "c", "toolkit_hash": "c",
        "metadata": PLAIN,
    }  # fmt: skip
    async with httpx2.AsyncClient(base_url=gateway.base_url) as client:
        (await client.post("/api/v1/register_tool", json=body)).raise_for_status()
    worker = await Worker.connect(gateway.base_url, "/ws/v1/atp/toolkit-client/", headers)
    try:
        await worker.hear("atp_client_connected")
        yield worker
    finally:
        worker.writer.close()


def lists(gateway: Gateway) -> list[str]:
    return [tool.name for tool in gateway.registry.tools()]


async def test_a_host_at_one_calls_a_toolkit_at_the_other(database_url: str) -> None:
    vault_key = base64.b64encode(secrets.token_bytes(32)).decode()
    async with served(database_url, vault_key) as a:
        async with served(database_url, vault_key) as b, worker_at(b) as worker:
            await until(lambda: lists(a) == ["find"])
            async with Client(f"{a.base_url}/mcp") as host:
                with anyio.fail_after(10):
                    call = asyncio.create_task(host.call_tool("find", {"q": "Ada"}))
                    request = await worker.hear()
                    await worker.answer(request, {"found": request["params"]})
                    assert (await call).structured_content == {"found": {"q": "Ada"}}
        await until(lambda: lists(a) == [])


async def test_a_gateway_that_is_told_to_stop_answers_the_calls_of_another_first(sqlite_url: str) -> None:
    vault_key = base64.b64encode(secrets.token_bytes(32)).decode()
    async with served(sqlite_url, vault_key) as a:
        serving = served(sqlite_url, vault_key)
        b = await serving.__aenter__()
        async with worker_at(b) as worker:
            await until(lambda: lists(a) == ["find"])
            call = Call(a.principal, ProgramName("test"), "find", {"q": 1}, "1", NullChannel())
            calling = asyncio.create_task(a.executor.call(call))
            request = await worker.hear()
            stopping = asyncio.create_task(serving.__aexit__(None, None, None))
            await until_nobody_listens(b)
            await worker.answer(request, "done")
            outcome = await soon(calling)
            assert isinstance(outcome, Done), outcome
        await soon(stopping, 10)


async def until_nobody_listens(gateway: Gateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.base_url) as client:
        with anyio.fail_after(5):
            while True:
                try:
                    await client.get("/healthz", headers={"connection": "close"})
                except httpx2.ConnectError:
                    return


async def test_a_gateway_without_an_address_for_the_others_is_alone(sqlite_url: str) -> None:
    vault_key = base64.b64encode(secrets.token_bytes(32)).decode()
    async with served(sqlite_url, vault_key) as a, served(sqlite_url, vault_key, alone=True) as b, worker_at(b):
        assert lists(b) == ["find"]
        accounts = await a.accounts.open()
        seen = await accounts.store.replicas.look(Replica("other", ""), accounts.clock.now(), GONE)
        async with httpx2.AsyncClient(base_url=b.base_url) as client:
            assert (await client.post(PATH, content=b"x")).status_code == 404
        assert not seen.holdings
        assert lists(a) == []

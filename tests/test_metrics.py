"""What `/metrics` says, to whom, and that nobody's name is in it."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from starlette.types import ASGIApp

from gateway import app
from gateway.entry import entry_of
from gateway.key_types import KeyKind
from gateway.metrics import Metrics
from gateway.settings import load_settings
from gateway.toolkit.context import NullChannel
from gateway.types import AuditEvent, Call, Client, Principal
from gateway.web_app import team_app

ADA = Principal("https://login.example", "ada@acme.example")
TOOLKIT = '''
from gateway import ToolKitClient

client = ToolKitClient(app_name="crm")

@client.tool
def find(name: str) -> str:
    """Finds."""
    if name == "nobody":
        raise ValueError("CNRY-secret")
    return name
'''


@dataclass
class House:
    gateway: app.Gateway
    served: ASGIApp
    base_url: str

    async def call(self, tool: str, name: str) -> None:
        call = Call(ADA, Client("CNRY-host"), tool, {"name": name}, "1", NullChannel())
        await self.gateway.executor.call(call)

    async def read(self, authorization: str | None = None) -> httpx2.Response:
        headers = {"authorization": authorization} if authorization else {}
        async with httpx2.AsyncClient(base_url=self.base_url, transport=httpx2.ASGITransport(self.served)) as client:
            return await client.get("/metrics", headers=headers)

    async def key(self, kind: KeyKind) -> str:
        keys = (await self.gateway.accounts.open()).keys
        owner = ADA if kind is KeyKind.PERSON else None
        _, text = await keys.create(kind, "watch", by=ADA, owner=owner)
        return text.reveal()


async def house_at(tmp_path: Path, base_url: str, host: str) -> AsyncIterator[House]:
    (tmp_path / "crm.py").write_text(TOOLKIT)
    environ = {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_ACCESS_KEYS": "true",
        "ATP_GATEWAY_SERVER_PUBLIC_URL": base_url,
    }
    gateway = app.build(load_settings(None, environ))
    gateway.base_url = base_url
    gateway.load([str(tmp_path / "crm.py")])
    accounts = await gateway.accounts.open()
    entry = entry_of(gateway.settings.access, accounts, gateway.audit, base_url, local=gateway.principal)
    yield House(gateway, team_app(gateway, accounts, entry, host, 8787), base_url)
    await entry.close()
    await gateway.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for made in house_at(tmp_path, "http://127.0.0.1:8787", "127.0.0.1"):
        yield made


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[House]:
    async for made in house_at(tmp_path, "https://gateway.example.com", "0.0.0.0"):
        yield made


async def test_calls_are_counted_by_tool_and_outcome_and_timed(house: House) -> None:
    for tool, name in (("find", "x"), ("find", "y"), ("find", "nobody"), ("CNRY-no-such-tool", "x")):
        await house.call(tool, name)

    said = (await house.read()).text

    assert 'atp_gateway_calls_total{outcome="done",tool="find",toolkit="crm"} 2.0' in said
    assert 'atp_gateway_calls_total{outcome="tool_crashed",tool="find",toolkit="crm"} 1.0' in said
    assert 'atp_gateway_calls_total{outcome="unknown_tool",tool="other",toolkit="other"} 1.0' in said
    assert 'atp_gateway_call_seconds_count{tool="find",toolkit="crm"} 3.0' in said
    assert "atp_gateway_mcp_sessions 0.0" in said
    assert re.search(r"^atp_gateway_audit_waiting [4-9]\.0$", said, re.MULTILINE)
    assert "atp_gateway_tools 1.0" in said


async def test_nobody_and_nothing_of_theirs_is_in_it(house: House) -> None:
    await house.call("find", "nobody")
    house.gateway.audit.record(ADA, "connection.refreshed", "done", provider="hubspot", account="CNRY-account")

    said = (await house.read()).text

    assert 'atp_gateway_refreshes_total{provider="hubspot"} 1.0' in said
    assert "CNRY" not in said
    assert "ada" not in said
    assert "login.example" not in said


async def test_elsewhere_it_takes_an_administrators_key_and_no_other(public: House) -> None:
    others = [KeyKind.APP, KeyKind.TOOLKIT, KeyKind.PERSON]
    refused = [await public.read(f"Bearer {await public.key(kind)}") for kind in others]
    for answer in [await public.read(), await public.read("Bearer x"), await public.read("Basic x"), *refused]:
        assert answer.status_code in (401, 403)
        assert "atp_gateway" not in answer.text

    let_in = await public.read(f"Bearer {await public.key(KeyKind.ADMIN)}")

    assert let_in.status_code == 200
    assert let_in.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "atp_gateway_tools 1.0" in let_in.text


def called(tool: str | None, outcome: str = "done") -> AuditEvent:
    return AuditEvent("1", None, ADA, "tool.called", outcome, tool=tool, duration_ms=1.5)  # type: ignore[arg-type]


def test_the_number_of_tools_that_are_told_apart_is_bounded() -> None:
    metrics = Metrics(lambda name: "far", most=10)
    for number in range(60):
        metrics.heard(called(f"tool_{number}"))

    said = metrics.text().decode()

    assert said.count("atp_gateway_calls_total{") == 10 + 1
    assert 'atp_gateway_calls_total{outcome="done",tool="other",toolkit="other"} 50.0' in said


def test_counting_a_call_costs_microseconds(full: bool) -> None:
    metrics, event = Metrics(lambda name: "crm"), called("find")
    times = []
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(200):
            metrics.heard(event)
        times.append((time.perf_counter() - started) / 200)

    assert min(times) < (20e-6 if full else 200e-6)

"""Our authorization server before a referee that we did not write: see referee.mjs. Nothing may be missed."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from gateway.testing.browser import Browser
from tests.authorization.served import Served, serving_team

HERE = Path(__file__).parent
NODE = HERE.parent.parent / ".cache/peers/bin/node"
REDIRECT = "http://127.0.0.1:41998/callback"
SECRET = "a secret of the operator's, with % and + in it, long enough"
CONFIG = f"""
[access]
builtin = true

[access.clients.referee]
redirect_uris = ["{REDIRECT}"]
secret = "{SECRET}"
"""
FEWEST = 55
"""Judgements there are at least: a referee that stays away has found nothing wrong."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving_team(tmp_path_factory.mktemp("served"), CONFIG) as made:
        yield made


@pytest.fixture(scope="module")
async def alice() -> AsyncIterator[Browser]:
    async with Browser(httpx2.AsyncClient(cookies={"person": "alice"}, trust_env=False, timeout=10)) as browser:
        yield browser


async def visit(alice: Browser, url: str, decision: str) -> str:
    """Where she ends up, who allows or does not what she is asked there."""
    page = await alice.consent(url, approve=decision == "allow", stop_at=REDIRECT)
    return page.url if page.url.startswith(REDIRECT) else ""


async def judgements(alice: Browser, case: dict[str, Any]) -> list[dict[str, Any]]:
    """All that the referee says, who is sent to Alice wherever it needs somebody to ask."""
    said = []
    process = await asyncio.create_subprocess_exec(
        NODE, HERE / "referee.mjs", json.dumps(case), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with anyio.fail_after(60):
        async for line in process.stdout:
            told = json.loads(line)
            if "open" in told:
                process.stdin.write(f"{await visit(alice, told['open'], told['decision'])}\n".encode())
            else:
                said.append(told)
        complaint = (await process.stderr.read()).decode()
        process.stdin.close()
        assert await process.wait() == 0, complaint
    return said


@pytest.mark.parametrize(
    ("method", "known"),
    [
        ("client_secret_basic", None),
        ("client_secret_post", {"client_id": "referee", "client_secret": SECRET}),
        ("none", None),
        ("private_key_jwt", None),
    ],
    ids=["basic, registered by itself", "post, of the settings", "public", "by its key"],
)
async def test_the_referee_misses_nothing(
    served: Served, alice: Browser, method: str, known: dict[str, str] | None
) -> None:
    case = {"issuer": served.url, "redirect": REDIRECT, "scope": "tools offline_access", "method": method}

    said = await judgements(alice, {**case, "client": known})

    assert [each for each in said if not each["met"]] == []
    assert len(said) >= FEWEST

"""A certified OpenID provider that we did not write, as a process."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

HERE = Path(__file__).parent
NODE = HERE.parent.parent / ".cache/peers/bin/node"

CLIENT_ID, CLIENT_SECRET = "gateway", "a secret between the two"


@dataclass(frozen=True)
class OidcProvider:
    """Its issuer, and what oidc_provider.mjs lets a test see and order."""

    issuer: str

    async def refreshes(self) -> list[str]:
        """How each refresh so far ended: "ok", or the error."""
        async with httpx2.AsyncClient(trust_env=False) as http:
            log = (await http.get(f"{self.issuer}/log")).json()
        return [entry["error"] or "ok" for entry in log if entry["grant"] == "refresh_token"]

    async def order(self, **control: Any) -> None:
        async with httpx2.AsyncClient(trust_env=False) as http:
            await http.post(f"{self.issuer}/control", json=control)


@pytest.fixture
async def oidc_provider() -> AsyncIterator[OidcProvider]:
    """Where our gateway is registered as a client, with its callback for `acme` on any loopback port."""
    callback = "http://127.0.0.1/oauth/callback/acme"
    command = [NODE, HERE / "oidc_provider.mjs", CLIENT_ID, CLIENT_SECRET, callback]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL)
    assert process.stdin
    assert process.stdout
    with anyio.fail_after(20):
        said = await process.stdout.readline()
    yield OidcProvider(json.loads(said)["issuer"])
    process.stdin.close()
    with anyio.fail_after(10):
        await process.wait()

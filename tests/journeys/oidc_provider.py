"""A certified OpenID provider that we did not write, as a process: an account's provider, or a company's own."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2

HERE = Path(__file__).parent
NODE = HERE.parent.parent / ".cache/peers/bin/node"

CLIENT_ID, CLIENT_SECRET = "gateway", "a secret between the two"


@dataclass(frozen=True)
class OidcProvider:
    """Its issuer, and what oidc_provider.mjs lets a test see and order."""

    issuer: str

    async def log(self) -> list[dict[str, Any]]:
        """{"event", "grant", "error"} of whatever was asked of it, in order."""
        async with httpx2.AsyncClient(trust_env=False) as http:
            entries: list[dict[str, Any]] = (await http.get(f"{self.issuer}/log")).json()
        return entries

    async def refreshes(self) -> list[str]:
        """How each refresh so far ended: "ok", or the error."""
        return [entry["error"] or "ok" for entry in await self.log() if entry["grant"] == "refresh_token"]

    async def order(self, **control: Any) -> None:
        async with httpx2.AsyncClient(trust_env=False) as http:
            await http.post(f"{self.issuer}/control", json=control)


@asynccontextmanager
async def oidc_provider(callback: str) -> AsyncIterator[OidcProvider]:
    """While the block lasts. Our gateway is registered as a client, with its callback on any loopback port."""
    command = [NODE, HERE / "oidc_provider.mjs", CLIENT_ID, CLIENT_SECRET, callback]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    assert process.stdin
    assert process.stdout
    with anyio.fail_after(60):
        said = await process.stdout.readline()
    yield OidcProvider(json.loads(said)["issuer"])
    process.stdin.close()
    with anyio.fail_after(20):
        await process.wait()

"""A gateway that is an authorization server, as a process for the conformance suite. Prints its issuer, ends at EOF.

Whoever sits at a browser here is Alice: how people sign in is not what the suite looks at.
"""

# ruff: noqa: T201 - a program: it prints
from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.app import serving
from gateway.settings import load_settings
from gateway.types import Access, AccessKind, Principal

ALICE = Access(Principal("https://idp.example", "alice"), kind=AccessKind.SESSION)


async def alice(headers: Mapping[str, str]) -> Access:
    """Who sits at the browser."""
    return ALICE


async def main() -> None:
    async with serving(load_settings(Path(sys.argv[1])), sys.argv[2:], browser=alice) as gateway:
        print(gateway.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())

"""A gateway process's half of webhooks, to be killed: `python process.py`, and a line of JSON on its input.

It writes so many facts about an app's user and, where it is told to, delivers. It says `written`, and then lives until
it is killed.
"""

# ruff: noqa: T201 - it answers on its standard output

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from gateway.clock import SystemClock
from gateway.secret import Secret
from tests.webhooks.conftest import ADA, posting


async def main(work: dict[str, Any]) -> None:
    async with posting(work["database"], Secret(work["key"]), SystemClock(), work["hosts"]) as post:
        if work["delivers"]:
            post.courier.start()
        for number in range(work["facts"]):
            post.audit.record(ADA, "tool.called", "done", tool=f"t{number}")
        await post.audit.flush()
        print("written", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.stdin.readline())))

"""Calls of tools, one of which needs a token, through the real executor, audit and database: for tests, and a process.

calling.py URL        makes one call, says `running` when the tool has its token, and does not end by itself
"""

# ruff: noqa: T201 - it answers on its standard output

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.access.policy import OnePersonPolicy
from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.executor import Executor
from gateway.store.store import Store
from gateway.toolkit.context import Context, NullChannel
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool
from gateway.types import Call, Client, Credential, Done, Outcome, Principal, Requirement

ANNA = Principal("issuer", "anna")
TOKEN = "CNRY-token-of-the-audit"
ARGUMENT = "CNRY-argument-of-the-audit"
RESULT = "CNRY-result-of-the-audit"


class OneAccount:
    """Gives everybody the same token."""

    async def credential(self, call: Call, requirement: object, refused: object = None) -> Credential:
        return Credential("acme", TOKEN, frozenset({"read", "write"}), "anna@acme.example")

    def describe(self, provider: str) -> None:
        return None


@dataclass
class Calling:
    """Two tools: `sends` needs a token, `adds` does not. `given` are the tokens that came out; `hangs` once there."""

    audit: AuditLog
    given: list[str] = field(default_factory=list)
    hangs: bool = False

    def __post_init__(self) -> None:
        self.registry = Registry()
        for name, need in (("sends", Requirement("acme")), ("adds", None)):
            self.registry.add(Tool(name, "kit", "Does.", {"type": "object"}, self._run, lambda _: None, need))
        self._executor = Executor(self.registry, OnePersonPolicy(), OneAccount(), self.audit)  # type: ignore[arg-type]

    async def call(self, tool: str = "sends", principal: Principal = ANNA, **arguments: Any) -> Outcome:
        call = Call(principal, Client("a host"), tool, arguments, "call 1", NullChannel())
        return await self._executor.call(call)

    async def _run(self, arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> str:
        if credential is not None:
            self.given.append(credential.token)
        if self.hangs:
            print("running", flush=True)
            await asyncio.Event().wait()
        return RESULT


def how(outcome: Outcome) -> str:
    """`done`, or the code of the error."""
    return "done" if isinstance(outcome, Done) else outcome.error.code  # type: ignore[union-attr]


def strict_log(store: Store) -> AuditLog:
    async def key() -> bytes:
        return b"k" * 32

    return AuditLog(store.audit.append, SystemClock(), strict=True, key=key)


async def main(url: str) -> None:
    await Calling(strict_log(await Store.open(url)), hangs=True).call(text=ARGUMENT)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

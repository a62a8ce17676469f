"""Nemesis: at each point does one evil to the workers of a toolkit, by a seed that is printed.

It kills and stops processes, cuts their lines, has their answers come twice or late, forges answers by other workers'
keys, and makes callers hang up. Everything that it does is undone by itself or by `heal`.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx2
from websockets.asyncio.client import ClientConnection

from tests.proofs.bad_network import BadNetwork
from tests.proofs.remote_calls import Callers, Herd

LONGEST_PAUSE = 6.0  # seconds: longer than a call may take
FORGED = {"call_id": "forged"}


@dataclass
class Nemesis:
    """`forgers` are sockets of other toolkits, and of the same one in hands that hold no call."""

    chance: random.Random
    herd: Herd
    network: BadNetwork
    callers: Callers
    forgers: list[ClientConnection]
    inboxes: list[str]
    http: httpx2.AsyncClient
    done: Counter[str] = field(default_factory=Counter)
    _healing: set[asyncio.TimerHandle] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._evils: list[tuple[int, Callable[[], Awaitable[None] | None]]] = [
            (2, self.kill),
            (3, self.stop_for_a_while),
            (3, self.cut),
            (4, self.have_it_said_twice),
            (3, self.have_it_said_late),
            (4, self.forge_over_sockets),
            (2, self.forge_by_post),
            (2, self.hang_up),
        ]

    async def strike(self) -> None:
        weights = [weight for weight, _ in self._evils]
        (chosen,) = self.chance.choices([evil for _, evil in self._evils], weights)
        self.done[chosen.__name__] += 1
        doing = chosen()
        if doing is not None:
            await doing

    def heal(self) -> None:
        """Let go on whatever was stopped or held."""
        for handle in self._healing:
            handle.cancel()
        for line in self.network.lines:
            line.held.set()
        self.herd.signal_all(signal.SIGCONT)

    def kill(self) -> None:
        self.herd.kill(self.chance.randrange(self.herd.size))

    def stop_for_a_while(self) -> None:
        process = self.herd.processes[self.chance.randrange(self.herd.size)]
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGSTOP)
            self._later(lambda: _go_on(process))

    def cut(self) -> None:
        if self.network.lines:
            self.chance.choice(self.network.lines).drop(reset=self.chance.random() < 0.5)

    def have_it_said_twice(self) -> None:
        if self.network.lines:
            self.chance.choice(self.network.lines).says_twice += 1

    def have_it_said_late(self) -> None:
        if self.network.lines:
            line = self.chance.choice(self.network.lines)
            line.held.clear()
            self._later(line.held.set)

    async def forge_over_sockets(self) -> None:
        for socket in self.forgers:
            for request_id in self._ids():
                await socket.send(json.dumps({"type": "tool_response", "request_id": request_id, "result": FORGED}))

    async def forge_by_post(self) -> None:
        for inbox in self.inboxes:
            for request_id in self._ids():
                answer = await self.http.post(inbox, json={"request_id": request_id, "response": FORGED})
                assert answer.json() == {"status": "ignored"}

    def hang_up(self) -> None:
        self.callers.hang_up(self.chance)

    def _ids(self) -> list[str]:
        """Of calls that may be under way, and one of none."""
        return [*list(self.network.sent)[-6:], f"unknown-{self.chance.getrandbits(64)}"]

    def _later(self, undo: Callable[[], None]) -> None:
        seconds = LONGEST_PAUSE * self.chance.random() ** 2
        self._healing.add(asyncio.get_running_loop().call_later(seconds, undo))


def _go_on(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)

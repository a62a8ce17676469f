"""Whatever befalls the gateway that has the workers, or the link to it: each call has one end, and runs at most once.

Callers are at one gateway, the workers of a published toolkit at another, which is killed and started again, stopped
for a while, cut off from the first in mid-call, or answers too late; and everything that went to it is brought to it
again. What is true of the ends of calls at one gateway (`test_remote_calls`) is true of these.
"""

# ruff: noqa: T201 - it prints its seed and its figures

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from gateway.remote.elsewhere import PATH
from tests.interop.atp_programs import operated
from tests.interop.programs import ATP_GATEWAY, ROOT, free_port, gateway_settings
from tests.proofs.bad_link import BadLink, bad_link
from tests.proofs.bad_network import bad_network
from tests.proofs.nemesis import Nemesis
from tests.proofs.remote_calls import DEADLINE, HANGS, Callers, Herd
from tests.proofs.test_remote_calls import _a_moment, assert_run_as_told, declare


@dataclass
class Second:
    """The gateway that has the workers: a process that can be stopped, and is started again where it was killed."""

    environment: dict[str, str]
    port: int
    process: Process | None = None
    _starting: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, former: Process | None = None) -> None:
        if former is not None:
            await former.wait()
        command = (sys.executable, ATP_GATEWAY, "serve", "--port", str(self.port))
        process = await asyncio.create_subprocess_exec(
            *command, env=self.environment, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        assert process.stderr
        async with asyncio.timeout(HANGS):
            while b"/mcp" not in (said := await process.stderr.readline()):
                assert said, "the gateway did not start"
        self.process = process

    def kill(self) -> None:
        if (process := self.process) is not None:
            self.process = None
            process.kill()
            task = asyncio.create_task(self.start(process))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def up(self) -> None:
        """Wait until it serves."""
        await asyncio.gather(*self._starting)

    async def end(self) -> None:
        await self.up()
        if self.process is not None:
            self.process.kill()
            await self.process.wait()


@dataclass
class Storm:
    """One evil at a time, by a seed that is printed: to the gateway, to the link, to what went over it, to workers."""

    chance: random.Random
    second: Second
    link: BadLink
    workers: Nemesis
    longest_pause: float
    done: Counter[str] = field(default_factory=Counter)
    brought_again: Counter[int] = field(default_factory=Counter)
    _healing: set[asyncio.TimerHandle] = field(default_factory=set)

    async def strike(self) -> None:
        evils = {
            self.kill: 1, self.stop_for_a_while: 2, self.cut: 6, self.lose_an_answer: 4, self.hold_answers: 2,
            self.bring_again: 6,
            self.bring_twice: 4, self.hang_up: 3, self.workers.strike: 4,
        }  # fmt: skip
        (evil,) = self.chance.choices(list(evils), list(evils.values()))
        self.done[evil.__name__] += 1
        doing = evil()
        if doing is not None:
            await doing

    def kill(self) -> None:
        self.second.kill()

    def stop_for_a_while(self) -> None:
        self.second.signal(signal.SIGSTOP)
        self._later(lambda: self.second.signal(signal.SIGCONT))

    def cut(self) -> None:
        self.link.cut(self.chance)

    def lose_an_answer(self) -> None:
        self.link.drops_next += 1

    def hold_answers(self) -> None:
        self.link.answers_pass.clear()
        self._later(self.link.answers_pass.set)

    def bring_twice(self) -> None:
        """The next request, as by a proxy that tries again."""
        self.link.brings_twice += 1

    async def bring_again(self) -> None:
        """Everything that was seen, to the gateway itself. It is stopped, or away, now and then."""
        url = f"http://127.0.0.1:{self.link.port}{PATH}"
        headers = {"Host": self.link.url.removeprefix("http://")}
        async with httpx2.AsyncClient(trust_env=False, timeout=0.5) as http:
            asked = [http.post(url, content=body, headers=headers) for body in tuple(self.link.seen)]
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                self.brought_again[answer.status_code if isinstance(answer, httpx2.Response) else 0] += 1

    def hang_up(self) -> None:
        self.workers.callers.hang_up(self.chance)

    def heal(self) -> None:
        for handle in self._healing:
            handle.cancel()
        self.link.answers_pass.set()
        self.link.drops_next = 0
        self.second.signal(signal.SIGCONT)
        self.workers.heal()

    def _later(self, undo) -> None:
        seconds = self.longest_pause * self.chance.random() ** 2
        self._healing.add(asyncio.get_running_loop().call_later(seconds, undo))


@asynccontextmanager
async def second_gateway(environment: dict[str, str], port: int) -> AsyncIterator[Second]:
    second = Second(environment, port)
    await second.start()
    try:
        yield second
    finally:
        await second.end()


@pytest.fixture
async def storm(tmp_path: Path, full: bool, postgres_url: str) -> AsyncIterator[Storm]:
    """On PostgreSQL: whoever is stopped in mid-commit has all others wait for an SQLite file."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    settings = {name: value for name, value in gateway_settings(tmp_path, "").items() if "ACME" not in name}
    settings |= {"PYTHONPATH": str(ROOT), "ATP_GATEWAY_DATABASE_URL": postgres_url}
    ports = free_port(), free_port()
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(bad_network())
        network.gateway_port = ports[1]
        link = await stack.enter_async_context(bad_link(ports[1]))
        first = {"ATP_GATEWAY_SERVER_REPLICA_URL": f"http://127.0.0.1:{ports[0]}"}
        a = await stack.enter_async_context(operated(tmp_path, settings | first, ports[0]))
        await asyncio.gather(a.new_key("toolkit", "herd"), a.new_key("app", "callers"))
        its = {"ATP_GATEWAY_SERVER_REPLICA_URL": link.url, "ATP_GATEWAY_SERVER_PUBLIC_URL": network.base_url}
        second = await stack.enter_async_context(second_gateway(settings | its, ports[1]))
        http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{ports[1]}", trust_env=False, timeout=HANGS)
        )
        await declare(http, a.keys["herd"])
        (tmp_path / "runs").touch()
        (tmp_path / "workers").mkdir()
        environment = {"KEY": a.keys["herd"], "BASE_URL": network.base_url, "RUNS": str(tmp_path / "runs")}
        herd = Herd(3 if full else 2, environment, tmp_path / "workers")
        await herd.start()
        stack.push_async_callback(herd.end)
        chance = random.Random(seed)
        callers = Callers(a.base_url, a.keys["callers"], chance)
        workers = Nemesis(chance, herd, network, callers, [], [], http)
        yield Storm(chance, second, link, workers, longest_pause=20.0 if full else 6.0)


async def until_called(storm: Storm) -> None:
    """Until a call at the first gateway is answered."""
    async with asyncio.timeout(2 * HANGS):
        while (await storm.workers.callers.call(None)).how != "value":
            await _a_moment()


async def test_each_call_to_another_gateway_has_one_end_and_is_run_at_most_once(storm: Storm, full: bool) -> None:
    points, callers, herd = 150 if full else 20, storm.workers.callers, storm.workers.herd
    await until_called(storm)
    calling = [asyncio.create_task(callers.call_on(number)) for number in range(6)]
    for _ in range(points):
        await _a_moment(storm.chance.uniform(0, 0.4))
        await storm.strike()
    storm.heal()
    callers.is_over = True
    async with asyncio.timeout(2 * HANGS):
        await asyncio.gather(*calling)
    await storm.second.up()
    await until_called(storm)
    await herd.end()

    ends = Counter(each.how for each in callers.ended)
    last = max(callers.ended, key=lambda each: each.seconds)
    latest = last.seconds - DEADLINE
    print(f"{points} points {dict(storm.done)}; workers {dict(storm.workers.done)}")
    print(f"brought again {dict(storm.brought_again)}; {len(callers.ended)} calls {dict(ends)}")
    print(f"latest {latest:+.2f} s, {last.how}")
    assert set(ends) <= {"value", "not sent", "unknown", "hung up"}
    assert_run_as_told(callers.ended, herd.runs())
    assert latest < (1 if full else 5)
    assert not full or min(ends[how] for how in ("value", "not sent", "unknown", "hung up")) > 0

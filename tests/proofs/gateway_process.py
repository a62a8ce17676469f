"""A process with a gateway in it: `python gateway_process.py`, and then a line of JSON for each task on its input.

It imports everything once and forks for each task, so that a fresh gateway process costs milliseconds, and hundreds of
them can be killed. The lines it writes: `{"pid": …}` when the task has its process, what the task itself writes,
`{"stopped": true}` when that process is stopped, and `{"ended": status}` when it is gone, whatever ended it.
"""

# ruff: noqa: T201 - it answers on its standard output

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.deferred import _import_rooms
from tests.proofs.standing_clock import SignalAtLook, StandingClock
from tests.proofs.world import EXPIRED, Place, call, said


async def calls(place: Place, _: dict[str, Any]) -> None:
    """Each time it is told: that many calls at once. Answers what each of them was told, and how long it took."""
    async with place.gateway(StandingClock(Path(place.clock))) as gateway:

        async def timed() -> tuple[str, float]:
            began = time.perf_counter()
            return said(await call(gateway, "which")), time.perf_counter() - began

        tell(ready=True)
        while count := int(await asyncio.to_thread(sys.stdin.readline)):
            tell(answers=await asyncio.gather(*(timed() for _ in range(count))))


async def refreshing(place: Place, _: dict[str, Any]) -> None:
    """Nothing but calls on expired tokens, until killed."""
    clock = StandingClock(Path(place.clock))
    async with place.gateway(clock) as gateway:
        await call(gateway, "which")
        tell(ready=True)
        while True:
            clock.advance(EXPIRED)
            await call(gateway, "which")


async def signalled(place: Place, task: dict[str, Any]) -> None:
    """One call, with a signal to this process at its n-th look at the clock; then what the call was told."""
    at_look = SignalAtLook(signal.Signals(task["signal"]))
    async with place.gateway(StandingClock(Path(place.clock), at_look)) as gateway:
        await gateway.accounts.open()
        at_look.arm(task["look"])
        tell(answer=said(await call(gateway, "which")))


TASKS: dict[str, Callable[[Place, dict[str, Any]], Awaitable[None]]] = {
    "calls": calls,
    "refreshing": refreshing,
    "signalled": signalled,
}


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    _import_rooms()
    while line := sys.stdin.readline():
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            asyncio.run(TASKS[task["do"]](Place(**task["place"]), task))
            os._exit(0)
        tell(pid=child)
        while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
            tell(stopped=True)
        tell(ended=status)


if __name__ == "__main__":
    main()

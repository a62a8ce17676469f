"""Looks names up, on threads of its own.

A name that somebody outside chose may be served by a name server that never answers. On the event loop's own pool a
few of those would keep everybody else's look-ups waiting, and on any pool of `concurrent.futures` they would hold up
the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from queue import SimpleQueue
from typing import Any

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[list[str]]", str, int]

THREADS = 4


class Names:
    """The system's resolver. `look_up` may be given up at any time."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._threads = 0

    async def look_up(self, host: str, port: int) -> list[str]:
        """All addresses of a host, as text, in the system's order of preference. OSError where there are none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()
        self._jobs.put((loop, future, host, port))
        if self._threads < THREADS:
            self._threads += 1
            threading.Thread(target=self._work, name="look up names", daemon=True).start()
        return await future

    def _work(self) -> None:
        while True:
            loop, future, host, port = self._jobs.get()
            if future.cancelled():  # nobody waits for it any more
                continue
            found: list[str] | OSError
            try:
                found = _addresses(host, port)
            except OSError as error:
                found = error
            try:
                loop.call_soon_threadsafe(_settle, future, found)
            except RuntimeError:  # the loop has closed
                continue


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # no name at all
        raise OSError(str(error)) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _settle(future: asyncio.Future[Any], found: list[str] | OSError) -> None:
    if future.cancelled():
        return
    if isinstance(found, OSError):
        future.set_exception(found)
    else:
        future.set_result(found)

"""A worker's life, from `start()` to its end.

    say what tools there are -> serve calls -> the line breaks -> wait a little, by chance -> again
                                    |
                                 stop() or a signal: no new calls, the running ones end, then it is over

Coming back is delayed at random, up to twice as long after each failure, so that the workers of a gateway that was
restarted do not all come at once. A key that is refused ends it: no waiting makes that better.

Below: `registration`, the lines, `calls`. Above: `gateway.toolkit.client`.
Source: "Exponential Backoff And Jitter" (AWS Architecture Blog), full jitter.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import httpx2

from gateway.errors import GatewayError, GatewayUnreachableError
from gateway.redaction import RedactingFormatter
from gateway.toolkit.afar.calls import Calls
from gateway.toolkit.afar.inbox_line import InboxLine
from gateway.toolkit.afar.place import Place
from gateway.toolkit.afar.registration import Registration
from gateway.toolkit.afar.socket_line import SocketLine
from gateway.toolkit.afar.stopping import unless
from gateway.toolkit.registry import Registry

log = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds
STEADY = 5.0  # seconds that a line has to hold to be a good one
DRAIN_SECONDS = 20.0


class Line(Protocol):
    """How calls reach a worker."""

    async def serve(self, stopping: asyncio.Event) -> None: ...


class Work:
    """One worker's. `code_of` gives the function behind a tool's name, `protocol` is "ws" or "http"."""

    def __init__(
        self,
        place: Place,
        toolkit: str,
        tools: Registry,
        code_of: Callable[[str], Callable[..., Any] | None],
        *,
        protocol: str,
    ) -> None:
        self._place = place
        self._toolkit = toolkit
        self._tools = tools
        self._code_of = code_of
        self._protocol = protocol
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_to_stop = False
        self._stopping = asyncio.Event()

    def run(self) -> None:
        """Serve until stopped. GatewayError when the gateway refuses the key."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._run())
            return
        raise GatewayError(
            "start() serves until it is stopped, and would hold up this event loop. Start it in a thread."
        )

    def stop(self) -> None:
        """Begin no new call, end the running ones, and be done. From any thread; once more: be done now."""
        with self._lock:
            if self._loop is None:  # not begun yet, or over
                self._is_to_stop = True
            else:
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._calls.cancel()
            return
        log.info("stopping: running calls are ended first")
        self._calls.stop()
        self._stopping.set()
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._calls.cancel)

    async def _run(self) -> None:
        self._calls = Calls(self._tools.find, self._place.at_once)
        with self._lock:
            self._loop = asyncio.get_running_loop()
        if self._is_to_stop:
            return
        try:
            with _signals(self._stop):
                async with self._http() as http:
                    await self._live(http)
        finally:
            with self._lock:
                self._loop = None

    def _http(self) -> httpx2.AsyncClient:
        tls = self._place.has_tls
        verify = ssl.create_default_context() if tls else False
        return httpx2.AsyncClient(headers=self._place.headers, trust_env=tls, verify=verify)

    async def _live(self, http: httpx2.AsyncClient) -> None:
        registration = Registration(http, self._place, self._toolkit)
        is_inbox = self._protocol.startswith("http")
        line: Line = InboxLine(http, self._place, self._calls) if is_inbox else SocketLine(self._place, self._calls)
        failures, loop = 0, asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            try:
                await unless(self._stopping, registration.tell(self._tools.tools(), self._code_of))
                with self._telling_changes(registration):
                    await line.serve(self._stopping)
            except GatewayUnreachableError as error:
                log.warning("%s", error.message)
            failures = 1 if loop.time() - began > STEADY else failures + 1
            await self._pause(delay_after(failures))

    @contextmanager
    def _telling_changes(self, registration: Registration) -> Iterator[None]:
        """Tools that come and go meanwhile are told to the gateway as they do."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        async def tell() -> None:
            while True:
                await changed.wait()
                changed.clear()
                try:
                    await registration.tell(self._tools.tools(), self._code_of)
                except GatewayError as error:  # the line breaks for the same reason, and then all is told anew
                    log.warning("%s", error.message)

        def notice() -> None:
            loop.call_soon_threadsafe(changed.set)

        unsubscribe = self._tools.subscribe(notice)
        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            unsubscribe()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def delay_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: any number up to a bound, which doubles with each."""
    return random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures, 10)))  # noqa: S311 - no secret


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop the work meanwhile. Not on Windows, nor in a thread: there they do what they do."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def show_log() -> None:
    """Have the worker's log on stderr, redacted, in a program that has set up no logging of its own."""
    ours = logging.getLogger("gateway")
    if logging.getLogger().handlers or ours.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)

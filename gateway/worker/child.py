"""A worker's life: it loads one toolkit, says what tools that has, and runs them, one call at a time.

    gateway                                   worker
      start (which toolkit, which limits) ->
                                           <- loaded (the tools) or broken (why)
      call (tool, arguments, credential)  ->
                                           <- progress, log, ask
      answers                             ->
                                           <- ended (what the tool returned or raised, and what its HTTP was)
      cancel                              ->
                                           <- ended, when the function has really ended

A call that is cancelled is over when its function is: until then the worker is not free, and if that takes too long the
gateway ends it. The credential comes with the call, and nothing of the worker's own keeps it afterwards.

Below: toolkit, `channel`, `wire`. Above: `__main__`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gateway.errors import RegistrationError, ToolkitBusyError, UnknownToolError
from gateway.redaction import Redactor
from gateway.toolkit import http_hooks
from gateway.toolkit.context import Context, InputNeeded
from gateway.toolkit.exchange import Watch, watching
from gateway.toolkit.loader import Loader, LoadReport
from gateway.toolkit.pool import PATIENCE, Pool
from gateway.toolkit.registry import Registry
from gateway.toolkit.result import RESULT_LIMIT
from gateway.toolkit.sources import Source
from gateway.toolkit.tool import Tool
from gateway.worker.channel import LineChannel
from gateway.worker.confinement import memory_in_use
from gateway.worker.failure import error_to_wire
from gateway.worker.line import Line, Message
from gateway.worker.wire import credential_from_wire, definition_of, definition_to_wire, value_to_wire

log = logging.getLogger(__name__)

T = TypeVar("T")


class CountingPool(Pool):
    """A Pool that knows when the last of its threads has ended, however early its caller went."""

    def __init__(self) -> None:
        super().__init__()
        self._running = 0
        self._idle = asyncio.Event()

    async def run(self, toolkit: str, call: Callable[[], T], patience: float = PATIENCE, whose: str = "") -> T:
        loop = asyncio.get_running_loop()
        started = False

        def counted() -> T:
            nonlocal started
            started = True
            try:
                return call()
            finally:
                loop.call_soon_threadsafe(self._count, -1)

        self._count(1)
        try:
            return await super().run(toolkit, counted, patience, whose)
        except ToolkitBusyError:
            if not started:
                self._count(-1)
            raise

    async def idle(self) -> None:
        """Wait until no thread runs a tool."""
        if self._running:
            await self._idle.wait()

    def _count(self, change: int) -> None:
        self._running += change
        if self._running:
            self._idle.clear()
        else:
            self._idle.set()


class Child:
    """The toolkit that this process runs."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._pool = CountingPool()
        self._run: asyncio.Task[None] | None = None
        self._channel: LineChannel | None = None

    def load(self, file: str | None, module: str | None) -> Message:
        """Import the toolkit, and the message that says how that went. It may print, and raise, whatever it likes."""
        report = Loader(self._registry, self._pool).load_source(Source(Path(file) if file else None, module))
        self._registry.subscribe(_warn)
        return _loaded(report)

    async def work(self, line: Line) -> None:
        """Run calls until the gateway has gone."""
        while (message := await line.receive()) is not None:
            self._heed(message, line)
            message = None  # there is a token in it, and it may be long until the next one comes
            await asyncio.sleep(0)  # a call that is cancelled before it begins could not say how it ended

    def _heed(self, message: Message, line: Line) -> None:
        match message["kind"]:
            case "call":
                self._channel = LineChannel(line, message["call"], message["capabilities"])
                self._run = asyncio.create_task(self._call(message, self._channel, line))
            case "answers" if self._channel is not None:
                self._channel.answered(message)
            case "cancel" if self._run is not None:
                self._run.cancel()

    def _tool(self, name: str) -> Tool:
        if (tool := self._registry.find(name)) is None:
            raise UnknownToolError(f"{name} is no longer one of its toolkit's tools.")
        return tool

    async def _call(self, message: Message, channel: LineChannel, line: Line) -> None:
        ended = await self._ended(message, channel)
        line.send({"kind": "ended", "call": message["call"], "memory": memory_in_use(), **ended})

    async def _ended(self, message: Message, channel: LineChannel) -> Message:
        """Run one call, and say how it ended."""
        credential = credential_from_wire(message["credential"])
        watch = None
        if credential is not None:
            http_hooks.install()
            watch = Watch(Redactor.of_credential(credential).finds)
        context = Context(channel, asyncio.get_running_loop())
        try:
            tool = self._tool(message["tool"])
            with watching(watch):
                value = await tool.run(message["arguments"], credential, context)
            ended = value_to_wire(value, RESULT_LIMIT)
        except InputNeeded:
            ended = {"input_needed": True}
        except asyncio.CancelledError:
            context.close()
            await self._pool.idle()
            ended = {"cancelled": True}
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is the gateway's to judge
            ended = {"error": error_to_wire(error)}
        finally:
            context.close()
        return ended if watch is None else ended | {"watch": watch.as_json()}


def _loaded(report: LoadReport) -> Message:
    if report.errors:
        errors = [{"registration": isinstance(error, RegistrationError), "text": str(error)} for error in report.errors]
        return {"kind": "broken", "errors": errors}
    tools = [definition_to_wire(definition_of(tool)) for tool in report.tools]
    return {"kind": "loaded", "tools": tools, "memory": memory_in_use()}


def _warn() -> None:
    log.warning("tools that are registered or taken away after the toolkit has been loaded are not seen with isolation")

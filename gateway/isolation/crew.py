"""The workers of one toolkit: how many there are, that each is replaced, and the way of a call to one of them.

A worker is replaced as soon as it dies, is killed, or is worn: after a thousand calls, or when it has grown by 100 MB.
One that dies before it has ended a single call makes the next one wait, longer each time, up to half a minute. A new
worker loads the file as it is then: if that has other tools than were loaded, the worker is not used, and the log says
that the toolkit has to be loaded again.

Fulfils `gateway.toolkit.loader.Isolated`. Below: `shift`, `process`, `gateway.toolkit.workers`. Above: `processes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from gateway.errors import LoadError, ToolkitBusyError, ToolkitError
from gateway.isolation.process import LOAD_SECONDS, Terms, WorkerProcess, definitions, start
from gateway.isolation.shift import Run, Shift
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.context import Context
from gateway.toolkit.exchange import current_watch
from gateway.toolkit.pool import PATIENCE
from gateway.toolkit.sources import Source
from gateway.toolkit.tool import Tool, accept
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Workers
from gateway.types import Credential
from gateway.worker.failure import error_from_wire
from gateway.worker.line import Line, Message
from gateway.worker.wire import Definition, value_from_wire

log = logging.getLogger(__name__)

_A_WEEK = 7 * 24 * 3600.0  # the tool's own deadline, which stands still while a person is asked, comes first
_LONGEST_PAUSE = 30.0


class Crew:
    """`size` workers for `source`. The first is started at once; `loaded` is told when its tools are known."""

    def __init__(self, source: Source, terms: Terms, size: int, loaded: Callable[[Crew], None]) -> None:
        self._source = source
        self._terms = terms
        self._size = size
        self._loaded = loaded
        self._starting = start(source, terms)
        self._first: tuple[WorkerProcess, Message] | None = None
        self._definitions: tuple[Definition, ...] = ()
        self._workers = Workers(source.name, patience=PATIENCE)
        self._runs: dict[str, Run] = {}
        self._shifts: set[Shift] = set()
        self._lives: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retired = False
        self._in_vain = 0

    # For the loader, in whatever thread it runs.

    def tools(self) -> Sequence[Tool]:
        """Wait until the first worker has loaded the toolkit. LoadError or RegistrationError, as it broke there."""
        process = self._starting.result()
        message = process.loaded()
        self._definitions = definitions(message)
        if not self._definitions:
            self.retire()
            return []
        self._first = process, message
        self._loaded(self)
        return [self._tool(definition) for definition in self._definitions]

    def retire(self) -> None:
        """Take no more calls. Those that run may end, and the processes end with them."""
        self._retired = True
        if self._loop is None:
            self._stop_first()
        else:
            self._loop.call_soon_threadsafe(self._retire)

    @property
    def is_over(self) -> bool:
        """Whether it has been retired, and nothing of it is left."""
        return self._retired and not self._lives

    # On the event loop.

    def open(self) -> None:
        """Begin to take calls. Once; then it costs nothing."""
        if self._loop is None and self._first is not None and not self._retired:
            self._loop = asyncio.get_running_loop()
            for first in [self._first, *[None] * (self._size - 1)]:
                self._begin(first)

    async def close(self) -> None:
        """End all processes now."""
        self._retired = True
        if self._loop is None:
            await asyncio.to_thread(self._stop_first)
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)

    def _stop_first(self) -> None:
        try:
            self._starting.result().stop_now()
        except LoadError:  # it never was
            return

    def _retire(self) -> None:
        for shift in self._shifts:
            shift.retire()

    def _tool(self, definition: Definition) -> Tool:
        output = definition.output_schema
        return Tool(
            **{each.name: getattr(definition, each.name) for each in fields(Definition)},
            run=partial(self._call, definition),
            check=argument_check(definition.input_schema),
            check_result=accept if output is None else result_check(output),
        )

    async def _call(
        self, definition: Definition, arguments: Mapping[str, Any], credential: Credential | None, context: Context
    ) -> Any:
        """The `run` of the tools: what the function returned, or raised, there."""
        self.open()
        request = ToolRequest(definition.name, arguments, credential)
        try:
            async with asyncio.timeout(min(PATIENCE, definition.timeout / 2)) as turn:
                run = self._runs[request.id] = Run(context, turn)
                ended = await self._workers.call(request, _A_WEEK)
        except TimeoutError:
            raise ToolkitBusyError(
                f"{self._source.name} is busy: none of its {self._size} workers was free in time. {request.tool} was "
                "not called: try again in a moment."
            ) from None
        finally:
            del self._runs[request.id]
        if (watch := current_watch()) is not None and "watch" in ended:
            watch.take_over(ended["watch"])
        if "input_needed" in ended and run.needed is not None:
            raise run.needed
        if "error" in ended:
            raise error_from_wire(ended["error"])
        return value_from_wire(ended)

    def _begin(self, first: tuple[WorkerProcess, Message] | None = None) -> None:
        if self._loop is not None and not self._retired:
            life = self._loop.create_task(self._live(first))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)

    async def _live(self, first: tuple[WorkerProcess, Message] | None) -> None:
        """One worker's life, from its start to its end. Whatever ends it, another one begins."""
        relieve = _once(self._begin)
        process, shift, line = None, None, None
        try:
            if first is None:
                await asyncio.sleep(self._pause())
                process = await asyncio.wrap_future(start(self._source, self._terms))
            else:
                process = first[0]
            shift = Shift(process, self._runs, relieve)
            line = await Line.over(process.end, shift.hung_up)
            shift.memory = self._accepted(first[1] if first else await _said_of_loading(line, process))
            if self._retired:  # while it was started
                return
            with self._workers.join(abandoned=shift.abandoned) as worker:
                self._shifts.add(shift)
                await shift.serve(worker, line)
        except ToolkitError as error:
            log.error("%s: a new worker could not be started: %s", self._source.name, error)  # noqa: TRY400 - a sentence
        finally:
            self._shifts.discard(shift)
            self._in_vain = 0 if shift is not None and shift.calls else self._in_vain + 1
            relieve()
            if line is not None:
                line.close()
            if process is not None:
                await process.stop()

    def _pause(self) -> float:
        """Seconds until the next worker is started: none, unless one after the other ended in vain."""
        return min(_LONGEST_PAUSE, 0.25 * 2 ** min(self._in_vain, 10) - 0.5) if self._in_vain > 1 else 0.0

    def _accepted(self, message: Message) -> int:
        """The memory of a worker that is new. LoadError when it has loaded something else."""
        if definitions(message) != self._definitions:
            raise LoadError(f"{self._source.place} has other tools than before. Load it again.")
        memory: int = message["memory"]
        return memory


async def _said_of_loading(line: Line, process: WorkerProcess) -> Message:
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            message = await line.receive()
    except TimeoutError:
        raise process.too_slow() from None
    if message is None:
        await process.stop()
        raise process.gone()
    return message


def _once(act: Callable[[], None]) -> Callable[[], None]:
    acted = False

    def once() -> None:
        nonlocal acted
        if not acted:
            acted = True
            act()

    return once

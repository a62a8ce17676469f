"""One worker's time at work: it takes a call, sends it, passes on what the tool says, and hears how it ended.

A caller who goes, because the time is up or because it hung up, has the function cancelled. If the worker is not free
soon after that, it is relieved: another one is started while this one has the rest of its second; then it is killed. A
worker that dies ends its one call with a reference, under which the log tells how it died.

Below: `process`, `gateway.toolkit.workers`. Above: `crew`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

from gateway.errors import GatewayError, ToolCrashedError
from gateway.isolation.process import WorkerProcess
from gateway.redaction import Redactor
from gateway.toolkit.context import Capability, Context, InputNeeded
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Worker
from gateway.worker.failure import error_to_wire
from gateway.worker.line import Line, Message
from gateway.worker.wire import answers_to_wire, asks_from_wire, credential_to_wire

log = logging.getLogger(__name__)

_AT_ONCE = 0.2  # seconds after which a cancelled function is taken for one that does not end by itself
_GRACE = 1.0  # seconds after which it is killed
_MOST_CALLS = 1_000
_MOST_GROWTH = 100 << 20


@dataclass(slots=True, eq=False)
class Run:
    """A call on the caller's side. `turn` runs until a worker has it; `needed` are questions that ended it."""

    context: Context
    turn: asyncio.Timeout
    needed: InputNeeded | None = None


class Shift:
    """The calls of one `process`. `relieve` has another worker started; `memory` is what it took when it was new."""

    def __init__(
        self, process: WorkerProcess, runs: Mapping[str, Run], relieve: Callable[[], None], memory: int = 0
    ) -> None:
        self.memory = memory
        self.calls = 0
        """Calls that it has had, and did not die of."""
        self._process = process
        self._runs = runs
        self._relieve = relieve
        self._talk: asyncio.Task[Message | None] | None = None
        self._worker: Worker | None = None
        self._may_go_on = True

    def hung_up(self) -> None:
        """The process has gone. If it had a call, `serve` finds that out."""
        if self._may_go_on and self._worker is not None and self._talk is None:
            log.warning("a worker process of %s ended while it had nothing to do", self._process.source.name)
        self.retire()

    def retire(self) -> None:
        """Take no more calls; the one that runs may end."""
        self._may_go_on = False
        if self._talk is None and self._worker is not None:
            self._worker.leave()

    def abandoned(self, _request: ToolRequest) -> None:
        """The caller has gone."""
        if self._talk is not None:
            self._talk.cancel()

    async def serve(self, worker: Worker, line: Line) -> None:
        """Work until the process is worn, retired, dead or stuck."""
        self._worker = worker
        try:
            while self._may_go_on and line.is_open and (request := await worker.take()) is not None:
                may_go_on = await self._had(request, worker, line)
                self._talk = None
                if not may_go_on:
                    return
        finally:
            self._may_go_on = False

    async def _had(self, request: ToolRequest, worker: Worker, line: Line) -> bool:
        """Have a call run to its end. Whether the process may be given another."""
        run = self._runs[request.id]
        self._send(request, run, line)
        self._talk = talk = asyncio.create_task(_ended(request, run, line))
        try:
            await asyncio.wait([talk])
        finally:
            talk.cancel()
        if talk.cancelled():
            freed = await self._freed(request, line)
            if freed:
                worker.release(request.id)
            return freed
        ended = talk.result()
        if ended is None:
            worker.fail(request.id, await self._crash(request))
            return False
        worker.answer(request.id, ended)
        self.calls += 1
        return self.calls < _MOST_CALLS and ended["memory"] - self.memory < _MOST_GROWTH

    def _send(self, request: ToolRequest, run: Run, line: Line) -> None:
        run.turn.reschedule(None)
        if request.credential is not None:
            self._process.output.redactor = Redactor.of_credential(request.credential)
        line.send(
            {
                "kind": "call",
                "call": request.id,
                "tool": request.tool,
                "arguments": request.arguments,
                "credential": credential_to_wire(request.credential),
                "capabilities": [each for each in get_args(Capability) if run.context.can(each)],
            }
        )

    async def _freed(self, request: ToolRequest, line: Line) -> bool:
        """Have the function cancelled. Whether the worker can go on; else it is dead, or another is there for it."""
        line.send({"kind": "cancel"})
        self.calls += 1
        ending = asyncio.create_task(_until_ended(request, line))
        try:
            await asyncio.wait([ending], timeout=_AT_ONCE)
            if ending.done():
                return line.is_open
            self._relieve()
            await asyncio.wait([ending], timeout=_GRACE - _AT_ONCE)
            if not ending.done():
                log.warning("%s did not end when its caller had gone; its worker is killed", request.tool)
            return False
        finally:
            ending.cancel()

    async def _crash(self, request: ToolRequest) -> ToolCrashedError:
        reference = secrets.token_hex(4)
        self._relieve()
        await self._process.stop()
        how = self._process.ending
        log.error("%s: its worker process died while it ran (%s), reference %s", request.tool, how, reference)
        return ToolCrashedError(
            f"{request.tool} crashed: its process ended in the middle of the call, and what it had done until then "
            f"stays done. The cause is in the gateway's log under reference {reference}."
        )


async def _ended(request: ToolRequest, run: Run, line: Line) -> Message | None:
    """The message that ends a call; None when the process dies over it. Until then, the tool talks to its host."""
    asking: set[asyncio.Task[None]] = set()
    try:
        while (message := await line.receive()) is not None:
            if message["call"] != request.id:
                continue  # a late word of an earlier call
            if message["kind"] == "ended":
                return message
            if message["kind"] == "ask":
                asking.add(asyncio.create_task(_ask(run, message, line)))
            else:
                await _pass_on(run.context, message)
        return None
    finally:
        for task in asking:
            task.cancel()


async def _until_ended(request: ToolRequest, line: Line) -> None:
    while (message := await line.receive()) is not None:
        if (message["kind"], message["call"]) == ("ended", request.id):
            return


async def _pass_on(context: Context, message: Message) -> None:
    """What the tool says on the way. A host that cannot be told does not stop the tool."""
    try:
        if message["kind"] == "progress":
            await context.progress(message["done"], message["total"], message["message"])
        elif message["kind"] == "log":
            await context.log(message["data"], message["level"], message["logger"])
    except Exception:  # a host's trouble
        log.debug("a tool's word did not reach its host", exc_info=True)


async def _ask(run: Run, message: Message, line: Line) -> None:
    """Ask the host, and send the worker the answers, or that there are none now."""
    told: dict[str, Any]
    try:
        told = {"answers": answers_to_wire(await run.context.ask_all(asks_from_wire(message["asks"])))}
    except InputNeeded as needed:
        run.needed = needed
        told = {"open": list(needed.asks)}
    except GatewayError as error:
        told = {"error": error_to_wire(error)}
    except Exception:  # a host's trouble, which is not to be the worker's end
        log.exception("the host could not be asked")
        told = {"error": error_to_wire(GatewayError("The host could not be asked."))}
    with suppress(TypeError, ValueError):  # an answer that is no JSON cannot be; the tool waits until its time is up
        line.send({"kind": "answers", "number": message["number"], **told})

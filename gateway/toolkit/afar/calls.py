"""Runs a worker's calls: a request in, its answer out, so many at a time.

An answer always comes: the function's result as JSON, or an error in a sentence. What a tool raised on purpose (a
ToolError) is told as it stands; anything else is a bug in it, of which the gateway gets a reference and this process's
log the rest. Credentials are in memory for as long as their call runs. Below: the rest of toolkit. Above: the lines.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import CallError, InvalidArgumentsError, ToolkitBusyError, ToolTimeoutError, UnknownToolError
from gateway.redaction import Redactor
from gateway.toolkit.context import Context, NullChannel
from gateway.toolkit.plain_result import result_value
from gateway.toolkit.result import to_result
from gateway.toolkit.tool import Tool
from gateway.types import Credential, Requirement

log = logging.getLogger(__name__)

RESULT_LIMIT = 1_000_000  # bytes of JSON: a gateway takes a message of 1 MiB

_NOTHING_TO_HIDE = Redactor([])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended. `value` is JSON; with `is_error` it is `{"error": a sentence}`.

    `not_begun`: nothing was done for it, and a gateway of ours gives it to another worker.
    """

    value: Any
    is_error: bool = False
    not_begun: bool = False

    @property
    def fields(self) -> dict[str, bool]:
        """What an answer says beside its result."""
        said = {"is_error": self.is_error, "not_begun": self.not_begun}
        return {name: True for name, is_so in said.items() if is_so}


class Calls:
    """The calls that this worker is running, `at_once` at most. `find` gives the tool of a name."""

    def __init__(self, find: Callable[[str], Tool | None], at_once: int) -> None:
        self.at_once = at_once
        self._find = find
        self._running: set[asyncio.Task[None]] = set()
        self._refusing: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def has_room(self) -> bool:
        return len(self._running) < self.at_once

    async def room(self) -> None:
        """Wait until another call may begin."""
        await self._until(lambda: self.has_room)

    async def idle(self) -> None:
        """Wait until nothing is running."""
        await self._until(lambda: not (self._running or self._refusing))

    def stop(self) -> None:
        """Begin nothing new: calls that come all the same are told to go elsewhere."""
        self._stopping = True

    def cancel(self) -> None:
        """Let go of everything that is running."""
        for task in self._running | self._refusing:
            task.cancel()

    def begin(self, request: Mapping[str, Any], answer: Callable[[Ended], Coroutine[Any, Any, None]]) -> None:
        """Run the call that was asked for, and have it answered."""
        refusal = self._refusal()
        task = asyncio.create_task(self._answered(request, answer) if refusal is None else answer(refusal))
        (self._running if refusal is None else self._refusing).add(task)
        task.add_done_callback(self._over)

    def _refusal(self) -> Ended | None:
        if self._stopping:
            sentence = "The toolkit's worker is stopping, and did not begin this call. Try again."
            return Ended({"error": sentence}, is_error=True, not_begun=True)
        if not self.has_room:
            return _told(ToolkitBusyError(f"The toolkit's worker is busy with {self.at_once} other calls."))
        return None

    async def _answered(self, request: Mapping[str, Any], answer: Callable[[Ended], Coroutine[Any, Any, None]]) -> None:
        began = time.perf_counter()
        ended = await self._run(request)
        milliseconds = (time.perf_counter() - began) * 1000
        # The name comes from the gateway, which the worker has no cause to distrust; arguments may be anybody's.
        log.info("%.128s %s in %.0f ms", request.get("tool_name"), "failed" if ended.is_error else "done", milliseconds)
        await answer(ended)

    async def _run(self, request: Mapping[str, Any]) -> Ended:
        name, redactor = request.get("tool_name"), _NOTHING_TO_HIDE
        tool = self._find(name) if isinstance(name, str) else None
        if tool is None:
            return _told(UnknownToolError(f"This worker has no tool {name!r}. Does it run the toolkit's new code?"))
        try:
            if (credential := _credential(request, tool.requirement)) is not None:
                redactor = Redactor.of_credential(credential)
            result = to_result(await _value(tool, request.get("params") or {}, credential), RESULT_LIMIT)
            return Ended(result_value(result), result.is_error)
        except CallError as error:
            return Ended({"error": redactor.redact(error.message)}, is_error=True)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is a bug in the tool
            return Ended({"error": _crash(tool.name, error, redactor)}, is_error=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._refusing.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an answer could not be sent", exc_info=error)


async def _value(tool: Tool, arguments: Mapping[str, Any], credential: Credential | None) -> Any:
    """What the tool's function returns, within the tool's time."""
    if sentence := tool.check(arguments):
        raise InvalidArgumentsError(sentence)
    deadline = asyncio.timeout(tool.timeout)
    context = Context(NullChannel(), asyncio.get_running_loop(), deadline)
    try:
        async with deadline:
            return await tool.run(arguments, credential, context)
    except TimeoutError:
        if deadline.expired():
            raise ToolTimeoutError(f"{tool.name} did not finish within {tool.timeout:g} s.") from None
        raise
    finally:
        context.close()


def _credential(request: Mapping[str, Any], need: Requirement | None) -> Credential | None:
    """The token that came with the request, and what a gateway of ours says about it beside that."""
    token, more = request.get("auth_token"), request.get("credential")
    if not isinstance(token, str) or not token:
        return None
    said = more if isinstance(more, dict) else {}
    expires_at = said.get("expires_at")
    return Credential(
        provider=need.provider if need else "",
        token=token,
        scopes=frozenset(said.get("scopes") or (need.scopes if need else ())),
        account=said.get("account"),
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        extras=said.get("extras") or {},
    )


def _told(error: CallError) -> Ended:
    return Ended({"error": error.message}, is_error=True)


def _crash(name: str, error: Exception, redactor: Redactor) -> str:
    reference = secrets.token_hex(4)
    rendered = logging.Formatter().formatException((type(error), error, error.__traceback__))
    log.error("%s failed, reference %s\n%s", name, reference, redactor.redact(rendered))
    return f"{name} failed inside the tool. The cause is in its toolkit's log under reference {reference}."

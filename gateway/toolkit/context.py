"""What a running tool may say to its host: progress, log lines, and questions.

A tool that wants it declares a parameter annotated `Context`. The calls mean the same whatever protocol the host
speaks. Where the host can be asked in the middle of a call, the question is pushed to it and the tool waits. Where
it cannot (MCP 2026-07-28), the call ends with the question, and when the answer comes **the tool runs again from
its start**: `ask` then returns the answer at once. So ask first and act afterwards, and give each question the same
`key` every time (keys are numbered in order of asking unless you name them).

`Channel` is the seam below it: each surface brings its own. Sampling, roots and log lines exist for hosts that still
have them; the gateway itself never uses them.

Source: MCP 2025-11-25 Elicitation, Sampling, Roots; MCP 2026-07-28 multi-round-trip requests.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from gateway.errors import CapabilityMissingError

T = TypeVar("T")

OURS = "atp-gateway/"
"""How the keys begin of questions that the gateway itself asks."""

Level = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
Capability = Literal["form", "url", "sampling", "roots"]


@dataclass(frozen=True, slots=True)
class Form:
    """Ask the person to fill in a form. `schema` is a flat JSON Schema object. Never ask for secrets this way."""

    message: str
    schema: Mapping[str, Any]
    capability: Capability = field(default="form", init=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """Ask the person to open a page, for what must not pass through the host."""

    message: str
    url: str
    capability: Capability = field(default="url", init=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """Ask the host's model. `messages` are MCP sampling messages, or one prompt as text."""

    messages: str | Sequence[Mapping[str, Any]]
    max_tokens: int = 1000
    system: str | None = None
    capability: Capability = field(default="sampling", init=False)


@dataclass(frozen=True, slots=True)
class Roots:
    """Ask which folders the person has opened."""

    capability: Capability = field(default="roots", init=False)


Ask = Form | Visit | Sample | Roots


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `action` is accept, decline or cancel; `content` is the form's values, the model's message
    (`{"role", "content", "model", …}`) or the roots (`{"roots": [{"uri", "name"}]}`)."""

    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.action == "accept"


class InputNeeded(BaseException):
    """Ends a tool's run so that its questions can travel to a host that cannot be asked in the middle of a call."""

    def __init__(self, asks: Mapping[str, Ask]) -> None:
        super().__init__("the tool waits for answers")
        self.asks = asks


class Channel(Protocol):
    """One call's line to its host, brought by the surface."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Which of `form`, `url`, `sampling`, `roots` the host declared."""
        ...

    async def progress(self, done: float, total: float | None, message: str | None) -> None: ...

    async def log(self, level: Level, data: Any, logger: str | None) -> None: ...

    async def ask(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        """The answers by key. Raises InputNeeded where they can only come with another call."""
        ...


class NullChannel:
    """A host that listens to nothing and can be asked nothing: the command line, the ATP surface, tests."""

    capabilities: frozenset[str] = frozenset()

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        return None

    async def log(self, level: Level, data: Any, logger: str | None) -> None:
        return None

    async def ask(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        raise CapabilityMissingError(next(iter(asks.values())).capability)


class Context:
    """The one object a tool talks to its host through. `async def` tools await its calls; in a plain `def` tool
    write `ctx.wait(ctx.ask(...))`. `tenant` is whose call it is: theirs wait for a thread in turn with others'."""

    def __init__(
        self,
        channel: Channel,
        loop: asyncio.AbstractEventLoop,
        deadline: asyncio.Timeout | None = None,
        tenant: str = "",
    ) -> None:
        self.tenant = tenant
        self._channel = channel
        self._loop = loop
        self._deadline = deadline
        self._asked = 0
        self._waits: set[concurrent.futures.Future[Any]] | None = set()

    def can(self, capability: Capability) -> bool:
        """Whether the host can be asked for a form, a visit to a url, a sampling, or its roots."""
        return capability in self._channel.capabilities

    @property
    def seconds_left(self) -> float | None:
        """How long the call may still take; None while its clock stands still, or where it has none."""
        until = self._deadline.when() if self._deadline is not None else None
        return None if until is None else until - self._loop.time()

    async def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Report how far the call is. Free where the host did not ask for progress."""
        await self._channel.progress(done, total, message)

    async def log(self, data: Any, level: Level = "info", logger: str | None = None) -> None:
        """Send the host a log line (any JSON value). Hosts of MCP 2026-07-28 get it only if they asked for it."""
        await self._channel.log(level, data, logger)

    async def ask(self, ask: Ask, *, key: str | None = None) -> Answer:
        """Ask one thing. Raises CapabilityMissingError where the host cannot be asked for it."""
        self._asked += 1
        name = key or f"question{self._asked}"
        return (await self.ask_all({name: ask}))[name]

    async def ask_all(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        """Ask several things at once, by key. Raises CapabilityMissingError for the first the host lacks.

        The tool's time limit stands still until the answers are there: how long a person takes is not its doing.
        """
        for ask in asks.values():
            if not self.can(ask.capability):
                raise CapabilityMissingError(ask.capability)
        with self._stopped_clock():
            return await self._channel.ask(asks)

    @contextmanager
    def _stopped_clock(self) -> Iterator[None]:
        deadline = self._deadline
        until = deadline.when() if deadline is not None else None
        if deadline is None or until is None:  # no limit, or another question has stopped it already
            yield
            return
        left = until - self._loop.time()
        deadline.reschedule(None)
        try:
            yield
        finally:
            if not deadline.expired():
                deadline.reschedule(self._loop.time() + left)

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait, in a plain `def` tool, for one of the calls above.

        RuntimeError in an `async def` tool, which must await them instead. CancelledError (of `concurrent.futures`)
        when the caller has gone.
        """
        if _running_loop() is self._loop:
            call.close()
            raise RuntimeError(
                "ctx.wait() is for plain `def` tools: in an `async def` tool write `await ctx.ask(...)`."
            )
        waits = self._waits
        if waits is None:
            call.close()
            raise concurrent.futures.CancelledError
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        waits.add(answer)
        if self._waits is None:
            answer.cancel()
        try:
            return answer.result()
        finally:
            waits.discard(answer)

    def close(self) -> None:
        """End what the tool still waits for, because nobody waits for the tool any more."""
        waits, self._waits = self._waits, None
        for answer in tuple(waits or ()):
            answer.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

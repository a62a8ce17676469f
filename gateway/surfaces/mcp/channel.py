"""One call's line to its host: progress and log lines go out at once; questions go one of two ways.

    Pushed     handshake revisions: the question is a request on the call's own stream, and the tool waits
    Replayed   2026-07-28: the call ends with the question and comes again with the answer; the tool runs anew

Only what the host declared is ever sent. Progress grows strictly, or is not sent. A log line goes to hosts that asked
for its level: on the request (2026-07-28) or with `logging/setLevel` (before).

Below: `mcp`. Above: `calls`, which opens one for each call.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, get_args

import mcp_types as types
from mcp.server.connection import allowed_log_levels
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from gateway.errors import CapabilityMissingError, StoreUnavailableError
from gateway.surfaces.mcp.questions import fingerprint, read_answer, to_request
from gateway.surfaces.mcp.request import Request, capabilities_of, connection_of, is_modern
from gateway.surfaces.mcp.rounds import Round
from gateway.toolkit.context import OURS, Answer, Ask, InputNeeded, Level

log = logging.getLogger(__name__)

LOG_LEVEL = "atp-gateway.log-level"
"""Where a handshake connection's scratch state keeps the level of `logging/setLevel`."""

_LEVELS: tuple[str, ...] = get_args(types.LoggingLevel)
_REJECTED_BY_PERSON = -1  # MCP 2025-11-25 Sampling: "User rejected sampling request"
_RESULTS: dict[str, type[types.Result]] = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResultWithTools,
    "roots/list": types.ListRootsResult,
}

Asker = Callable[[Mapping[str, Ask]], Awaitable[Mapping[str, Answer]]]


class HostChannel:
    """`gateway.toolkit.context.Channel` over one MCP request."""

    def __init__(self, request: Request, asker: Asker) -> None:
        self._request = request
        self._asker = asker
        self._furthest = -math.inf

    @property
    def capabilities(self) -> frozenset[str]:
        return capabilities_of(self._request)

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        if not math.isfinite(done) or done <= self._furthest:
            return
        self._furthest = done
        shown = None if message is None else message.encode("utf-8", "replace").decode()
        await self._request.session.report_progress(done, total, shown)

    async def log(self, level: Level, data: Any, logger: str | None) -> None:
        if level not in _wanted_levels(self._request):
            return
        line = types.LoggingMessageNotificationParams(level=level, data=_sendable(data), logger=logger)
        await self._request.session.send_notification(
            types.LoggingMessageNotification(params=line), related_request_id=self._request.request_id
        )

    async def ask(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        return await self._asker(asks)


def _sendable(data: Any) -> Any:
    """The nearest JSON to what a tool wanted to log: one odd value is not to end the host's connection."""
    try:
        return from_json(to_json(data, fallback=str, inf_nan_mode="null"))
    except ValueError:  # text that UTF-8 cannot encode, a cycle
        return ascii(data)


def _wanted_levels(request: Request) -> frozenset[str]:
    if is_modern(request):
        return allowed_log_levels(request.protocol_version, request.meta)
    lowest = connection_of(request).state.get(LOG_LEVEL, "info")
    return frozenset(_LEVELS[_LEVELS.index(lowest) :])


class Pushed:
    """Puts questions to the host while the call waits, one after the other."""

    def __init__(self, request: Request, seconds: float) -> None:
        self._request = request
        self._seconds = seconds

    async def __call__(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        return {key: await self._ask(ask) for key, ask in asks.items()}

    async def _ask(self, ask: Ask) -> Answer:
        """The host's answer. What is not one (garbage, silence, a broken host) counts as dismissed."""
        question = to_request(ask, elicitation_id=secrets.token_urlsafe(16))
        try:
            result = await self._request.session.send_request(
                question,
                _RESULTS[question.method],
                request_read_timeout_seconds=self._seconds,
                metadata=ServerMessageMetadata(related_request_id=self._request.request_id),
            )
        except MCPError as error:
            if error.code in (types.METHOD_NOT_FOUND, types.INVALID_PARAMS):
                raise CapabilityMissingError(ask.capability) from None
            if error.code == _REJECTED_BY_PERSON:
                return Answer("decline")
            log.info("the host did not answer %s (error %d)", question.method, error.code)
            return Answer("cancel")
        except ValidationError:
            log.info("the host's answer to %s is malformed", question.method)
            return Answer("cancel")
        return read_answer(ask, result.model_dump(mode="json", by_alias=True)) or Answer("cancel")


class Spent(Protocol):
    """Which calls' approvals were used, by the names of their rounds. StoreUnavailableError where nobody can tell."""

    async def claim(self, call: str) -> bool:
        """Whether this is the one run that the call's approval is for."""
        ...

    async def release(self, call: str) -> None:
        """The run ended with a question: it comes again, with the same approval."""
        ...


class Replayed:
    """Answers questions from what the host brought with this round; ends the call with those still open.

    What the gateway itself asks is answered for one run: one that was used is asked again, in a call of its own.
    """

    def __init__(self, before: Round, spent: Spent) -> None:
        self._round = before
        self._spent = spent
        self._claimed: bool | None = None
        self.given: dict[str, tuple[str, Any]] = {}

    async def go_on(self) -> str | None:
        """The call is to come again, with these answers: the name of its rounds, None where they begin anew."""
        if self._claimed and self._round.call:
            try:
                await self._spent.release(self._round.call)
            except StoreUnavailableError:
                log.warning("an approval could not be given back: the person will be asked again")
        return None if self._claimed is False else self._round.call

    async def __call__(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        answers: dict[str, Answer] = {}
        for key, ask in asks.items():
            mark = fingerprint(ask)
            response = self._round.response(key, mark)
            if response is not None and not await self._is_fresh(key):
                response = None
            if answer := read_answer(ask, response):
                answers[key] = answer
                self.given[key] = (mark, response)
            else:
                to_request(ask)  # a malformed question is the tool's bug, and is to fail inside the tool
        if len(answers) < len(asks):
            raise InputNeeded({key: ask for key, ask in asks.items() if key not in answers})
        return answers

    async def _is_fresh(self, key: str) -> bool:
        if not key.startswith(OURS) or self._round.call is None:
            return True
        if self._claimed is None:
            self._claimed = await self._spent.claim(self._round.call)
        return self._claimed
